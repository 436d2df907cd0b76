/* Tests: what follows `is`. */
#include <math.h>
#include "arithmetic.h"
#include "filters.h"
#include "sequence.h"

#define TEST(name, condition)                                       \
	static struct value name(struct work *w, const struct value *v) \
	{                                                               \
		(void)w;                                                    \
		return boolean(condition);                                  \
	}
TEST(is_defined, v->kind != UNDEFINED)
TEST(is_undefined, v->kind == UNDEFINED)
TEST(is_none, v->kind == NONE)
TEST(is_string, v->kind == STRING)
TEST(is_mapping, v->kind == DICT)
TEST(is_numeric_value, is_number(*v))
TEST(is_integer, v->kind == INT)
TEST(is_float, v->kind == FLOAT)
TEST(is_boolean, v->kind == BOOL)
TEST(is_the_true, v->kind == BOOL && v->b)
TEST(is_the_false, v->kind == BOOL && !v->b)
TEST(is_iterable, can_walk(*v))
TEST(is_callable, v->kind == MACRO || v->kind == FUNCTION || v->kind == METHOD || v->kind == UNDEFINED)
TEST(is_sequence, v->kind == UNDEFINED || (can_walk(*v) && v->kind != VIEW && v->kind != ITERATOR))
TEST(is_equal, values_equal(w, v[0], v[1]))
TEST(is_different, !values_equal(w, v[0], v[1]))
TEST(is_lower, is_less(w, v[0], v[1]))
TEST(is_higher, is_less(w, v[1], v[0]))
TEST(is_at_most, is_less(w, v[0], v[1]) || values_equal(w, v[0], v[1]))
TEST(is_at_least, is_less(w, v[1], v[0]) || values_equal(w, v[0], v[1]))
TEST(is_in, contains(w, v[1], v[0]))

static bool divides(struct work *w, struct value v, struct value by, int rest)
{
	return values_equal(w, calculate(w, '%', v, by), integer(rest));
}
TEST(is_odd, divides(w, v[0], integer(2), 1))
TEST(is_even, divides(w, v[0], integer(2), 0))
TEST(is_divisible, divides(w, v[0], v[1], 0))

static struct value is_same(struct work *w, const struct value *v)
{
	for (int i = 0; i < 2; i++)
		if (v[i].kind == NONE || v[i].kind == BOOL)
			return boolean(v[0].kind == v[1].kind && (v[0].kind == NONE || v[0].b == v[1].b));
	work_fail(w, "test `sameas` is only supported with none, true and false");
}

const struct builtin all_tests[] = {
	{.name = "defined", .run = is_defined},
	{.name = "undefined", .run = is_undefined},
	{.name = "none", .run = is_none},
	{.name = "string", .run = is_string},
	{.name = "mapping", .run = is_mapping},
	{.name = "number", .run = is_numeric_value},
	{.name = "integer", .run = is_integer},
	{.name = "float", .run = is_float},
	{.name = "boolean", .run = is_boolean},
	{.name = "true", .run = is_the_true},
	{.name = "false", .run = is_the_false},
	{.name = "iterable", .run = is_iterable},
	{.name = "sequence", .run = is_sequence},
	{.name = "callable", .run = is_callable},
	{.name = "odd", .run = is_odd},
	{.name = "even", .run = is_even},
	{.name = "divisibleby", .run = is_divisible, .parameters = {"num"}, .required = 1},
	{.name = "sameas", .run = is_same, .parameters = {"other"}, .required = 1},
	{.name = "in", .run = is_in, .parameters = {"seq"}, .required = 1},
#define COMPARISON(word, test) {.name = word, .run = test, .parameters = {"b"}, .required = 1}
	COMPARISON("eq", is_equal),
	COMPARISON("equalto", is_equal),
	COMPARISON("==", is_equal),
	COMPARISON("ne", is_different),
	COMPARISON("!=", is_different),
	COMPARISON("lt", is_lower),
	COMPARISON("lessthan", is_lower),
	COMPARISON("<", is_lower),
	COMPARISON("gt", is_higher),
	COMPARISON("greaterthan", is_higher),
	COMPARISON(">", is_higher),
	COMPARISON("le", is_at_most),
	COMPARISON("<=", is_at_most),
	COMPARISON("ge", is_at_least),
	COMPARISON(">=", is_at_least),
	{.name = NULL},
};
