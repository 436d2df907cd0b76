/* Functions of scalars: min max sqrt log exp floor ceil abs product; of lists: cycle, steps. */
#include "eval.h"
#include "foreign.h"
#include <math.h>
#include <string.h>

static struct val wrong_argument(struct sema *s, const struct node *e, const char *f, const char *wants,
                                 struct val found)
{
	sema_report(s, DIAG_E0203, e->span, "`%s` takes %s, found %s", f, wants, val_kind_text(s, found));
	return val_bad();
}

static struct val product(struct sema *s, const struct node *e, struct val list)
{
	if (list.kind != V_LIST)
		return wrong_argument(s, e, "product", "a list", list);
	struct val v = val_int(1);
	for (int i = 0; i < list.list.n; i++)
		v = arith(s, B_MUL, v, list.list.at[i], e->span);
	return v;
}

enum { MAX_LIST = MAX_TURNS }; /* as many as a model may have layers */

/* n elements: those of a list, repeated. */
static struct val cycle(struct sema *s, const struct node *e, struct val list, struct val n)
{
	if (list.kind != V_LIST || !list.list.n)
		return wrong_argument(s, e, "cycle", "a list of one element or more", list);
	if (n.kind != V_INT || n.i < 0 || n.i > MAX_LIST) {
		sema_report(s, DIAG_E0203, e->span, "`cycle` takes a length from 0 to %d, found %s", MAX_LIST, val_show(s, n));
		return val_bad();
	}
	struct val *at = arena_array(s->arena, struct val, n.i + 1);
	for (int i = 0; i < n.i; i++)
		at[i] = list.list.at[i % list.list.n];
	return bounded_list(s, at, (int)n.i, e->span);
}

/* The integers `from`, from + by, .. below `to`. */
static struct val steps(struct sema *s, const struct node *e, const struct val args[3])
{
	for (int i = 0; i < 3; i++)
		if (args[i].kind != V_INT)
			return wrong_argument(s, e, "steps", "three integers", args[i]);
	const int64_t from = args[0].i, to = args[1].i, by = args[2].i;
	if (from < 0 || to > MAX_LIST || by < 1) {
		sema_report(s, DIAG_E0203, e->span,
		            "`steps` goes from 0 or more to %d at most, by 1 or more; found %s, %s and %s", MAX_LIST,
		            val_show(s, args[0]), val_show(s, args[1]), val_show(s, args[2]));
		return val_bad();
	}
	const int n = from < to ? (int)((to - from - 1) / by) + 1 : 0;
	struct val *at = arena_array(s->arena, struct val, n + 1);
	for (int i = 0; i < n; i++)
		at[i] = val_int(from + i * by);
	return bounded_list(s, at, n, e->span);
}

/* The end of a range, the best element of a list, or the best of several arguments. */
static struct val extreme(struct sema *s, const struct node *e, bool greatest, const struct val *args, int n)
{
	if (n == 1 && args[0].kind == V_RANGE)
		return args[0].range[greatest];
	if (n == 1 && args[0].kind == V_LIST && args[0].list.n)
		return extreme(s, e, greatest, args[0].list.at, args[0].list.n);
	double x;
	struct val best = args[0];
	for (int i = 0; i < n; i++)
		if (!val_number(args[i], &x) && args[i].kind != V_UNKNOWN)
			return wrong_argument(s, e, greatest ? "max" : "min", "numbers, or one list or range of numbers", args[i]);
	for (int i = 1; i < n; i++) {
		struct val better = arith(s, greatest ? B_GT : B_LT, args[i], best, e->span);
		if (better.kind != V_BOOL)
			return better;
		if (better.b)
			best = args[i];
	}
	return best;
}

static struct val rounded(struct sema *s, const struct node *e, const char *f, double x)
{
	double r = f[0] == 'f' ? floor(x) : ceil(x);
	if (!(r >= -9223372036854775808.0 && r < 9223372036854775808.0)) {
		sema_report(s, DIAG_E0203, e->span, "`%s` of %.6g does not fit an Int", f, x);
		return val_bad();
	}
	return val_int((int64_t)r);
}

static struct val absolute(struct sema *s, const struct node *e, struct val v)
{
	if (v.kind == V_INT)
		return v.i < 0 ? arith(s, B_SUB, val_int(0), v, e->span) : v;
	v.f = fabs(v.f);
	return v;
}

static bool dimensionless(struct sema *s, const struct node *e, const char *f, struct val v, double *x)
{
	if (!val_number(v, x)) {
		wrong_argument(s, e, f, "a number", v);
		return false;
	}
	if (v.kind == V_QUANTITY) {
		sema_report(s, DIAG_E0302, e->span, "`%s` takes a number without dimension, found %s", f, val_kind_text(s, v));
		return false;
	}
	return true;
}

static struct val function(struct sema *s, const struct node *e, const char *f, struct val v)
{
	double x;
	if (!strcmp(f, "abs"))
		return val_number(v, &x) ? absolute(s, e, v) : wrong_argument(s, e, f, "a number", v);
	if (!dimensionless(s, e, f, v, &x))
		return val_bad();
	if (!strcmp(f, "floor") || !strcmp(f, "ceil"))
		return rounded(s, e, f, x);
	if ((f[0] == 's' && x < 0) || (f[0] == 'l' && x <= 0)) {
		sema_report(s, DIAG_E0203, e->span, "`%s` of %.6g is not a number", f, x);
		return val_bad();
	}
	return val_float(f[0] == 's' ? sqrt(x) : f[0] == 'l' ? log(x) : exp(x));
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* How many arguments it takes; 0: one or more. */
static int arity(const char *f)
{
	return !strcmp(f, "max") || !strcmp(f, "min") ? 0 : !strcmp(f, "cycle") ? 2 : !strcmp(f, "steps") ? 3 : 1;
}

/* `Megatron(tp = 8)`: a record is refined in braces. */
static bool is_record_called(struct scope *s, const struct node *e)
{
	const struct node *callee = e->call.f;
	struct binding *b = callee->kind == N_ID ? module_find(s->sema, s->module, callee->ident.name) : NULL;
	if (!b || !b->def)
		return false;
	struct text fields = {.arena = s->sema->arena};
	bool named = true;
	for (int i = 0; i < e->call.args.n; i++) {
		const struct node *arg = e->call.args.at[i];
		named &= arg->kind == N_ARG_NAMED;
		text_add(&fields, "%s%s", i ? "; " : " ", foreign_source(s->sema, arg->span));
	}
	struct diag *d =
		sema_report(s->sema, DIAG_E0101, callee->span, "`%s` is not a function, but a %s", b->name, b->def->kind);
	const char *refined = arena_printf(s->sema->arena, "%s {%s }", b->name, fields.n ? fields.at : "");
	diag_help(s->sema->sink, d, "set its fields in braces: `%s`", named ? refined : "Name { field = value }");
	if (named)
		diag_fix(s->sema->sink, d, e->span, refined);
	return true;
}

static struct val unknown_function(struct scope *s, const struct node *e)
{
	const struct node *callee = e->call.f;
	if (is_record_called(s, e))
		return val_bad();
	struct diag *d = sema_report(s->sema, DIAG_E0101, callee->span, "cannot find function `%s`",
	                             callee->kind == N_ID ? callee->ident.name : "...");
	const char *near = callee->kind == N_ID ? function_near(IN_NUMBERS, callee->ident.name) : NULL;
	if (near) {
		diag_help(s->sema->sink, d, "did you mean `%s`?", near);
		diag_fix(s->sema->sink, d, callee->span, near);
	} else {
		diag_help(s->sema->sink, d,
		          "functions of scalars are min, max, sqrt, log, exp, floor, ceil, abs, product, cycle, steps");
	}
	return val_bad();
}

/* Evaluates the arguments. false, with *out set: one of them is bad or unknown, and so is the result. */
static bool arguments(struct scope *s, const struct node *e, const char *f, struct val *args, struct val *out)
{
	bool known = true;
	*out = val_unknown(f);
	for (int i = 0; i < e->call.args.n; i++) {
		const struct node *arg = e->call.args.at[i];
		if (arg->kind == N_ARG_NAMED || arg->kind == N_ARG_ARROW) {
			sema_report(s->sema, DIAG_E0203, arg->span, "`%s` has no named arguments", f);
			args[i] = val_bad();
		} else {
			args[i] = eval(s, arg, NULL);
		}
		if (args[i].kind == V_BAD)
			*out = val_bad();
		known &= args[i].kind != V_BAD && args[i].kind != V_UNKNOWN && args[i].kind != V_AUTO;
	}
	return known;
}

struct val eval_call(struct scope *s, const struct node *e)
{
	const struct node *callee = e->call.f;
	int n = e->call.args.n;
	const char *f = callee->kind == N_ID ? callee->ident.name : "";
	struct val *args = arena_array(s->sema->arena, struct val, n + 1), out;
	if (function_is(IN_GOALS, f)) {
		sema_report(s->sema, DIAG_E0203, callee->span, "`%s` has a meaning only in the goals of a deployment", f);
		return val_bad();
	}
	if (!function_is(IN_NUMBERS, f))
		return unknown_function(s, e);
	if (!arguments(s, e, f, args, &out))
		return out;
	static const char *const counts[] = {"at least one argument", "one argument", "two arguments", "three arguments"};
	int takes = arity(f);
	if (takes ? n != takes : n < 1) {
		sema_report(s->sema, DIAG_E0203, e->span, "`%s` takes %s, found %d", f, counts[takes], n);
		return val_bad();
	}
	if (!takes)
		return extreme(s->sema, e, f[1] == 'a', args, n);
	if (takes == 2)
		return cycle(s->sema, e, args[0], args[1]);
	if (takes == 3)
		return steps(s->sema, e, args);
	return !strcmp(f, "product") ? product(s->sema, e, args[0]) : function(s->sema, e, f, args[0]);
}
