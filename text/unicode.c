/* Normal forms in time n log n: utf8proc itself sorts combining marks in quadratic time. */
#include <utf8proc.h>
#include "unicode.h"
#include "utf8.h"

/* ---- properties ------------------------------------------------------------------------------ */
bool is_space(uint32_t c)
{
	return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A)
	       || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool in_categories(uint32_t c, int first, int last)
{
	int category = utf8proc_category((utf8proc_int32_t)c);
	return category >= first && category <= last;
}

bool is_numeric(uint32_t c) { return in_categories(c, UTF8PROC_CATEGORY_ND, UTF8PROC_CATEGORY_NO); }
bool is_mark(uint32_t c) { return in_categories(c, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME); }

bool is_punctuation(uint32_t c)
{
	return c < 0x80 ? c > ' ' && c < 0x7F && !in_categories(c, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NO)
	                : in_categories(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PO);
}

/* Alphabetic are the letters, the numbers that are letters, and some symbols. */
bool is_word(uint32_t c)
{
	return in_categories(c, UTF8PROC_CATEGORY_LU, UTF8PROC_CATEGORY_NL)
	       || in_categories(c, UTF8PROC_CATEGORY_PC, UTF8PROC_CATEGORY_PC) || c == 0x200C || c == 0x200D
	       || (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169)
	       || (c >= 0x1F170 && c <= 0x1F189);
}

/* ---- normal forms ---------------------------------------------------------------------------- */
struct points {
	utf8proc_int32_t *at;
	size_t n, room;
};

static int combining_class(utf8proc_int32_t c) { return utf8proc_get_property(c)->combining_class; }

static void decompose(struct span text, utf8proc_option_t options, struct points *p)
{
	enum { LONGEST = 32 }; /* no character has so long a decomposition */
	int boundary = 0;
	for (const char *at = text.at, *end = at + text.n; at < end;) {
		uint32_t c;
		at += utf8_decode(at, &c);
		if (p->room - p->n < LONGEST) {
			p->room = 2 * p->room + text.n + LONGEST;
			p->at = text_grow(p->at, p->room, sizeof *p->at);
		}
		p->n += (size_t)utf8proc_decompose_char((utf8proc_int32_t)c, p->at + p->n, LONGEST, options, &boundary);
	}
}

/* Sorts n marks by class, those of one class in their order. */
static void sort_marks(utf8proc_int32_t *mark, size_t n)
{
	size_t first[257] = {0};
	if (n == 2 && combining_class(mark[0]) > combining_class(mark[1])) {
		utf8proc_int32_t swapped = mark[0];
		mark[0] = mark[1];
		mark[1] = swapped;
	}
	if (n < 3)
		return;
	utf8proc_int32_t *sorted = text_grow(NULL, n, sizeof *sorted);
	for (size_t i = 0; i < n; i++)
		first[combining_class(mark[i]) + 1]++;
	for (int i = 1; i < 257; i++)
		first[i] += first[i - 1];
	for (size_t i = 0; i < n; i++)
		sorted[first[combining_class(mark[i])]++] = mark[i];
	memcpy(mark, sorted, n * sizeof *mark);
	free(sorted);
}

static void sort_all_marks(struct points *p)
{
	for (size_t i = 0; i < p->n; i++) {
		size_t begin = i;
		while (i < p->n && combining_class(p->at[i]))
			i++;
		if (i - begin > 1)
			sort_marks(p->at + begin, i - begin);
	}
}

static bool is_ascii(struct span text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.at[i] >= 0x80)
			return false;
	return true;
}

void normal_form(enum normal_form form, struct span text, struct bytes *out)
{
	bool compose = form == FORM_NFC || form == FORM_NFKC, compatible = form == FORM_NFKC || form == FORM_NFKD;
	utf8proc_option_t options = UTF8PROC_STABLE | (compatible ? UTF8PROC_COMPAT : 0);
	struct points p = {0};
	if (is_ascii(text)) {
		bytes_add(out, text.at, text.n);
		return;
	}
	decompose(text, options | UTF8PROC_DECOMPOSE, &p);
	sort_all_marks(&p);
	if (compose)
		p.n = (size_t)utf8proc_normalize_utf32(p.at, (utf8proc_ssize_t)p.n, options | UTF8PROC_COMPOSE);
	for (size_t i = 0; i < p.n; i++)
		out->n += (size_t)utf8_write((uint32_t)p.at[i], bytes_reserve(out, 4));
	free(p.at);
}

void lower_case(struct span text, struct bytes *out)
{
	for (const char *at = text.at, *end = at + text.n; at < end;) {
		uint32_t c;
		at += utf8_decode(at, &c);
		uint32_t lower =
			c < 0x80 ? c + (c >= 'A' && c <= 'Z' ? 32 : 0) : (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
		if (c == 0x130) /* the only character whose lower case is two */
			bytes_add(out, "i\xCC\x87", 3);
		else
			out->n += (size_t)utf8_write(lower, bytes_reserve(out, 4));
	}
}
