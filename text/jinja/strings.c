/* Searching, cutting and replacing. */
#include "../utf8.h"
#include "strings.h"

size_t count_characters(struct work *w, struct span s)
{
	size_t n = 0;
	work_bytes(w, s.n);
	for (size_t i = 0; i < s.n; i++)
		n += (s.at[i] & 0xC0) != 0x80;
	return n;
}

const char *character_at(struct span s, size_t n)
{
	const char *at = s.at, *end = s.at + s.n;
	while (n-- && at < end)
		at += utf8_length(*at);
	return at;
}

bool is_whitespace(uint32_t p)
{
	return (p >= 9 && p <= 13) || (p >= 0x1C && p <= 0x20) || p == 0x85 || p == 0xA0 || p == 0x1680
	       || (p >= 0x2000 && p <= 0x200A) || p == 0x2028 || p == 0x2029 || p == 0x202F || p == 0x205F || p == 0x3000;
}

const char *find_span(struct span s, struct span part)
{
	return part.n ? s.n ? memmem(s.at, s.n, part.at, part.n) : NULL : s.at;
}

/* The first occurrence of the reversed part in the reversed text would be linear; this is, for parts that do not repeat
 * themselves, and callers count the steps. */
const char *find_last(struct span s, struct span part)
{
	for (size_t i = s.n; i + 1 > part.n; i--)
		if (!part.n || !memcmp(s.at + i - part.n, part.at, part.n))
			return s.at + i - part.n;
	return NULL;
}

/* ---- strip ----------------------------------------------------------------------------------------------------- */
static bool strips(const char *at, const struct span *chars)
{
	uint32_t point;
	size_t n = (size_t)utf8_decode(at, &point);
	return chars ? find_span(*chars, (struct span){at, n}) != NULL : is_whitespace(point);
}

struct span strip(struct span s, const struct span *chars, int sides)
{
	const char *at = s.at, *end = s.at + s.n;
	while (sides & STRIP_LEFT && at < end && strips(at, chars))
		at += utf8_length(*at);
	while (sides & STRIP_RIGHT && at < end && strips(utf8_before(end), chars))
		end = utf8_before(end);
	return (struct span){at, (size_t)(end - at)};
}

/* ---- split ----------------------------------------------------------------------------------------------------- */
static void add_span(struct work *w, struct value list, const char *at, const char *end)
{
	list_add(w, list, string((struct span){at, (size_t)(end - at)}));
}

static struct value split_words(struct work *w, struct span s, int64_t max)
{
	struct value out = list_new(w, LIST);
	for (s = strip(s, NULL, STRIP_LEFT); s.n; s = strip(s, NULL, STRIP_LEFT)) {
		const char *end = s.at;
		if ((int64_t)out.list->n == max) {
			list_add(w, out, string(s));
			break;
		}
		while (end < s.at + s.n && !strips(end, NULL))
			end += utf8_length(*end);
		add_span(w, out, s.at, end);
		s = (struct span){end, s.n - (size_t)(end - s.at)};
	}
	return out;
}

struct value split(struct work *w, struct span s, const struct span *sep, int64_t max)
{
	work_bytes(w, s.n);
	if (!sep)
		return split_words(w, s, max);
	if (!sep->n)
		work_fail(w, "splits by an empty string");
	struct value out = list_new(w, LIST);
	for (const char *found; max < 0 || (int64_t)out.list->n < max;) {
		if (!(found = find_span(s, *sep)))
			break;
		add_span(w, out, s.at, found);
		s = (struct span){found + sep->n, s.n - (size_t)(found + sep->n - s.at)};
	}
	list_add(w, out, string(s));
	return out;
}

static void reverse_list(struct list *l)
{
	for (size_t i = 0; i < l->n / 2; i++) {
		struct value v = l->at[i];
		l->at[i] = l->at[l->n - 1 - i];
		l->at[l->n - 1 - i] = v;
	}
}

static void split_words_right(struct work *w, struct value out, struct span s, int64_t max)
{
	for (s = strip(s, NULL, STRIP_RIGHT); s.n; s = strip(s, NULL, STRIP_RIGHT)) {
		const char *end = s.at + s.n, *at = end;
		if ((int64_t)out.list->n == max) {
			list_add(w, out, string(s));
			break;
		}
		while (at > s.at && !strips(utf8_before(at), NULL))
			at = utf8_before(at);
		add_span(w, out, at, end);
		s.n = (size_t)(at - s.at);
	}
}

struct value split_right(struct work *w, struct span s, const struct span *sep, int64_t max)
{
	if (max < 0)
		return split(w, s, sep, max);
	work_bytes(w, s.n);
	struct value out = list_new(w, LIST);
	if (!sep) {
		split_words_right(w, out, s, max);
		reverse_list(out.list);
		return out;
	}
	if (!sep->n)
		work_fail(w, "splits by an empty string");
	for (const char *found; (int64_t)out.list->n < max;) {
		if (!(found = find_last(s, *sep)))
			break;
		add_span(w, out, found + sep->n, s.at + s.n);
		s.n = (size_t)(found - s.at);
	}
	list_add(w, out, string(s));
	reverse_list(out.list);
	return out;
}

static bool ends_line(uint32_t p)
{
	return (p >= 10 && p <= 13) || (p >= 0x1C && p <= 0x1E) || p == 0x85 || p == 0x2028 || p == 0x2029;
}

struct value split_lines(struct work *w, struct span s, bool keep_ends)
{
	struct value out = list_new(w, LIST);
	const char *from = s.at, *end = s.at + s.n;
	work_bytes(w, s.n);
	for (const char *at = from; at < end;) {
		uint32_t point;
		const char *next = at + utf8_decode(at, &point);
		if (ends_line(point)) {
			if (point == '\r' && next < end && *next == '\n')
				next++;
			add_span(w, out, from, keep_ends ? next : at);
			from = next;
		}
		at = next;
	}
	if (from < end)
		add_span(w, out, from, end);
	return out;
}

/* ---- replace --------------------------------------------------------------------------------------------------- */
/* Python puts the replacement of nothing before each character and at the end. */
static struct span replace_nothing(struct work *w, struct span s, struct span by, int64_t max)
{
	struct text out = {.work = w};
	size_t i = 0;
	for (size_t n; i <= s.n && max; max -= max > 0, i += n) {
		text_span(&out, by);
		n = i < s.n ? (size_t)utf8_length(s.at[i]) : 1;
		if (i < s.n)
			text_append(&out, s.at + i, n);
	}
	if (i < s.n)
		text_append(&out, s.at + i, s.n - i);
	return text_end(&out);
}

struct span replace(struct work *w, struct span s, struct span old, struct span by, int64_t max)
{
	struct text out = {.work = w};
	work_bytes(w, s.n);
	if (!old.n)
		return replace_nothing(w, s, by, max);
	const char *found = max ? find_span(s, old) : NULL;
	if (!found)
		return s;
	for (; found && max; max -= max > 0) {
		work_steps(w, 1);
		text_append(&out, s.at, (size_t)(found - s.at));
		text_span(&out, by);
		s = (struct span){found + old.n, s.n - (size_t)(found + old.n - s.at)};
		found = find_span(s, old);
	}
	text_span(&out, s);
	return text_end(&out);
}

struct span escape_html(struct work *w, struct span s)
{
	static const char from[] = "&<>\"'";
	static const char *const to[] = {"&amp;", "&lt;", "&gt;", "&#34;", "&#39;"};
	struct text out = {.work = w};
	for (size_t i = 0; i < s.n; i++) {
		const char *found = s.at[i] ? strchr(from, s.at[i]) : NULL;
		if (found)
			text_word(&out, to[found - from]);
		else
			text_append(&out, s.at + i, 1);
	}
	return text_end(&out);
}
