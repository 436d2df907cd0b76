/* Literals, and texts that are numbers. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include "../unicode.h"
#include "../utf8.h"
#include "literal.h"
#include "strings.h"

/* ---- strings --------------------------------------------------------------------------------------------------- */
static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static const char *add_code(struct text *out, const char *at, const char *end, int digits)
{
	uint32_t point = 0;
	char s[4];
	for (int i = 0; i < digits; i++, at++) {
		if (at == end || hex_digit(*at) < 0)
			work_fail(out->work, "an escape in a string needs %d hexadecimal digits", digits);
		point = point << 4 | (uint32_t)hex_digit(*at);
	}
	if (point > 0x10FFFF || (point >= 0xD800 && point < 0xE000))
		work_fail(out->work, "an escape in a string is not a character: U+%04X", point);
	text_append(out, s, (size_t)utf8_write(point, s));
	return at;
}

static const char *add_octal(struct text *out, const char *at, const char *end)
{
	uint32_t point = 0;
	char s[4];
	for (int i = 0; i < 3 && at < end && *at >= '0' && *at <= '7'; i++)
		point = point * 8 + (uint32_t)(*at++ - '0');
	text_append(out, s, (size_t)utf8_write(point, s));
	return at;
}

/* After a backslash. Those without a meaning are characters, as in Python. */
static const char *add_escape(struct text *out, const char *at, const char *end)
{
	static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
	const char *simple = strchr(from, *at);
	if (*at == '\n')
		return at + 1;
	if ((unsigned char)*at >= 0x80)
		work_fail(out->work, "a backslash before a character outside ASCII is not supported");
	if (*at == 'N')
		work_fail(out->work, "characters by name (\\N) are not supported");
	if (*at == 'x' || *at == 'u' || *at == 'U')
		return add_code(out, at + 1, end, *at == 'x' ? 2 : *at == 'u' ? 4 : 8);
	if (*at >= '0' && *at <= '7')
		return add_octal(out, at, end);
	if (simple && *at) {
		text_append(out, to + (simple - from), 1);
		return at + 1;
	}
	text_word(out, "\\");
	return at;
}

struct value read_string(struct work *w, const char **at, const char *end)
{
	struct text out = {.work = w};
	const char quote = *(*at)++;
	while (*at < end && **at != quote) {
		if (**at == '\\' && *at + 1 < end)
			*at = add_escape(&out, *at + 1, end);
		else if (**at == '\\')
			break;
		else
			text_append(&out, (*at)++, 1);
	}
	if (*at == end || **at != quote)
		work_fail(w, "a string has no end");
	++*at;
	return string(text_end(&out));
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Digits with single underscores between them: where they end. */
static const char *digits(const char *at, const char *end)
{
	while (at < end && (is_digit(*at) || (*at == '_' && is_digit(at[-1]) && at + 1 < end && is_digit(at[1]))))
		at++;
	return at;
}

/* Past the fraction and the exponent of a number, if it has them. */
static const char *fraction(const char *at, const char *end)
{
	if (end - at > 1 && *at == '.' && is_digit(at[1]))
		at = digits(at + 1, end);
	if (end - at > 1 && (*at | 32) == 'e') {
		const char *e = at + 1 + (at[1] == '+' || at[1] == '-');
		if (e < end && is_digit(*e))
			at = digits(e, end);
	}
	return at;
}

struct value read_number(struct work *w, const char **at, const char *end, bool after_dot)
{
	struct value v = {.kind = INT};
	const char *from = *at, *to = digits(from, end), *past = after_dot ? to : fraction(to, end);
	struct span s;
	if (end - from > 1 && *from == '0' && strchr("xXoObB", from[1]) && from[1])
		work_fail(w, "numbers of another base than 10 are not supported");
	*at = past;
	s = (struct span){from, (size_t)(past - from)};
	if (past > to) {
		v.kind = FLOAT;
		if (!parse_real(w, s, &v.f))
			work_fail(w, "`%.*s` is not a number", SHOWN(s));
	} else if ((*from == '0' && strspn(from, "0_") < s.n) || !parse_whole(w, s, 10, &v.i))
		work_fail(w, "`%.*s` is not a number", SHOWN(s));
	return v;
}

static void refuse_other_digits(struct work *w, struct span s)
{
	uint32_t point;
	for (size_t i = 0; i < s.n;) {
		i += (size_t)utf8_decode(s.at + i, &point);
		if (point >= 0x80 && is_numeric(point))
			work_fail(w, "digits outside ASCII are not supported");
	}
}

/* A copy without underscores, which are between digits, NUL-terminated; NULL: they are elsewhere, or it is too long. */
static const char *plain_number(struct span s, char out[400])
{
	size_t n = 0;
	if (s.n >= 400)
		return NULL;
	for (size_t i = 0; i < s.n; i++) {
		char before = i ? s.at[i - 1] : 0, after = i + 1 < s.n ? s.at[i + 1] : 0;
		if (!s.at[i] || (s.at[i] == '_' && (hex_digit(before) < 0 || hex_digit(after) < 0)))
			return NULL;
		if (s.at[i] != '_')
			out[n++] = s.at[i];
	}
	out[n] = 0;
	return out;
}

bool parse_whole(struct work *w, struct span s, int base, int64_t *out)
{
	char copy[400], *end;
	const char *text;
	if (base != 10)
		work_fail(w, "numbers of another base than 10 are not supported");
	s = strip(s, NULL, STRIP_LEFT | STRIP_RIGHT);
	refuse_other_digits(w, s);
	if (!(text = plain_number(s, copy)))
		return false;
	size_t sign = *text == '-' || *text == '+';
	if (!is_digit(text[sign]) || strspn(text + sign, "0123456789") != strlen(text + sign))
		return false;
	errno = 0;
	*out = strtoll(text, &end, 10);
	if (errno)
		work_fail(w, "an integer is too large: %.60s", text);
	return true;
}

static bool is_word_number(const char *s)
{
	s += *s == '-' || *s == '+';
	return !strcasecmp(s, "inf") || !strcasecmp(s, "infinity") || !strcasecmp(s, "nan");
}

bool parse_real(struct work *w, struct span s, double *out)
{
	char copy[400], *end;
	s = strip(s, NULL, STRIP_LEFT | STRIP_RIGHT);
	refuse_other_digits(w, s);
	if (s.n >= sizeof copy)
		work_fail(w, "a number has too many digits");
	const char *text = plain_number(s, copy);
	if (!text || !*text || (strspn(text, "0123456789.eE+-") != strlen(text) && !is_word_number(text)))
		return false;
	*out = strtod(text, &end);
	return !*end;
}
