/* Numbers and units: their lengths in a text, and their values. */
#include "units.h"
#include "../support/names.h"
#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct unit {
	const char *word;
	double scale;
	struct dims dims;
};

#define PURE     0
#define DATA     [DIM_DATA] = 1
#define TIME     [DIM_TIME] = 1
#define PER_TIME [DIM_TIME] = -1
#define FLOP     [DIM_FLOP] = 1
#define TOKEN    [DIM_TOKEN] = 1
#define REQUEST  [DIM_REQUEST] = 1
#define PARAM    [DIM_PARAM] = 1
#define MONEY    [DIM_MONEY] = 1
#define ENERGY   [DIM_ENERGY] = 1

static const struct unit units[] = {
#define U(word, scale, ...) {word, scale, {{__VA_ARGS__}}},
#define TRAP(word, code, meant, other)
#include "units.def"
#undef U
#undef TRAP
};
static const struct unit_trap traps[] = {
#define U(word, scale, ...)
#define TRAP(word, code, meant, other) {word, DIAG_##code, meant, other},
#include "units.def"
#undef U
#undef TRAP
};
#define COUNT(a) (sizeof(a) / sizeof *(a))

static bool same(const char *word, const char *s, size_t n)
{
	return word[0] == s[0] && !strncmp(word, s, n) && !word[n];
}

const struct unit_trap *unit_trap(const char *s, size_t n)
{
	for (size_t i = 0; i < COUNT(traps); i++)
		if (same(traps[i].word, s, n))
			return &traps[i];
	return NULL;
}

static const struct unit *find_unit(const char *s, size_t n)
{
	for (size_t i = 0; i < COUNT(units); i++)
		if (same(units[i].word, s, n))
			return &units[i];
	const struct unit_trap *trap = unit_trap(s, n);
	return trap ? find_unit(trap->meant, strlen(trap->meant)) : NULL;
}

const char *nearest_unit(const char *word)
{
	const char *words[COUNT(units)];
	for (size_t i = 0; i < COUNT(units); i++)
		words[i] = units[i].word;
	return nearest_name(word, words, COUNT(units));
}

size_t unit_word_length(const char *s, size_t n)
{
	size_t i = 0;
	while (i < n && s[i] != '/' && s[i] != '*' && s[i] != '^')
		i++;
	return i;
}

static size_t digits(const char *s, size_t n, size_t i)
{
	while (i < n && isdigit((unsigned char)s[i]))
		i++;
	return i;
}

static size_t digits_and_gaps(const char *s, size_t n, size_t i)
{
	while (i < n && (isdigit((unsigned char)s[i]) || s[i] == '_'))
		i++;
	return i;
}

size_t number_length(const char *s, size_t n)
{
	size_t i = digits_and_gaps(s, n, 0);
	if (i + 1 < n && s[i] == '.' && isdigit((unsigned char)s[i + 1]))
		i = digits_and_gaps(s, n, i + 1);
	if (i < n && (s[i] == 'e' || s[i] == 'E')) {
		size_t sign = i + 1 < n && (s[i + 1] == '+' || s[i + 1] == '-');
		size_t end = digits(s, n, i + 1 + sign);
		if (end > i + 1 + sign)
			i = end;
	}
	return i;
}

size_t unit_prefix(const char *s, size_t n)
{
	size_t good = 0, i = 0;
	for (;;) {
		size_t word = unit_word_length(s + i, n - i);
		if (!find_unit(s + i, word))
			return good;
		i += word;
		if (i + 1 < n && s[i] == '^' && isdigit((unsigned char)s[i + 1]))
			i = digits(s, n, i + 1);
		good = i;
		if (i >= n || s[i] == '^')
			return good;
		i++;
	}
}

/* ---- values ---------------------------------------------------------------------------------- */

static double decimal_value(const char *s, size_t n)
{
	char small[64], *copy = n < sizeof small ? small : heap_malloc(n + 1);
	size_t length = 0;
	for (size_t i = 0; i < n; i++)
		if (s[i] != '_')
			copy[length++] = s[i];
	copy[length] = 0;
	double value = strtod(copy, NULL);
	if (copy != small)
		heap_free(copy);
	return value;
}

/* false: more than 63 bits. */
static bool integer_value(const char *s, size_t n, long long *value)
{
	long long v = 0;
	for (size_t i = 0; i < n; i++)
		if (s[i] != '_'
		    && (__builtin_mul_overflow(v, 10LL, &v) || __builtin_add_overflow(v, (long long)(s[i] - '0'), &v)))
			return false;
	*value = v;
	return true;
}

bool number_value(const char *text, long long *i, double *f, bool *is_int)
{
	size_t n = strlen(text);
	*f = decimal_value(text, n);
	*i = 0;
	*is_int = !strpbrk(text, ".eE");
	return *is_int ? integer_value(text, n, i) : isfinite(*f);
}

/* Exponents beyond any use are clamped, so that their sums stay in range. */
static int clamp(int power) { return power < -99 ? -99 : power > 99 ? 99 : power; }

double quantity_value(const char *text, struct dims *dims)
{
	size_t n = strlen(text), i = number_length(text, n);
	double value = decimal_value(text, i);
	int sign = 1;
	*dims = (struct dims){{0}};
	while (i < n && text[i] == ' ')
		i++;
	while (i < n) {
		size_t word = unit_word_length(text + i, n - i);
		const struct unit *u = find_unit(text + i, word);
		if (!u)
			internal_error("`%s` is not a quantity", text);
		i += word;
		int power = sign;
		if (i < n && text[i] == '^') {
			size_t end = digits(text, n, i + 1);
			power = sign * clamp(end - i > 3 ? 99 : atoi(text + i + 1));
			i = end;
		}
		value *= pow(u->scale, power);
		for (int d = 0; d < DIM_COUNT; d++)
			dims->power[d] = (signed char)clamp(dims->power[d] + power * u->dims.power[d]);
		sign = i < n && text[i] == '/' ? -1 : 1;
		i++;
	}
	return value;
}
