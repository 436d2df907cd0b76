/* Arithmetic of numbers, and + and * of strings and lists. */
#include <math.h>
#include "arithmetic.h"
#include "strings.h"

static _Noreturn void too_large(struct work *w) { work_fail(w, "the result of a calculation is too large"); }

static _Noreturn void fail_operands(struct work *w, char op, struct value a, struct value b)
{
	char one[] = {op, 0};
	const char *name = op == 'p' ? "**" : op == 'd' ? "//" : one;
	if (a.kind == UNDEFINED || b.kind == UNDEFINED)
		fail_undefined(w, a.kind == UNDEFINED ? a : b);
	if (op == '%' && a.kind == STRING)
		work_fail(w, "formatting a string by `%%` is not supported");
	work_fail(w, "`%s` does not apply to %s and %s", name, kind_name(a), kind_name(b));
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */
static int64_t floor_divide(struct work *w, int64_t a, int64_t b)
{
	if (a == INT64_MIN && b == -1)
		too_large(w);
	return a / b - (a % b && (a < 0) != (b < 0));
}

static int64_t power(struct work *w, int64_t a, int64_t b)
{
	int64_t out = 1;
	if (a >= -1 && a <= 1)
		return a == -1 ? (b % 2 ? -1 : 1) : b ? a : 1;
	for (; b; b--)
		if (__builtin_mul_overflow(out, a, &out))
			too_large(w);
	return out;
}

static struct value calculate_whole(struct work *w, char op, int64_t a, int64_t b)
{
	int64_t out = 0;
	bool over = false;
	if (b == 0 && (op == '/' || op == 'd' || op == '%'))
		work_fail(w, "division by zero");
	switch (op) {
	case '+': over = __builtin_add_overflow(a, b, &out); break;
	case '-': over = __builtin_sub_overflow(a, b, &out); break;
	case '*': over = __builtin_mul_overflow(a, b, &out); break;
	case 'd': out = floor_divide(w, a, b); break;
	case '%': out = b == -1 ? 0 : a - b * floor_divide(w, a, b); break;
	case 'p': out = power(w, a, b); break;
	}
	if (over)
		too_large(w);
	return integer(out);
}

static double remainder_of(double a, double b)
{
	double out = fmod(a, b);
	return out && (out < 0) != (b < 0) ? out + b : out ? out : copysign(0, b);
}

static double floor_quotient(double a, double b)
{
	double rest = fmod(a, b), out = (a - rest) / b;
	if (rest && (rest < 0) != (b < 0))
		out -= 1;
	if (!out)
		return copysign(0, a / b);
	double down = floor(out);
	return out - down > 0.5 ? down + 1 : down;
}

static struct value calculate_real(struct work *w, char op, double a, double b)
{
	if (b == 0 && (op == '/' || op == 'd' || op == '%'))
		work_fail(w, "division by zero");
	switch (op) {
	case '+': return real(a + b);
	case '-': return real(a - b);
	case '*': return real(a * b);
	case '/': return real(a / b);
	case 'd': return real(floor_quotient(a, b));
	case '%': return real(remainder_of(a, b));
	}
	if ((a == 0 && b < 0) || (a < 0 && isfinite(b) && b != floor(b)))
		work_fail(w, "a power is not a real number");
	double out = pow(a, b);
	if (isinf(out) && isfinite(a) && isfinite(b))
		too_large(w);
	return real(out);
}

static bool is_exact(int64_t i) { return i >= -(INT64_C(1) << 53) && i <= INT64_C(1) << 53; }

static struct value calculate_numbers(struct work *w, char op, struct value a, struct value b)
{
	if (a.kind == FLOAT || b.kind == FLOAT)
		return calculate_real(w, op, number(a), number(b));
	if (op != '/' && !(op == 'p' && whole(b) < 0))
		return calculate_whole(w, op, whole(a), whole(b));
	/* The quotient of two integers is rounded once. */
	if (!is_exact(whole(a)) || !is_exact(whole(b)))
		too_large(w);
	return calculate_real(w, op, number(a), number(b));
}

/* ---- strings and lists ----------------------------------------------------------------------------------------- */
static struct value join_lists(struct work *w, struct value a, struct value b)
{
	struct value out = list_new(w, a.kind);
	for (size_t i = 0; i < a.list->n; i++)
		list_add(w, out, a.list->at[i]);
	for (size_t i = 0; i < b.list->n; i++)
		list_add(w, out, b.list->at[i]);
	return out;
}

static struct value repeat(struct work *w, struct value v, int64_t times)
{
	struct text out = {.work = w};
	bool empty = v.kind == STRING ? !v.s.n : !v.list->n;
	if (v.kind == STRING) {
		for (int64_t i = 0; i < times && !empty; i++)
			text_span(&out, v.s);
		return string(text_end(&out));
	}
	struct value list = list_new(w, v.kind);
	for (int64_t i = 0; i < times && !empty; i++)
		for (size_t j = 0; j < v.list->n; j++)
			list_add(w, list, v.list->at[j]);
	return list;
}

static bool can_repeat(struct value v) { return v.kind == STRING || v.kind == LIST || v.kind == TUPLE; }

/* If one is safe, the other is escaped, and the sum is safe. */
static struct value add_strings(struct work *w, struct value a, struct value b)
{
	bool safe = is_safe(a) || is_safe(b);
	struct span left = safe && !is_safe(a) ? escape_html(w, a.s) : a.s;
	struct span right = safe && !is_safe(b) ? escape_html(w, b.s) : b.s;
	struct text out = {.work = w, .room = left.n + right.n + 1};
	out.at = work_alloc(w, out.room);
	text_span(&out, left);
	text_span(&out, right);
	return safe ? safe_string(text_end(&out)) : string(text_end(&out));
}

struct value calculate(struct work *w, char op, struct value a, struct value b)
{
	if (is_number(a) && is_number(b))
		return calculate_numbers(w, op, a, b);
	if (op == '*') {
		check_unsafe(w, a);
		check_unsafe(w, b);
	}
	if (op == '*' && can_repeat(a) && is_whole(b))
		return repeat(w, a, whole(b));
	if (op == '*' && can_repeat(b) && is_whole(a))
		return repeat(w, b, whole(a));
	if (op == '+' && a.kind == STRING && b.kind == STRING)
		return add_strings(w, a, b);
	if (op != '+' || a.kind != b.kind || !can_repeat(a))
		fail_operands(w, op, a, b);
	return join_lists(w, a, b);
}

static void check_number(struct work *w, struct value v, const char *sign)
{
	if (v.kind == UNDEFINED)
		fail_undefined(w, v);
	if (!is_number(v))
		work_fail(w, "`%s` does not apply to %s", sign, kind_name(v));
}

struct value negative(struct work *w, struct value v)
{
	check_number(w, v, "-");
	return v.kind == FLOAT ? real(-v.f) : calculate_whole(w, '-', 0, whole(v));
}

struct value positive(struct work *w, struct value v)
{
	check_number(w, v, "+");
	return v.kind == FLOAT ? v : integer(whole(v));
}
