/* UTF-8, strictly: no surrogates, no overlong forms, nothing above U+10FFFF. */
#ifndef TEXT_UTF8_H
#define TEXT_UTF8_H
#include <stddef.h>
#include <stdint.h>

/* The sequence at s, which has n > 0 bytes. Above 0: the length of a character. 0: the n bytes begin a character whose
 * other bytes are missing. Below 0: so many bytes, negated, cannot be part of any character; U+FFFD replaces them. */
int utf8_sequence(const char *s, size_t n);
/* How many bytes from the start are well formed: n if all are. */
size_t utf8_well_formed(const char *s, size_t n);

/* The code point at s, in well-formed text, and its length in bytes. */
static inline int utf8_decode(const char *s, uint32_t *point)
{
	const unsigned char *u = (const unsigned char *)s;
	if (u[0] < 0x80)
		return *point = u[0], 1;
	if (u[0] < 0xE0)
		return *point = (u[0] & 0x1Fu) << 6 | (u[1] & 0x3Fu), 2;
	if (u[0] < 0xF0)
		return *point = (u[0] & 0xFu) << 12 | (u[1] & 0x3Fu) << 6 | (u[2] & 0x3Fu), 3;
	*point = (u[0] & 7u) << 18 | (u[1] & 0x3Fu) << 12 | (u[2] & 0x3Fu) << 6 | (u[3] & 0x3Fu);
	return 4;
}

/* The length of the character that begins with this byte, in well-formed text. */
static inline int utf8_length(char first)
{
	unsigned char u = (unsigned char)first;
	return u < 0x80 ? 1 : u < 0xE0 ? 2 : u < 0xF0 ? 3 : 4;
}

/* Writes the 1 to 4 bytes of a code point and returns their number. */
int utf8_write(uint32_t point, char out[4]);
/* The last character before `end`, in well-formed text that is not empty there. */
static inline const char *utf8_before(const char *end)
{
	do
		end--;
	while ((*end & 0xC0) == 0x80);
	return end;
}
#endif
