/* Binary operators of scalar expressions: logic, ranges, membership; arithmetic is in values.c. */
#include "eval.h"

/* `and`, `or`: one operand may decide the result even if the other is unknown. */
static struct val logic(struct scope *s, const struct node *e)
{
	bool decides = e->bin.op == B_OR; /* true decides `or`, false decides `and` */
	struct val a = eval(s, e->bin.a, NULL);
	bool known_a = eval_condition(s->sema, a, e->bin.a->span);
	if (a.kind == V_BAD || (known_a && a.b == decides))
		return a;
	struct val b = eval(s, e->bin.b, NULL);
	bool known_b = eval_condition(s->sema, b, e->bin.b->span);
	if (known_b && b.b == decides)
		return b;
	if (known_a && known_b)
		return b;
	if ((a.kind == V_UNKNOWN || known_a) && (b.kind == V_UNKNOWN || known_b))
		return a.kind == V_UNKNOWN ? a : b;
	return val_bad();
}

static bool is_params(struct val v)
{
	struct dims params;
	return v.kind == V_QUANTITY && dims_named("Params", &params) && dims_equal(v.dims, params);
}

/* `params <= 7B`: `B` is bytes (E0305). */
static bool billions(struct sema *s, const struct node *e, struct val other)
{
	return e->kind == N_QTY && is_params(other) && report_billions(s, e->span, true);
}

static struct val range(struct scope *s, const struct node *e)
{
	struct val a = eval(s, e->bin.a, NULL), b = eval(s, e->bin.b, NULL);
	if (billions(s->sema, e->bin.a, b) || billions(s->sema, e->bin.b, a))
		return val_bad();
	struct val order = arith(s->sema, B_LE, a, b, e->span);
	if (order.kind == V_BAD || order.kind == V_UNKNOWN)
		return order;
	if (!order.b) {
		struct diag *d =
			sema_report(s->sema, DIAG_E0203, e->span, "the range %s..%s is empty: its ends are in the wrong order",
		                val_show(s->sema, a), val_show(s->sema, b));
		const char *swapped = arena_printf(s->sema->arena, "%s..%s", val_show(s->sema, b), val_show(s->sema, a));
		diag_help(s->sema->sink, d, "write `%s`", swapped);
		if (e->bin.a->kind == N_NUM && e->bin.b->kind == N_NUM)
			diag_fix(s->sema->sink, d, e->span, swapped);
		return val_bad();
	}
	struct val v = {.kind = V_RANGE, .range = arena_array(s->sema->arena, struct val, 2)};
	v.range[0] = a;
	v.range[1] = b;
	return v;
}

enum { MAX_CHOICES = 4096 };

/* `auto in [1, 2]`, `auto in 1..8`: the choices. */
static struct val choices(struct scope *s, struct val b, struct span at)
{
	if (b.kind == V_LIST && !b.list.n) {
		sema_report(s->sema, DIAG_E0203, at, "`auto` has no value to choose: the list is empty");
		return val_bad();
	}
	if (b.kind == V_LIST)
		return (struct val){.kind = V_AUTO, .list = b.list};
	if (b.kind != V_RANGE || b.range[0].kind != V_INT || b.range[1].kind != V_INT
	    || b.range[1].i - b.range[0].i >= MAX_CHOICES || b.range[0].i < 0) {
		sema_report(s->sema, DIAG_E0203, at,
		            "the choices of `auto` are a list, or a range of at most %d Ints, none below 0, found %s",
		            MAX_CHOICES, val_kind_text(s->sema, b));
		return val_bad();
	}
	int n = (int)(b.range[1].i - b.range[0].i) + 1;
	struct val v = {.kind = V_AUTO, .list = {arena_array(s->sema->arena, struct val, n), n, n}};
	for (int i = 0; i < n; i++)
		v.list.at[i] = val_int(b.range[0].i + i);
	return v;
}

/* The list after `auto in`: its elements are values of the field. */
static struct val listed(struct scope *s, const struct node *list, const struct node *expect)
{
	struct val *at = arena_array(s->sema->arena, struct val, list->list.n + 1);
	for (int i = 0; i < list->list.n; i++) {
		at[i] = eval(s, list->list.at[i], expect);
		if (at[i].kind == V_BAD)
			return val_bad();
	}
	return bounded_list(s->sema, at, list->list.n, list->span);
}

static struct val membership(struct scope *s, const struct node *e, const struct node *expect)
{
	struct val a = eval(s, e->bin.a, expect);
	bool choice = e->bin.a->kind == N_AUTO && e->bin.b->kind == N_LIST;
	struct val b = choice ? listed(s, e->bin.b, expect) : eval(s, e->bin.b, NULL);
	if (a.kind == V_BAD || b.kind == V_BAD)
		return val_bad();
	if (a.kind == V_AUTO && b.kind != V_UNKNOWN)
		return choices(s, b, e->bin.b->span);
	const struct node *ends = e->bin.b;
	bool wrong = ends->kind == N_BIN && ends->bin.op == B_RANGE && billions(s->sema, ends->bin.a, a);
	if ((ends->kind == N_BIN && ends->bin.op == B_RANGE && billions(s->sema, ends->bin.b, a)) || wrong)
		return val_bad();
	if (b.kind == V_RANGE) {
		struct val lo = arith(s->sema, B_GE, a, b.range[0], e->span), hi = arith(s->sema, B_LE, a, b.range[1], e->span);
		return lo.kind == V_BOOL && hi.kind == V_BOOL ? val_bool(lo.b && hi.b) : lo.kind == V_BOOL ? hi : lo;
	}
	struct val open;
	if (val_open(a, &open))
		return open;
	for (int i = 0; b.kind == V_LIST && i < b.list.n; i++)
		if (val_equal(a, b.list.at[i]))
			return val_bool(true);
	if (val_open(b, &open))
		return open;
	if (b.kind == V_LIST)
		return val_bool(false);
	sema_report(s->sema, DIAG_E0203, e->bin.b->span, "`in` expects a range or a list, found %s",
	            val_kind_text(s->sema, b));
	return val_bad();
}

/* Arithmetic. Reports of wrong dimensions show both operands. */
static struct val arithmetic(struct scope *s, const struct node *e)
{
	struct sema *sema = s->sema;
	struct val a = eval(s, e->bin.a, NULL), b = eval(s, e->bin.b, NULL);
	if (e->bin.op != B_MUL && e->bin.op != B_DIV && (billions(sema, e->bin.a, b) || billions(sema, e->bin.b, a)))
		return val_bad();
	int before = sema->sink->diags.n;
	struct val v = arith(sema, e->bin.op, a, b, e->bin.op_span);
	if (v.kind == V_BAD && sema->sink->diags.n > before) {
		struct diag *d = sema->sink->diags.at[before];
		diag_related(sema->sink, d, e->bin.a->span, "%s", val_kind_text(sema, a));
		diag_related(sema->sink, d, e->bin.b->span, "%s", val_kind_text(sema, b));
	}
	return v;
}

struct val eval_binary(struct scope *s, const struct node *e, const struct node *expect)
{
	switch (e->bin.op) {
	case B_AND:
	case B_OR:    return logic(s, e);
	case B_RANGE: return range(s, e);
	case B_IN:    return membership(s, e, expect);
	case B_WHERE:
		sema_report(s->sema, DIAG_E0203, e->bin.op_span, "`where` has no meaning in this version");
		return val_bad();
	default: return arithmetic(s, e);
	}
}
