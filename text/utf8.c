/* UTF-8: what is a character, and what is not. */
#include "utf8.h"
#include <string.h>

/* The second byte of a character narrows what the first allows. */
static void second_byte(unsigned char first, unsigned char *min, unsigned char *max)
{
	*min = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
	*max = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
}

int utf8_sequence(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	if (u[0] < 0x80)
		return 1;
	if (u[0] < 0xC2 || u[0] > 0xF4)
		return -1;
	size_t length = (size_t)utf8_length(*s);
	unsigned char min, max;
	second_byte(u[0], &min, &max);
	for (size_t i = 1; i < length; i++, min = 0x80, max = 0xBF) {
		if (i == n)
			return 0;
		if (u[i] < min || u[i] > max)
			return -(int)i;
	}
	return (int)length;
}

size_t utf8_well_formed(const char *s, size_t n)
{
	size_t at = 0;
	while (at < n) {
		uint64_t eight;
		while (n - at >= 8 && (memcpy(&eight, s + at, 8), !(eight & 0x8080808080808080u)))
			at += 8;
		int length = at < n ? utf8_sequence(s + at, n - at) : 0;
		if (length <= 0)
			break;
		at += (size_t)length;
	}
	return at;
}

int utf8_write(uint32_t point, char out[4])
{
	if (point < 0x80)
		return out[0] = (char)point, 1;
	int n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
	for (int i = n - 1; i > 0; i--, point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3F));
	out[0] = (char)((n == 2 ? 0xC0u : n == 3 ? 0xE0u : 0xF0u) | point);
	return n;
}
