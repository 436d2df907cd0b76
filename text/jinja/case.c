/* Upper, lower and title case by the tables of utf8proc, one character for one. */
#include <utf8proc.h>
#include "../utf8.h"
#include "strings.h"

enum letter_case { UPPER, LOWER, TITLE };

/* Characters whose upper or title case is several characters (SpecialCasing.txt of Unicode). */
static bool becomes_several(uint32_t p)
{
	return p == 0xDF || p == 0x149 || p == 0x1F0 || p == 0x390 || p == 0x3B0 || p == 0x587
	       || (p >= 0x1E96 && p <= 0x1E9A) || p == 0x1F50 || p == 0x1F52 || p == 0x1F54 || p == 0x1F56
	       || (p >= 0x1F80 && p <= 0x1FFC) || (p >= 0xFB00 && p <= 0xFB17);
}

static uint32_t convert(struct work *w, uint32_t point, enum letter_case to)
{
	static const char *const names[] = {"upper", "lower", "title"};
	/* I with a dot; a capital sigma, which is lower case differently at the end of a word. */
	if (to == LOWER ? point == 0x130 || point == 0x3A3 : becomes_several(point))
		work_fail(w, "%s case of U+%04X is not supported", names[to], point);
	utf8proc_int32_t p = (utf8proc_int32_t)point;
	return (uint32_t)(to == UPPER ? utf8proc_toupper(p) : to == LOWER ? utf8proc_tolower(p) : utf8proc_totitle(p));
}

static void add_point(struct text *out, uint32_t point)
{
	char s[4];
	text_append(out, s, (size_t)utf8_write(point, s));
}

static struct span convert_all(struct work *w, struct span s, enum letter_case to)
{
	struct text out = {.work = w};
	uint32_t point;
	for (size_t i = 0; i < s.n;) {
		i += (size_t)utf8_decode(s.at + i, &point);
		add_point(&out, convert(w, point, to));
	}
	return text_end(&out);
}

struct span to_upper(struct work *w, struct span s) { return convert_all(w, s, UPPER); }
struct span to_lower(struct work *w, struct span s) { return convert_all(w, s, LOWER); }

struct span capitalize(struct work *w, struct span s)
{
	struct text out = {.work = w};
	uint32_t point;
	if (!s.n)
		return s;
	size_t n = (size_t)utf8_decode(s.at, &point);
	add_point(&out, convert(w, point, TITLE));
	text_span(&out, to_lower(w, (struct span){s.at + n, s.n - n}));
	return text_end(&out);
}

/* Words of str.title are runs of cased characters. */
struct span title_words(struct work *w, struct span s)
{
	struct text out = {.work = w};
	bool in_word = false;
	uint32_t point;
	for (size_t i = 0; i < s.n;) {
		i += (size_t)utf8_decode(s.at + i, &point);
		utf8proc_int32_t p = (utf8proc_int32_t)point;
		add_point(&out, convert(w, point, in_word ? LOWER : TITLE));
		in_word = utf8proc_islower(p) || utf8proc_isupper(p) || utf8proc_category(p) == UTF8PROC_CATEGORY_LT;
	}
	return text_end(&out);
}

/* Words of the filter begin after whitespace and any of -({[<. */
struct span title_parts(struct work *w, struct span s)
{
	struct text out = {.work = w};
	bool first = true;
	uint32_t point;
	for (size_t i = 0; i < s.n;) {
		i += (size_t)utf8_decode(s.at + i, &point);
		bool between = is_whitespace(point) || (point < 0x80 && strchr("-({[<", (int)point) && point);
		add_point(&out, between ? point : convert(w, point, first ? UPPER : LOWER));
		first = between;
	}
	return text_end(&out);
}
