/* Filters that make numbers, and `default`. */
#include <math.h>
#include <stdio.h>
#include "arithmetic.h"
#include "filters.h"
#include "literal.h"
#include "sequence.h"

static struct value do_default(struct work *w, const struct value *v)
{
	(void)w;
	bool missing = v[0].kind == UNDEFINED || (flag_argument(v[2], false) && !is_true(v[0]));
	return !missing ? v[0] : v[1].kind == ABSENT ? string(SPAN("")) : v[1];
}

static struct value whole_part(struct work *w, double f)
{
	if (!isfinite(f) || f >= 0x1p63 || f < -0x1p63)
		work_fail(w, "a float is too large for an integer");
	return integer((int64_t)f);
}

static struct value do_int(struct work *w, const struct value *v)
{
	struct value missing = v[1].kind == ABSENT ? integer(0) : v[1], in = v[0];
	int64_t base = whole_argument(w, v[2], 10), i;
	double f;
	if (in.kind == UNDEFINED)
		fail_undefined(w, in);
	if (is_whole(in))
		return integer(whole(in));
	if (in.kind == FLOAT)
		return isnan(in.f) ? missing : whole_part(w, in.f);
	if (in.kind != STRING)
		return missing;
	if (parse_whole(w, in.s, base == 10 ? 10 : 0, &i))
		return integer(i);
	return parse_real(w, in.s, &f) && isfinite(f) ? whole_part(w, f) : missing;
}

static struct value do_float(struct work *w, const struct value *v)
{
	double f;
	if (v[0].kind == UNDEFINED)
		fail_undefined(w, v[0]);
	if (is_number(v[0]))
		return real(number(v[0]));
	if (v[0].kind == STRING && parse_real(w, v[0].s, &f))
		return real(f);
	return v[1].kind == ABSENT ? real(0) : v[1];
}

static void check_number(struct work *w, struct value v, const char *filter)
{
	if (v.kind == UNDEFINED)
		fail_undefined(w, v);
	if (!is_number(v))
		work_fail(w, "`%s` does not apply to %s", filter, kind_name(v));
}

static struct value do_abs(struct work *w, const struct value *v)
{
	check_number(w, v[0], "abs");
	if (v[0].kind == FLOAT)
		return real(fabs(v[0].f));
	return whole(v[0]) < 0 ? negative(w, v[0]) : integer(whole(v[0]));
}

/* To so many decimals as Python does it: by the exact value, halves to even. */
static double round_decimals(double f, int decimals)
{
	char s[800];
	if (!isfinite(f) || decimals > 300)
		return f;
	snprintf(s, sizeof s, "%.*f", decimals, f);
	return strtod(s, NULL);
}

static struct value do_round(struct work *w, const struct value *v)
{
	int64_t decimals = whole_argument(w, v[1], 0);
	struct span method = v[2].kind == ABSENT ? SPAN("common") : text_argument(w, v[2], "a method of rounding");
	bool up = span_is(method, "ceil");
	check_number(w, v[0], "round");
	if (decimals < 0 || decimals > 1000)
		work_fail(w, "rounding to %lld decimals is not supported", (long long)decimals);
	if (span_is(method, "common"))
		return is_whole(v[0]) ? integer(whole(v[0])) : real(round_decimals(v[0].f, (int)decimals));
	if (!up && !span_is(method, "floor"))
		work_fail(w, "the method of `round` is not common, ceil or floor");
	double scale = pow(10, (double)decimals), f = number(v[0]) * scale;
	if (!isfinite(f) || !isfinite(scale) || fabs(f) > 0x1p53)
		work_fail(w, "a number is too large to be rounded");
	return real((up ? ceil(f) : floor(f)) / scale);
}

static struct value do_sum(struct work *w, const struct value *v)
{
	struct value sum = v[2].kind == ABSENT ? integer(0) : v[2], absent = {.kind = ABSENT};
	const struct list *l = elements(w, v[0]);
	for (size_t i = 0; i < l->n; i++)
		sum = calculate(w, '+', sum, item_by_path(w, l->at[i], v[1], absent));
	return sum;
}

const struct builtin number_filters[] = {
	{.name = "default", .run = do_default, .parameters = {"default_value", "boolean"}},
	{.name = "d", .run = do_default, .parameters = {"default_value", "boolean"}},
	{.name = "int", .run = do_int, .parameters = {"default", "base"}},
	{.name = "float", .run = do_float, .parameters = {"default"}},
	{.name = "abs", .run = do_abs},
	{.name = "round", .run = do_round, .parameters = {"precision", "method"}},
	{.name = "sum", .run = do_sum, .parameters = {"attribute", "start"}},
	{.name = NULL},
};
