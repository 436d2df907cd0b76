/* Text from outside on its way to a terminal. The runtime is linked with this file too. */
#ifndef DEPLOYC_ESCAPE_H
#define DEPLOYC_ESCAPE_H
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Decodes one code point of [s, end) and returns its length in bytes; a malformed byte is one character, MALFORMED. */
enum { MALFORMED = 0x110000 };
int decode_utf8(const char *s, const char *end, uint32_t *point);
/* Characters that would control a terminal: control characters, line separators, marks that change the direction of
 * writing, malformed bytes. */
bool is_control(uint32_t point);

/* Prints such characters as \n, \t or the \xNN of their bytes. */
void put_escaped(FILE *out, const char *text);
/* Like fprintf, with the whole text escaped. */
void print_escaped(FILE *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void vprint_escaped(FILE *out, const char *fmt, va_list args) __attribute__((format(printf, 2, 0)));
#endif
