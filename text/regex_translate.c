/* Oniguruma's patterns for PCRE2. Where the two libraries differ, the pattern is rewritten; what has no equal, or none
 * that published tokenizers need, is refused.
 *
 * \s, \w, \v, scripts and {,n} mean other things to PCRE2. A `+` after {n,m} repeats in Oniguruma and is possessive in
 * PCRE2. Without regard to case, Oniguruma also finds one character for two, such as U+FB06 for `st`. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include "regex.h"
#include "utf8.h"

/* The elements of a class that is \s or \w. */
#define SPACES "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define WORDS  "\\p{L}\\p{M}\\p{N}\\p{Pc}"

enum { MAX_GROUPS = 100, MAX_REPEAT = 1000 };
struct translation {
	const char *at, *end;
	struct bytes *out;
	char *why;
	size_t room;
	int depth;
	bool caseless[MAX_GROUPS + 1]; /* of each open group */
	char letter;                   /* the letter that was the last element, where case does not matter; 0: none */
};

static bool refuse(struct translation *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(struct translation *t, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(t->why, t->room, fmt, args);
	va_end(args);
	return false;
}

static bool put(struct translation *t, const char *text)
{
	bytes_add(t->out, text, strlen(text));
	return true;
}

static bool starts(const struct translation *t, const char *text)
{
	size_t n = strlen(text);
	return (size_t)(t->end - t->at) >= n && !memcmp(t->at, text, n);
}

/* Skips `from` and writes `to`, if the rest begins with `from`. */
static bool replace(struct translation *t, const char *from, const char *to)
{
	if (!starts(t, from))
		return false;
	t->at += strlen(from);
	return put(t, to);
}

/* ---- escapes --------------------------------------------------------------------------------- */
/* \p{Lu}, \p{^Lu}, \P{Lu}, \p{Han}: a general category, a script, or \p{Alphabetic}. */
static bool translate_property(struct translation *t)
{
	bool negated = *t->at++ == 'P';
	const char *close = t->at < t->end && *t->at == '{' ? memchr(t->at, '}', (size_t)(t->end - t->at)) : NULL;
	if (!close)
		return refuse(t, "`\\p` without {NAME} is not supported");
	const char *name = t->at + 1;
	if (*name == '^') {
		negated = !negated;
		name++;
	}
	int n = (int)(close - name);
	for (int i = 0; i < n; i++)
		if (!isalpha((unsigned char)name[i]) && name[i] != '_')
			return refuse(t, "the property `%.*s` is not supported", n, name);
	bool category = (n == 1 || n == 2) && memchr("LMNPSZC", *name, 7) && (n == 1 || islower((unsigned char)name[1]));
	bool as_it_is = category || (n == 10 && !memcmp(name, "Alphabetic", 10));
	char text[64];
	if (n < 1 || n > 32)
		return refuse(t, "a property of %d letters is not supported", n);
	snprintf(text, sizeof text, "\\%c{%s%.*s}", negated ? 'P' : 'p', as_it_is ? "" : "sc:", n, name);
	t->at = close + 1;
	return put(t, text);
}

/* \xHH, \x{H...}, \uHHHH */
static bool translate_code(struct translation *t)
{
	char digits[9] = "", text[24];
	bool braces = t->at[0] == 'x' && t->at + 1 < t->end && t->at[1] == '{';
	size_t n = 0, max = braces ? 8 : *t->at == 'u' ? 4 : 2;
	t->at += braces ? 2 : 1;
	while (n < max && t->at < t->end && isxdigit((unsigned char)*t->at))
		digits[n++] = *t->at++;
	unsigned long point = strtoul(digits, NULL, 16);
	if (!n || (braces && (t->at == t->end || *t->at++ != '}')))
		return refuse(t, "`\\x` without a code is not supported");
	if (max == 2 && point >= 0x80)
		return refuse(t, "`\\x%s` is a byte, not a character", digits);
	if (t->caseless[t->depth] && point >= 0x80)
		return refuse(t, "characters above U+007F without regard to case are not supported");
	snprintf(text, sizeof text, "\\x{%lx}", point);
	return put(t, text);
}

/* The escape after a backslash. *set: it stands for several characters. */
static bool translate_escape(struct translation *t, bool in_class, bool *set)
{
	*set = true;
	if (t->at == t->end)
		return refuse(t, "it ends with a backslash");
	if (replace(t, "s", in_class ? SPACES : "[" SPACES "]")
	    || replace(t, "S", in_class ? "\\P{WSpace}" : "[^" SPACES "]")
	    || replace(t, "w", in_class ? WORDS : "[" WORDS "]") || (!in_class && replace(t, "W", "[^" WORDS "]"))
	    || replace(t, "d", "\\p{Nd}") || replace(t, "D", "\\P{Nd}"))
		return true;
	if (*t->at == 'p' || *t->at == 'P')
		return translate_property(t);
	*set = false;
	if (replace(t, "v", "\\x{b}") || replace(t, "n", "\\n") || replace(t, "r", "\\r") || replace(t, "t", "\\t")
	    || replace(t, "f", "\\f") || (!in_class && (replace(t, "A", "\\A") || replace(t, "z", "\\z"))))
		return true;
	if (*t->at == 'x' || *t->at == 'u')
		return translate_code(t);
	if (!ispunct((unsigned char)*t->at))
		return refuse(t, "`\\%.*s` is not supported", utf8_length(*t->at), t->at);
	bytes_add(t->out, (char[]){'\\', *t->at++}, 2);
	return true;
}

/* ---- characters ------------------------------------------------------------------------------ */
/* A character that stands for itself. */
static bool translate_character(struct translation *t)
{
	static const char *const folded[] = {"ss", "st", "ff", "fi", "fl"};
	size_t n = (size_t)utf8_length(*t->at);
	if (t->caseless[t->depth]) {
		char c = (char)tolower((unsigned char)*t->at);
		if (n > 1)
			return refuse(t, "characters above U+007F without regard to case are not supported");
		for (size_t i = 0; i < sizeof folded / sizeof *folded; i++)
			if (t->letter == folded[i][0] && c == folded[i][1])
				return refuse(t, "`%s` without regard to case is not supported", folded[i]);
		t->letter = c;
	}
	bytes_add(t->out, t->at, n);
	t->at += n;
	return true;
}

static bool class_character(struct translation *t)
{
	if (*t->at == '[')
		return refuse(t, "a class in a class is not supported");
	if (starts(t, "&&"))
		return refuse(t, "`&&` in a class is not supported");
	t->letter = 0;
	return translate_character(t);
}

/* One element; `between`: a `-` before it, which is not the first element, makes it the end of a range. */
static bool class_element(struct translation *t, bool *between, bool *after_set)
{
	bool set = false, dash = *t->at == '-' && t->at + 1 < t->end && t->at[1] != ']';
	if (dash && *after_set)
		return refuse(t, "a range of sets in a class is not supported");
	if (*t->at == '\\' ? (t->at++, !translate_escape(t, true, &set)) : !class_character(t))
		return false;
	if (set && *between)
		return refuse(t, "a range of sets in a class is not supported");
	*between = dash;
	*after_set = set;
	return true;
}

static bool translate_class(struct translation *t)
{
	bool between = false, after_set = false;
	t->at++;
	put(t, "[");
	replace(t, "^", "^");
	if (starts(t, "]"))
		return refuse(t, "a class that begins with `]` is not supported");
	if (starts(t, "-"))
		replace(t, "-", "\\-");
	while (t->at < t->end && *t->at != ']')
		if (!class_element(t, &between, &after_set))
			return false;
	if (!replace(t, "]", "]"))
		return refuse(t, "a class is not closed");
	return true;
}

/* ---- groups and repetitions ------------------------------------------------------------------ */
static bool translate_group(struct translation *t)
{
	static const char *const kinds[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!", "(?i:"};
	enum { KINDS = sizeof kinds / sizeof *kinds };
	if (t->depth == MAX_GROUPS)
		return refuse(t, "groups are nested deeper than %d", MAX_GROUPS);
	t->caseless[t->depth + 1] = t->caseless[t->depth] || starts(t, "(?i:");
	t->depth++;
	for (int i = 0; i < KINDS; i++)
		if (replace(t, kinds[i], kinds[i]))
			return true;
	if (starts(t, "(?") || starts(t, "(*"))
		return refuse(t, "the group `%.*s` is not supported", t->end - t->at < 3 ? 2 : 3, t->at);
	return replace(t, "(", "(?:");
}

static bool end_group(struct translation *t)
{
	if (!t->depth)
		return refuse(t, "`)` closes no group");
	t->depth--;
	return replace(t, ")", ")");
}

static const char *read_count(const char *at, const char *end, long *count)
{
	*count = -1;
	for (; at < end && isdigit((unsigned char)*at); at++)
		*count = *count < 0 ? *at - '0' : *count > MAX_REPEAT ? *count : *count * 10 + (*at - '0');
	return at;
}

/* {n}, {n,}, {,m}, {n,m}; any other `{` stands for itself. */
static bool translate_interval(struct translation *t)
{
	long min, max;
	char text[64];
	const char *at = read_count(t->at + 1, t->end, &min);
	bool comma = at < t->end && *at == ',';
	at = read_count(comma ? at + 1 : at, t->end, &max);
	if (at == t->end || *at != '}' || (min < 0 && max < 0))
		return replace(t, "{", "\\{");
	at++;
	if (min > MAX_REPEAT || max > MAX_REPEAT)
		return refuse(t, "more than %d repetitions are not supported", MAX_REPEAT);
	if (at < t->end && (*at == '+' || (*at == '?' && !comma)))
		return refuse(t, "`}%c` is not supported", *at);
	t->at = at;
	if (comma && max < 0)
		snprintf(text, sizeof text, "{%ld,}", min);
	else
		snprintf(text, sizeof text, "{%ld,%ld}", min < 0 ? 0 : min, comma ? max : min);
	return put(t, text);
}

static bool translate_next(struct translation *t)
{
	bool set, character = false, ok;
	switch (*t->at) {
	case '\\':
		t->at++;
		ok = translate_escape(t, false, &set);
		break;
	case '[': ok = translate_class(t); break;
	case '(': ok = translate_group(t); break;
	case ')': ok = end_group(t); break;
	case '{': ok = translate_interval(t); break;
	default:  character = !memchr("*+?|^$.", *t->at, 7); ok = translate_character(t);
	}
	if (!character)
		t->letter = 0;
	return ok;
}

bool regex_translate(struct span pattern, struct bytes *out, char *why, size_t room)
{
	struct translation t = {.at = pattern.at, .end = pattern.at + pattern.n, .out = out, .why = why, .room = room};
	if (replace(&t, "(?i)", "(?i)"))
		t.caseless[0] = true;
	while (t.at < t.end)
		if (!translate_next(&t))
			return false;
	return true;
}
