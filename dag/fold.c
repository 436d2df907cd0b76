/* Evaluates, in double, values that depend on no input, param or state, such as rotary frequencies and their scaling.
 * They become constants of the launcher. */
#include <math.h>
#include "local.h"

enum { FOLD_LIMIT = 1 << 20 }; /* elements; a larger table is computed at run time */

static int64_t elements(const struct program *p, const struct value *v)
{
	int64_t n = 1;
	for (int i = 0; i < v->n_axes; i++) {
		int64_t e = p->axes.at[v->axes[i]].extent;
		if (!e || n > FOLD_LIMIT / e)
			return -1;
		n *= e;
	}
	return n;
}

static double apply(enum op op, double a, double b, double c)
{
	switch (op) {
	case OP_ADD:   return a + b;
	case OP_SUB:   return a - b;
	case OP_MUL:   return a * b;
	case OP_DIV:   return a / b;
	case OP_MIN:   return fmin(a, b);
	case OP_MAX:   return fmax(a, b);
	case OP_CLAMP: return fmin(fmax(a, b), c);
	case OP_EXP:   return exp(a);
	case OP_LOG:   return log(a);
	case OP_SQRT:  return sqrt(a);
	case OP_RSQRT: return 1 / sqrt(a);
	case OP_TANH:  return tanh(a);
	case OP_ERF:   return erf(a);
	case OP_SIN:   return sin(a);
	case OP_COS:   return cos(a);
	case OP_ABS:   return fabs(a);
	case OP_FLOOR: return floor(a);
	case OP_CEIL:  return ceil(a);
	default:       internal_error("`%s` of constants", op_name(op));
	}
}

/* Rounds to a format of 16 bits, ties to even. Other formats: unchanged, since constants are stored in f32 anyway. */
static double rounded(enum dtype t, double x)
{
	int bits = t == DTYPE_BF16 ? 8 : t == DTYPE_F16 ? 11 : 0, exponent, least = t == DTYPE_BF16 ? -125 : -13;
	if (!bits || !isfinite(x) || x == 0)
		return x;
	frexp(x, &exponent);
	double step = ldexp(1, (exponent < least ? least : exponent) - bits), y = nearbyint(x / step) * step;
	return t == DTYPE_F16 && fabs(y) > 65504 ? copysign(INFINITY, y) : y;
}

/* The element of a folded value for element `at` of one that is computed from it. Only `iota` and lists bring an
 * axis, so both have the same one, or the operand has none. */
static double operand(const struct local *l, int arg, int64_t at)
{
	return l->folded[arg][l->program->values.at[arg].n_axes ? at : 0];
}

static bool foldable(const struct local *l, const struct value *v)
{
	bool kind =
		op_is_pointwise(v->op) || v->op == OP_CONST || v->op == OP_IOTA || v->op == OP_LIST || v->op == OP_RENAME;
	for (int i = 0; i < v->n_args && kind; i++)
		kind = v->args[i] >= 0 && l->folded[v->args[i]];
	return kind && v->n_axes <= 1 && elements(l->program, v) > 0;
}

static void fold(struct local *l, int at)
{
	const struct value *v = &l->program->values.at[at];
	int64_t n = elements(l->program, v);
	double *out = arena_array(l->arena, double, n);
	if (v->op == OP_RENAME) {
		l->folded[at] = l->folded[v->args[0]];
		return;
	}
	for (int64_t i = 0; i < n; i++) {
		double x[3] = {0};
		for (int k = 0; k < v->n_args && k < 3; k++)
			x[k] = operand(l, v->args[k], i);
		out[i] = v->op == OP_CONST  ? v->number
		         : v->op == OP_IOTA ? (double)i
		         : v->op == OP_LIST ? v->numbers[i]
		         : v->op == OP_CAST ? rounded(v->dtype, x[0])
		                            : apply(v->op, x[0], x[1], x[2]);
	}
	l->folded[at] = out;
}

void fold_constants(struct local *l)
{
	l->folded = arena_array(l->arena, double *, l->program->values.n + 1);
	for (int i = 0; i < l->program->values.n; i++)
		if (foldable(l, &l->program->values.at[i]))
			fold(l, i);
}
