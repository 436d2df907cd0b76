/* Bytes that are printable in Latin-1 stand for themselves; the others, in order, for U+0100 and up. */
#include "byte_level.h"
#include "utf8.h"

enum { LAST_CHARACTER = 0x143 };

static bool is_itself(uint32_t c)
{
	return (c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

/* byte -> its character, as UTF-8. */
static const char *character_of(unsigned char byte)
{
	static char table[256][2];
	static bool made;
	if (!made) {
		uint32_t other = 0x100;
		for (uint32_t b = 0; b < 256; b++) {
			char code[4] = {0};
			utf8_write(is_itself(b) ? b : other++, code);
			memcpy(table[b], code, 2);
		}
		made = true;
	}
	return table[byte];
}

void byte_level_add(struct span text, struct bytes *out)
{
	char *to = bytes_reserve(out, 2 * text.n);
	for (size_t i = 0; i < text.n; i++) {
		const char *c = character_of((unsigned char)text.at[i]);
		*to++ = c[0];
		if (c[1])
			*to++ = c[1];
	}
	out->n = (size_t)(to - out->at);
}

/* The byte of a character; -1: none. */
static int byte_of(uint32_t c)
{
	static int16_t table[LAST_CHARACTER + 1];
	static bool made;
	if (!made) {
		memset(table, 0xFF, sizeof table);
		for (int b = 0; b < 256; b++) {
			uint32_t point;
			char code[4] = {0};
			memcpy(code, character_of((unsigned char)b), 2);
			utf8_decode(code, &point);
			table[point] = (int16_t)b;
		}
		made = true;
	}
	return c <= LAST_CHARACTER ? table[c] : -1;
}

bool byte_level_decode(struct span text, struct bytes *out)
{
	size_t before = out->n;
	char *to = bytes_reserve(out, text.n);
	for (const char *at = text.at, *end = at + text.n; at < end;) {
		uint32_t c;
		at += utf8_decode(at, &c);
		int byte = byte_of(c);
		if (byte < 0) {
			out->n = before;
			return false;
		}
		*to++ = (char)byte;
	}
	out->n = (size_t)(to - out->at);
	return true;
}
