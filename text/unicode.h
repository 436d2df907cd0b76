/* Properties of characters, and Unicode normal forms, by the tables of utf8proc (Debian 12: Unicode 15). */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H
#include <stdbool.h>
#include "bytes.h"

bool is_space(uint32_t point);       /* White_Space */
bool is_numeric(uint32_t point);     /* general category N */
bool is_mark(uint32_t point);        /* general category M */
bool is_punctuation(uint32_t point); /* general category P, and the symbols of ASCII */
bool is_word(uint32_t point);        /* \w of Rust's regular expressions: Alphabetic, M, Nd, Pc, joiners */

enum normal_form { FORM_NFC, FORM_NFD, FORM_NFKC, FORM_NFKD };
/* Appends the normal form of a well-formed text. */
void normal_form(enum normal_form form, struct span text, struct bytes *out);
/* Appends each character in lower case, independent of its neighbours. */
void lower_case(struct span text, struct bytes *out);
#endif
