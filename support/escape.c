/* UTF-8, and the characters that may not reach a terminal. */
#include "escape.h"
#include <stdlib.h>
#include <string.h>

int decode_utf8(const char *s, const char *end, uint32_t *point)
{
	unsigned char c = (unsigned char)*s;
	int n = c >= 0xF0 && c < 0xF5 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
	*point = c < 0x80 ? c : n == 1 || c >= 0xF5 ? MALFORMED : c & (0x7Fu >> n);
	for (int i = 1; i < n; i++) {
		if (*point == MALFORMED || s + i >= end || ((unsigned char)s[i] & 0xC0) != 0x80) {
			*point = MALFORMED;
			return 1;
		}
		*point = *point << 6 | ((unsigned char)s[i] & 0x3F);
	}
	return n;
}

bool is_control(uint32_t point)
{
	static const struct {
		uint32_t first, last;
	} none[] = {
		{0, 0x1F}, {0x7F, 0x9F}, {0x200E, 0x200F}, {0x2028, 0x202E}, {0x2066, 0x2069}, {MALFORMED, MALFORMED},
	};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		if (point >= none[i].first && point <= none[i].last)
			return true;
	return false;
}

static void put_bytes(FILE *out, const char *s, int n)
{
	if (*s == '\n' || *s == '\t') {
		fputs(*s == '\n' ? "\\n" : "\\t", out);
		return;
	}
	for (int i = 0; i < n; i++)
		fprintf(out, "\\x%02x", (unsigned char)s[i]);
}

void put_escaped(FILE *out, const char *text)
{
	const char *end = text + strlen(text);
	for (int n; text < end; text += n) {
		uint32_t point;
		n = decode_utf8(text, end, &point);
		if (is_control(point))
			put_bytes(out, text, n);
		else
			fwrite(text, 1, (size_t)n, out);
	}
}

/* If there is no memory for a long text, its beginning is printed. */
void vprint_escaped(FILE *out, const char *fmt, va_list args)
{
	char beginning[1024], *whole = NULL;
	va_list again;
	va_copy(again, args);
	int n = vsnprintf(beginning, sizeof beginning, fmt, args);
	if (n >= (int)sizeof beginning && (whole = malloc((size_t)n + 1)))
		vsnprintf(whole, (size_t)n + 1, fmt, again);
	va_end(again);
	put_escaped(out, whole ? whole : beginning);
	if (!whole && n >= (int)sizeof beginning)
		fputs("...", out);
	free(whole);
}

void print_escaped(FILE *out, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vprint_escaped(out, fmt, args);
	va_end(args);
}
