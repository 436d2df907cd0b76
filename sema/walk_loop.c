/* `repeat`: the loop over layers. A turn of its body is walked with the index as a number. What the walk computes from
 * the index are its decisions: a turn whose index gives the same ones is not walked again. Turns that are walked and
 * come out the same share a body. */
#include "walk.h"
#include <string.h>

enum { BODIES_MAX = 32 };

/* Binds the carried names in the loop's env: each is an OP_CARRY at the start of a turn. */
static void bind_carried(struct env *outer, struct env *inner, struct nodes body)
{
	struct walk *w = outer->walk;
	for (int i = 0; i < body.n; i++) {
		const struct node *item = body.at[i];
		if (item->kind == N_WHEN) {
			bind_carried(outer, inner, item->when.then);
			bind_carried(outer, inner, item->when.other);
		}
		struct bound *b =
			item->kind == N_SET && item->set.path.n == 1 ? env_find(outer, item->set.path.at[0].name) : NULL;
		if (!b || env_find(inner, b->name) || (b->val.kind != V_TENSOR && b->val.kind != V_BAD))
			continue;
		struct val start = b->val;
		if (start.kind == V_TENSOR) {
			struct value v = w->p->values.at[start.tensor];
			struct value carry = walk_value(w, OP_CARRY, b->span);
			carry.type = v.type;
			carry.dtype = v.dtype;
			carry.axes = v.axes;
			carry.n_axes = v.n_axes;
			carry.index_of = v.index_of;
			carry.slot = v.slot;
			carry.name = b->name;
			value_args(w, &carry, &start.tensor, 1);
			start.tensor = walk_emit(w, carry);
		}
		env_bind(inner, b->name, start, b->span);
		inner->names.at[inner->names.n - 1].carried = true;
	}
}

/* The end of a turn: the next one starts with the present values of the carried names. `begin`: the first OP_CARRY. */
static void end_turn(struct env *outer, struct env *inner, int begin)
{
	struct walk *w = outer->walk;
	int carry = begin;
	for (int i = 0; i < inner->names.n; i++) {
		struct bound *b = &inner->names.at[i], *before = env_find(outer, b->name);
		if (!b->carried || before->val.kind != V_TENSOR)
			continue;
		if (b->val.kind == V_TENSOR)
			w->p->values.at[carry].next = b->val.tensor;
		carry++;
	}
}

/* After the loop, a carried name means its last value. `inner` and `begin` belong to the first body. */
static void end_carried(struct env *outer, struct env *inner, int begin)
{
	struct walk *w = outer->walk;
	int carry = begin;
	for (int i = 0; i < inner->names.n; i++) {
		struct bound *b = &inner->names.at[i], *before = env_find(outer, b->name);
		if (!b->carried || before->val.kind != V_TENSOR)
			continue;
		struct value final = w->p->values.at[carry];
		final.op = OP_FINAL;
		final.region = w->region;
		value_args(w, &final, &carry, 1);
		before->val = b->val.kind == V_TENSOR ? val_tensor(walk_emit(w, final)) : val_bad();
		carry++;
	}
}

static bool may_repeat(struct env *e, const struct node *item)
{
	struct walk *w = e->walk;
	if (item->named.tail != TAIL_LOOP) {
		walk_report_tail(w, item, "repeat axis as name { ... }");
		return false;
	}
	if (w->loop < 0)
		return true;
	struct diag *d = walk_report(w, DIAG_E0916, item->span, "this version compiles no `repeat` inside another");
	diag_related(w->s->sink, d, w->p->loops.at[w->loop].span, "it is inside this one");
	return false;
}

/* ---- decisions ------------------------------------------------------------------------------- */

void walk_index_read(struct env *e)
{
	struct walk *w = e->walk;
	struct decision d = {.env = e, .number = w->bound};
	vec_push(w->arena, &w->decisions, d);
}

/* A decision stands for those that it was computed from. What has operands of its own, as a tensor, is none. */
void walk_decided(struct env *e, const struct node *n, int before, struct val v)
{
	struct walk *w = e->walk;
	if (w->decisions.n == before || (v.kind != V_BOOL && v.kind != V_INT && v.kind != V_FLOAT))
		return;
	w->decisions.at[before] = (struct decision){e, n, v, w->bound};
	w->decisions.n = before + 1;
}

/* A body, and what was decided when its turn was walked. */
struct decided_body {
	struct env *names;
	const struct decision *decisions;
	int n_decisions;
};

static bool decides_alike(struct walk *w, const struct decision *d)
{
	if (!d->text)
		return false;
	w->replayed = d->number;
	w->undecided = false;
	struct val v = walk_eval(d->env, d->text, NULL);
	w->replayed = 0;
	return !w->undecided && v.kind == d->val.kind && val_equal(v, d->val);
}

/* Does the walk of turn `turn` decide as that of the body did? */
static bool is_turn_of(struct walk *w, const struct decided_body *body, const char *index, int64_t turn)
{
	bool alike = true;
	env_find(body->names, index)->val = val_int(turn);
	for (int i = 0; alike && i < body->n_decisions; i++)
		alike = decides_alike(w, &body->decisions[i]);
	return alike;
}

static struct decided_body decided_now(struct walk *w, struct env *names)
{
	struct decision *copy = arena_array(w->arena, struct decision, w->decisions.n + 1);
	for (int i = 0; i < w->decisions.n; i++)
		copy[i] = w->decisions.at[i];
	return (struct decided_body){names, copy, w->decisions.n};
}

/* ---- bodies ---------------------------------------------------------------------------------- */

/* The sizes of the program's tables before a turn is walked. */
struct mark {
	int values, calls, params, states, regions, axes;
};

static struct mark mark_now(const struct walk *w)
{
	const struct program *p = w->p;
	return (struct mark){p->values.n, p->calls.n, p->params.n, p->states.n, p->regions.n, p->axes.n};
}

static void forget_since(struct walk *w, struct mark m)
{
	struct program *p = w->p;
	p->values.n = m.values;
	p->calls.n = m.calls;
	p->params.n = m.params;
	p->states.n = m.states;
	p->regions.n = w->prefix.n = m.regions;
	p->axes.n = m.axes;
}

/* Are two indices into a table equal? Indices from the marks on are counted from there. */
static bool same_index(int a, int b, int mark_a, int mark_b)
{
	return a < mark_a || b < mark_b ? a == b : a - mark_a == b - mark_b;
}

static bool same_list(const int *a, int na, const int *b, int nb)
{
	return na == nb && (!na || !memcmp(a, b, sizeof *a * (size_t)na));
}

static bool same_attention(const struct value *a, const struct value *b)
{
	return same_list(a->attend.h, a->attend.n_h, b->attend.h, b->attend.n_h)
	       && same_list(a->attend.r, a->attend.n_r, b->attend.r, b->attend.n_r) && a->attend.dot == b->attend.dot
	       && a->attend.w == b->attend.w && a->attend.over == b->attend.over && a->attend.scale == b->attend.scale
	       && a->attend.causal == b->attend.causal && a->attend.window == b->attend.window
	       && a->attend.chunk == b->attend.chunk && a->attend.cap == b->attend.cap;
}

static bool same_route(const struct value *a, const struct value *b)
{
	return a->route.top == b->route.top && a->route.groups == b->route.groups
	       && a->route.top_groups == b->route.top_groups && a->route.by_best == b->route.by_best
	       && a->route.renormalize == b->route.renormalize && a->route.factor == b->route.factor
	       && a->route.over == b->route.over && a->route.expert == b->route.expert && a->route.slot == b->route.slot;
}

/* Of two lists over one axis. */
static bool same_numbers(const struct program *p, const struct value *a, const struct value *b)
{
	size_t n = (size_t)p->axes.at[a->axes[0]].extent;
	return a->numbers == b->numbers
	       || (a->numbers && b->numbers && !memcmp(a->numbers, b->numbers, n * sizeof *a->numbers));
}

/* Of two values of one operation, with the same axes. */
static bool same_attributes(const struct program *p, const struct value *x, const struct value *y, struct mark a,
                            struct mark b)
{
	struct reduced_axes over = value_reduced(x), other = value_reduced(y);
	switch (x->op) {
	case OP_INPUT:  return x->input == y->input;
	case OP_PARAM:  return same_index(x->param, y->param, a.params, b.params);
	case OP_CONST:  return x->number == y->number;
	case OP_LIST:   return same_numbers(p, x, y);
	case OP_RENAME:
	case OP_PIECE:  return x->view.from == y->view.from && x->view.to == y->view.to;
	case OP_EMBED:
	case OP_SAMPLE: return x->v == y->v;
	case OP_ROTATE: return x->rotate.f == y->rotate.f && x->rotate.interleaved == y->rotate.interleaved;
	case OP_APPEND:
		return same_index(x->append.state, y->append.state, a.states, b.states) && x->append.from == y->append.from
		       && x->append.to == y->append.to;
	case OP_ATTEND: return same_attention(x, y);
	case OP_ROUTE:  return same_route(x, y);
	case OP_JOIN:   return x->into == y->into;
	case OP_CARRY:  return same_index(x->next, y->next, a.values, b.values);
	default:        return same_list(over.at, over.n, other.at, other.n);
	}
}

static bool same_value(const struct program *p, int i, int j, struct mark a, struct mark b)
{
	const struct value *x = &p->values.at[i], *y = &p->values.at[j];
	bool same = x->op == y->op && x->type == y->type && x->dtype == y->dtype
	            && same_list(x->axes, x->n_axes, y->axes, y->n_axes) && x->n_args == y->n_args
	            && x->index_of == y->index_of && x->slot == y->slot && same_attributes(p, x, y, a, b)
	            && same_index(x->region, y->region, a.regions, b.regions)
	            && same_index(x->call, y->call, a.calls, b.calls);
	for (int k = 0; same && k < x->n_args; k++)
		same = same_index(x->args[k], y->args[k], a.values, b.values);
	return same;
}

static bool same_param(const struct param *x, const struct param *y)
{
	return x->dtype == y->dtype && same_list(x->axes, x->n_axes, y->axes, y->n_axes) && x->key && y->key
	       && !strcmp(x->key, y->key) && x->stored.base == y->stored.base && x->stored.n_dims == y->stored.n_dims
	       && !memcmp(x->stored.dim, y->stored.dim, sizeof x->stored.dim);
}

/* Is the turn walked since `b` the same as the body [a, a_end)? */
static bool same_turn(const struct walk *w, struct mark a, struct mark a_end, struct mark b)
{
	const struct program *p = w->p;
	struct mark end = mark_now(w);
	if (a_end.values - a.values != end.values - b.values || a_end.params - a.params != end.params - b.params
	    || a_end.states - a.states != end.states - b.states || a_end.calls - a.calls != end.calls - b.calls)
		return false;
	for (int i = 0; i < end.values - b.values; i++)
		if (!same_value(p, a.values + i, b.values + i, a, b))
			return false;
	for (int i = 0; i < end.params - b.params; i++)
		if (!same_param(&p->params.at[a.params + i], &p->params.at[b.params + i]))
			return false;
	for (int i = 0; i < end.states - b.states; i++)
		if (p->states.at[a.states + i].dtype != p->states.at[b.states + i].dtype)
			return false;
	return true;
}

/* Walks one turn, at the end of the program. Returns its names. */
static struct env *walk_turn(struct env *outer, const struct node *item, int64_t turn)
{
	struct walk *w = outer->walk;
	struct env *inner = env_new(w, ENV_LOOP, outer, outer->scope.module);
	struct ident index = item->named.loop_name;
	struct val none = val_none();
	int begin = w->p->values.n;
	env_bind(inner, index.name, val_int(turn), index.span);
	bind_carried(outer, inner, item->named.body);
	walk_body(inner, item->named.body, &none);
	end_turn(outer, inner, begin);
	return inner;
}

static void report_too_many(struct walk *w, const struct node *item)
{
	struct diag *d = walk_report(w, DIAG_E0915, item->named.loop_name.span,
	                             "the turns of this loop differ in more than %d ways", BODIES_MAX);
	diag_help(w->s->sink, d, "each different turn is compiled separately: let conditions on `%s` have few outcomes",
	          item->named.loop_name.name);
}

static void add_turns(struct walk *w, int body, int64_t n)
{
	struct program *p = w->p;
	p->bodies.at[body].turns += n;
	for (int64_t i = 0; i < n; i++)
		vec_push(w->arena, &p->body_of, body);
}

/* Walks the turns and sets the loop's bodies. Returns the names of the first turn. */
static struct env *walk_turns(struct env *e, const struct node *item)
{
	struct walk *w = e->walk;
	struct program *p = w->p;
	struct loop *loop = &p->loops.at[w->loop];
	struct mark begin[BODIES_MAX], end[BODIES_MAX];
	struct decided_body walked[BODIES_MAX];
	for (int64_t turn = 0; turn < loop->turns; turn++) {
		int body = 0;
		while (body < loop->n_bodies && !is_turn_of(w, &walked[body], loop->index, turn))
			body++;
		if (body < loop->n_bodies) {
			add_turns(w, loop->first_body + body, 1);
			continue;
		}
		struct mark before = mark_now(w);
		w->decisions.n = 0;
		struct env *inner = walk_turn(e, item, turn);
		for (body = 0; body < loop->n_bodies && !same_turn(w, begin[body], end[body], before);)
			body++;
		if (body < loop->n_bodies) {
			forget_since(w, before);
		} else {
			begin[body] = before;
			end[body] = mark_now(w);
			walked[body] = decided_now(w, inner);
			vec_push(w->arena, &p->bodies, ((struct body){before.values, p->values.n, w->loop, 0}));
			loop->n_bodies++;
		}
		int64_t alike = w->decisions.n ? 1 : loop->turns - turn;
		add_turns(w, loop->first_body + body, alike);
		if (w->failed || alike > 1)
			break;
		if (loop->n_bodies == BODIES_MAX && turn + 1 < loop->turns) {
			report_too_many(w, item);
			break;
		}
	}
	return walked[0].names;
}

void walk_repeat(struct env *e, const struct node *item)
{
	struct walk *w = e->walk;
	struct program *p = w->p;
	struct path axis_name = item->named.name;
	if (!may_repeat(e, item))
		return;
	int axis = env_need_axis(e, axis_name.at[0]);
	if (axis < 0)
		return;
	if (!p->axes.at[axis].extent) {
		walk_report(w, DIAG_E0203, axis_name.span,
		            "`%s` is known only at run time: a loop is over an axis of the model", axis_name.at[0].name);
		return;
	}
	if (p->axes.at[axis].extent > MAX_TURNS) {
		walk_report(w, DIAG_E0203, axis_name.span, "a loop of %lld turns, at most %d",
		            (long long)p->axes.at[axis].extent, MAX_TURNS);
		return;
	}
	struct ident index = item->named.loop_name;
	struct loop loop = {.axis = axis,
	                    .index = index.name,
	                    .begin = p->values.n,
	                    .first_body = p->bodies.n,
	                    .first_turn = p->body_of.n,
	                    .turns = p->axes.at[axis].extent,
	                    .span = item->span};
	int outside = w->region;
	w->loop = p->loops.n;
	vec_push(w->arena, &p->loops, loop);
	const char *prefix = item->named.from && item->named.from->kind == N_STR ? item->named.from->text : "";
	if (*prefix)
		prefix = walk_fill_key(e, prefix, (struct axes){0}, NULL, item->named.from->span);
	w->region = p->loops.at[w->loop].region = walk_region(w, index, prefix ? prefix : "", true);
	struct env *first = walk_turns(e, item);
	p->loops.at[w->loop].end = p->values.n;
	w->loop = -1;
	w->region = outside;
	end_carried(e, first, loop.begin);
}
