/* Layout inference (docs/language.md, Layouts and collectives): walks the program in order, once per phase. It looks up
 * each operator's layout, reshards the operands to it, and derives the layout of the result. */
#include "local.h"
#include "infer.h"
#include <string.h>

int position_of(const struct local *l, int value)
{
	const struct program *p = l->program;
	int i = 0;
	while (i < p->loops.n && value >= p->loops.at[i].end)
		i++;
	return i < p->loops.n && value >= p->loops.at[i].begin ? part_loop(i) : part_outside(i);
}

/* What depends only on inputs and constants runs on every stage; anything else runs where the text has it. */
static int part_of(const struct infer *f, int value, const int *args, int n)
{
	for (int i = 0; i < n; i++)
		if (args[i] >= 0 && f->ph->values.at[args[i]].part != PART_EVERY)
			return position_of(f->l, value);
	return PART_EVERY;
}

const struct expert_atoms *experts_of(const struct local *l, const struct local_value *v)
{
	enum op op = l->program->values.at[v->source].op;
	return v->op == LOCAL_OP && (op == OP_DISPATCH || op == OP_COMBINE) ? &v->experts : NULL;
}

int infer_emit(struct infer *f, int value, const int *args, int n, struct layout layout)
{
	const struct value *v = &f->l->program->values.at[value];
	struct local_value out = {.op = LOCAL_OP,
	                          .source = value,
	                          .n_args = n,
	                          .axes = v->axes,
	                          .n_axes = v->n_axes,
	                          .dtype = v->dtype,
	                          .layout = layout,
	                          .region = v->region};
	out.args = arena_array(f->l->arena, int, n + 1);
	for (int i = 0; i < n; i++)
		out.args[i] = args[i];
	out.part = n ? part_of(f, value, args, n) : position_of(f->l, value);
	out.body = program_body(f->l->program, value);
	if (f->l->deploy->reduce_f32 && layout.pending.n && (v->dtype == DTYPE_BF16 || v->dtype == DTYPE_F16))
		out.dtype = DTYPE_F32;
	vec_push(f->l->arena, &f->ph->values, out);
	return f->ph->of_program[value] = f->ph->values.n - 1;
}

/* ---- layouts of operators -------------------------------------------------------------------- */
struct required_layout infer_want(struct infer *f, const struct value *v, const int *axes, int n, const int *whole,
                                  int n_whole)
{
	struct required_layout t = {axes, n, {0}};
	t.layout =
		place_axes(f->l, axes, n, whole, n_whole, v->region, f->phase, CLASS_ACTIVATION, value_label(f->l, v), v->span);
	return t;
}

struct layout required_restrict(struct local *l, const struct required_layout *t, const int *axes, int n)
{
	struct layout out = {.axis = arena_array(l->arena, struct atoms, n + 1)};
	for (int i = 0; i < n; i++)
		for (int k = 0; k < t->n; k++)
			if (t->axes[k] == axes[i])
				out.axis[i] = t->layout.axis[k];
	return out;
}

bool required_uses(const struct required_layout *t, int atom)
{
	for (int i = 0; i < t->n; i++)
		if (atoms_have(&t->layout.axis[i], atom))
			return true;
	return false;
}

const char *value_label(struct local *l, const struct value *v)
{
	if (v->call >= 0)
		return l->program->calls.at[v->call].name;
	return v->name ? arena_printf(l->arena, "%s %s", op_name(v->op), v->name) : op_name(v->op);
}

/* All axes of a value and its operands, without duplicates. */
int *infer_factors(struct infer *f, const struct value *v, int *n)
{
	const struct program *p = f->l->program;
	int most = v->n_axes;
	for (int i = 0; i < v->n_args; i++)
		most += v->args[i] >= 0 ? p->values.at[v->args[i]].n_axes : 0;
	int *out = arena_array(f->l->arena, int, most + 1);
	*n = 0;
	for (int i = -1; i < v->n_args; i++) {
		const struct value *x = i < 0 ? v : v->args[i] >= 0 ? &p->values.at[v->args[i]] : NULL;
		for (int k = 0; x && k < x->n_axes; k++) {
			bool have = false;
			for (int q = 0; q < *n; q++)
				have |= out[q] == x->axes[k];
			if (!have)
				out[(*n)++] = x->axes[k];
		}
	}
	return out;
}

/* Operand i of program value `value`, resharded to the layout that `t` requires. `keep`: atoms whose sums may stay
 * pending. */
int infer_operand(struct infer *f, int value, int i, const struct required_layout *t, const struct atoms *keep)
{
	const struct value *v = &f->l->program->values.at[value];
	if (v->args[i] < 0)
		return -1;
	int arg = f->ph->of_program[v->args[i]];
	if (arg < 0)
		internal_error("operand %d of %s was not inferred", i, op_name(v->op));
	const struct local_value *x = &f->ph->values.at[arg];
	struct layout want = required_restrict(f->l, t, x->axes, x->n_axes);
	if (keep)
		want.pending = *keep;
	return reshard(f->l, f->ph, arg, &want, v->region, value,
	               v->call >= 0 ? f->l->program->calls.at[v->call].name : op_name(v->op));
}

/* Reshards a value directly in the loop body (`residual`) to the region's layout. */
void infer_anchor(struct infer *f, int value)
{
	const struct value *v = &f->l->program->values.at[value];
	if (!f->l->program->regions.at[v->region].is_loop_body || v->type == TYPE_ROUTING)
		return;
	struct required_layout t = infer_want(f, v, v->axes, v->n_axes, NULL, 0);
	f->ph->of_program[value] = reshard(f->l, f->ph, f->ph->of_program[value], &t.layout, v->region, value, "residual:");
}

/* ---- sources and structure ------------------------------------------------------------------- */
static void infer_input(struct infer *f, int value)
{
	const struct value *v = &f->l->program->values.at[value];
	struct layout out = {.axis = arena_array(f->l->arena, struct atoms, v->n_axes + 1)};
	for (int i = 0; i < v->n_axes; i++)
		if (v->axes[i] == f->l->program->batch)
			out.axis[i] = f->l->owners;
	int at = infer_emit(f, value, NULL, 0, out);
	f->ph->values.at[at].part = PART_EVERY;
}

static void infer_param(struct infer *f, int value)
{
	const struct value *v = &f->l->program->values.at[value];
	infer_emit(f, value, NULL, 0,
	           f->phase == PHASE_TRAIN
	               ? place_stored(f->l, &f->l->program->params.at[v->param], CLASS_WEIGHT)
	               : place_axes(f->l, v->axes, v->n_axes, NULL, 0, v->region, PHASE_ANY, CLASS_WEIGHT,
	                            arena_printf(f->l->arena, "parameter %s", v->name), v->span));
}

static void infer_constant(struct infer *f, int value)
{
	struct local *l = f->l;
	const struct value *v = &l->program->values.at[value];
	int64_t n = 1;
	for (int i = 0; i < v->n_axes; i++)
		n *= l->program->axes.at[v->axes[i]].extent;
	float *data = arena_array(l->arena, float, n);
	for (int64_t i = 0; i < n; i++)
		data[i] = (float)l->folded[value][i];
	int at = infer_emit(f, value, NULL, 0, (struct layout){.axis = arena_array(l->arena, struct atoms, v->n_axes + 1)});
	struct local_value *out = &f->ph->values.at[at];
	out->op = LOCAL_CONST;
	out->part = PART_EVERY;
	out->constant.data = data;
	out->constant.n = n;
}

/* The slot of the next value that a body carries. */
static int next_slot(const struct infer *f, int body)
{
	const struct program *p = f->l->program;
	int before = 0, mine = 0;
	for (int i = 0; i < f->ph->carries.n; i++) {
		const struct loop_carry *c = &f->ph->carries.at[i];
		bool earlier = p->bodies.at[c->body].loop < p->bodies.at[body].loop;
		before = earlier && c->slot >= before ? c->slot + 1 : before;
		mine += c->body == body;
	}
	return before + mine;
}

static void infer_carry(struct infer *f, int value)
{
	const struct value *v = &f->l->program->values.at[value];
	struct required_layout t = infer_want(f, v, v->axes, v->n_axes, NULL, 0);
	int args[1] = {infer_operand(f, value, 0, &t, NULL)};
	int at = infer_emit(f, value, args, 1, t.layout);
	f->ph->values.at[at].part = position_of(f->l, value);
	int body = f->ph->values.at[at].body, slot = next_slot(f, body);
	vec_push(f->l->arena, &f->ph->carries, ((struct loop_carry){at, -1, body, slot}));
}

/* Ends a body: reshards its carried values to the layout that the turn began with. */
static void infer_turn(struct infer *f)
{
	const struct program *p = f->l->program;
	for (int i = 0; i < f->ph->carries.n; i++) {
		struct loop_carry *t = &f->ph->carries.at[i];
		if (t->next >= 0)
			continue;
		const struct local_value carry = f->ph->values.at[t->begin];
		const struct value *v = &p->values.at[carry.source];
		t->next = reshard(f->l, f->ph, f->ph->of_program[v->next], &carry.layout, v->region, carry.source, "carried");
	}
}

static void infer_final(struct infer *f, int value)
{
	const struct value *v = &f->l->program->values.at[value];
	int arg = f->ph->of_program[v->args[0]];
	int at = infer_emit(f, value, &arg, 1, f->ph->values.at[arg].layout);
	f->ph->values.at[at].part = position_of(f->l, value);
}

/* ---- one phase ------------------------------------------------------------------------------- */
static void infer_value(struct infer *f, int value)
{
	const struct value *v = &f->l->program->values.at[value];
	if (f->l->folded[value])
		infer_constant(f, value);
	else if (v->op == OP_INPUT)
		infer_input(f, value);
	else if (v->op == OP_PARAM)
		infer_param(f, value);
	else if (v->op == OP_CARRY)
		infer_carry(f, value);
	else if (v->op == OP_FINAL)
		infer_final(f, value);
	else {
		infer_op(f, value);
		if (v->call < 0 || f->l->program->calls.at[v->call].last == value)
			infer_anchor(f, value);
	}
}

static void infer_outputs(struct infer *f)
{
	const struct program *p = f->l->program;
	for (int i = 0; i < p->outputs.n; i++) {
		const struct value *v = &p->values.at[p->outputs.at[i].value];
		int at = f->ph->of_program[p->outputs.at[i].value];
		struct required_layout t = infer_want(f, v, v->axes, v->n_axes, NULL, 0);
		at = reshard(f->l, f->ph, at, &t.layout, v->region, p->outputs.at[i].value, "output");
		*(v->type == TYPE_INDEX ? &f->ph->token : &f->ph->logits) = at;
	}
}

/* Is there an error where one is enough? */
static bool is_over(const struct local *l) { return l->sink->first_only && l->sink->errors; }

/* rules: the phase whose rules count. */
static void infer_phase(struct local *l, int phase, int rules)
{
	struct infer f = {.l = l, .ph = &l->phase[phase], .phase = rules};
	const struct program *p = l->program;
	f.ph->of_program = arena_array(l->arena, int, p->values.n + 1);
	f.call_required = arena_array(l->arena, struct required_layout, p->calls.n + 1);
	f.ph->logits = f.ph->token = -1;
	for (int i = 0; i < p->values.n; i++) {
		f.ph->of_program[i] = -1;
		for (int b = 0; b < p->bodies.n; b++)
			if (i == p->bodies.at[b].end)
				infer_turn(&f);
		if (l->live[i])
			infer_value(&f, i);
		if (is_over(l))
			return;
	}
	infer_turn(&f);
	infer_outputs(&f);
}

static bool has_axes(const struct value *v, const int *axes, int n)
{
	int found = 0;
	for (int i = 0; i < n; i++)
		for (int k = 0; k < v->n_axes; k++)
			found += v->axes[k] == axes[i];
	return found == n && v->n_axes == n;
}

/* A step outputs the logits of the wanted rows, and a token for each row. */
static void check_outputs(struct local *l)
{
	const struct program *p = l->program;
	const int axes[3] = {p->batch, p->row, p->vocab};
	const char *missing[2] = {"logits", "token"};
	for (int i = 0; i < p->outputs.n; i++) {
		const struct output *o = &p->outputs.at[i];
		const struct value *v = &p->values.at[o->value];
		bool token = !strcmp(o->name, "token"), known = token || !strcmp(o->name, "logits");
		if (known)
			missing[token] = NULL;
		if (token && v->type == TYPE_INDEX && v->index_of == p->vocab && has_axes(v, axes, 2))
			continue;
		if (known && !token && v->type == TYPE_FLOAT && v->dtype == DTYPE_F32 && has_axes(v, axes, 3))
			continue;
		struct diag *d = diag_report(l->sink, DIAG_E0918, o->span, "an output `%s`%s is not built in this version",
		                             o->name, known ? " of this type" : "");
		diag_help(l->sink, d,
		          "a step returns `logits : f32[batch, row, vocab]` and `token : index(vocab)[batch, row]`");
	}
	for (int i = 0; i < 2; i++)
		if (missing[i])
			diag_report(l->sink, DIAG_E0918, l->deploy->name_span,
			            "a model without `output %s` is not built in this version", missing[i]);
}

/* The one program of training. What rules place of gradients and optimizer states is checked with it. */
static void infer_training(struct local *l)
{
	infer_phase(l, PHASE_PREFILL, PHASE_TRAIN);
	l->phase[PHASE_DECODE] = l->phase[PHASE_PREFILL];
	for (int i = 0; i < l->program->params.n; i++)
		place_stored(l, &l->program->params.at[i], CLASS_OPTIMIZER);
}

struct local *dag_local(struct arena *arena, struct names *names, struct sink *sink, const struct deploy *d)
{
	struct local *l = arena_new(arena, struct local);
	*l = (struct local){.arena = arena, .names = names, .sink = sink, .deploy = d, .program = d->program};
	if (d->work.training)
		l->program = training_program(arena, d->program);
	int before = sink->errors;
	l->unpadded = find_unpadded(l->program);
	if (!mesh_refine(l))
		return NULL;
	place_owners(l);
	place_stages(l);
	place_fixed(l);
	mark_live(l);
	fold_constants(l);
	if (!d->work.training)
		check_outputs(l);
	if (is_over(l))
		return NULL;
	for (int phase = 0; phase < PHASES && !d->work.training; phase++)
		infer_phase(l, phase, phase);
	if (d->work.training)
		infer_training(l);
	if (is_over(l))
		return NULL;
	check_moves_of_padded(l);
	return sink->errors == before ? l : NULL;
}
