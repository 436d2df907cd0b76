/* What all of lowering uses: shapes in memory, buffers, kernels and instructions. */
#include <string.h>
#include "lower.h"
#include "../support/round.h"

void lower_unsupported(struct lower *w, struct span at, const char *fmt, ...)
{
	va_list args;
	if (w->failed)
		return;
	va_start(args, fmt);
	const char *what = arena_vprintf(w->arena, fmt, args);
	va_end(args);
	w->failed = true;
	diag_report(w->sink, DIAG_E0918, at, "%s is not built in this version", what);
}

const struct value *lower_source(const struct lower *w, int local)
{
	return &w->l->program->values.at[w->ph->values.at[local].source];
}

bool lower_is_op(const struct lower *w, int local, enum op op)
{
	return w->ph->values.at[local].op == LOCAL_OP && lower_source(w, local)->op == op;
}

bool lower_is_param(const struct lower *w, int local) { return lower_is_op(w, local, OP_PARAM); }

int lower_moved_param(const struct lower *w, int local)
{
	int at = local;
	while (w->ph->values.at[at].op >= LOCAL_ALL_REDUCE && w->ph->values.at[at].op <= LOCAL_SLICE)
		at = w->ph->values.at[at].args[0];
	return at != local && lower_is_param(w, at) ? at : -1;
}

/* A param that is cast to f32 is read in its stored format, since the kernel computes in f32. */
int lower_through_cast(const struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	bool widened = v->op == LOCAL_OP && lower_source(w, local)->op == OP_CAST && v->dtype == DTYPE_F32;
	return widened && lower_is_param(w, v->args[0]) ? v->args[0] : local;
}

int lower_group(struct lower *w, const struct atoms *a)
{
	struct schedule *s = w->s;
	for (int i = 0; i < s->groups.n; i++) {
		struct atoms have = {.n = s->groups.at[i].n};
		memcpy(have.at, s->groups.at[i].atom, sizeof have.at);
		if (atoms_equal(&have, a))
			return i;
	}
	struct group g = {.n = a->n, .size = atoms_size(w->l, a)};
	memcpy(g.atom, a->at, sizeof g.atom);
	vec_push(w->arena, &s->groups, g);
	return s->groups.n - 1;
}

/* ---- numbers and arguments ------------------------------------------------------------------- */
struct number number_const(int64_t v) { return (struct number){NUMBER_CONST, v, 1, 0}; }
struct number number_times(struct number n, int64_t k)
{
	n.value *= k;
	return n;
}
struct argument arg_number(struct number n) { return (struct argument){.number = n}; }
struct argument arg_buffer(int buffer)
{
	return (struct argument){.kind = ARGUMENT_BUFFER, .buffer = buffer, .number = number_const(0)};
}

struct argument arg_placed(enum dr_space space, int64_t offset)
{
	return (struct argument){.kind = ARGUMENT_PLACED, .address = {space, offset}, .number = number_const(0)};
}

struct argument arg_workspace(void) { return arg_placed(DR_SPACE_WORKSPACE, 0); }

struct argument arg_phys(const struct phys *p)
{
	if (p->memory != MEMORY_BUFFER && p->memory != MEMORY_PLACED)
		internal_error("a value without memory is read");
	struct argument a =
		p->memory == MEMORY_BUFFER ? arg_buffer(p->buffer) : arg_placed(p->address.space, p->address.offset);
	a.number = p->offset;
	return a;
}

bool phys_in_buffer(const struct phys *p, int buffer) { return p->memory == MEMORY_BUFFER && p->buffer == buffer; }

void phys_set_buffer(struct phys *p, int buffer)
{
	p->memory = MEMORY_BUFFER;
	p->buffer = buffer;
	p->offset = number_const(0);
}

void phys_set_address(struct phys *p, enum dr_space space, int64_t offset)
{
	p->memory = MEMORY_PLACED;
	p->address = (struct address){space, offset};
}

/* ---- shapes ---------------------------------------------------------------------------------- */
int64_t lower_rows_max(const struct lower *w, const struct phys *p)
{
	if (p->exchange >= 0)
		return w->exchanges.at[p->exchange].rows;
	int64_t most = p->rows.kind == NUMBER_TOKENS  ? w->step->max_tokens
	               : p->rows.kind == NUMBER_ROWS  ? w->step->max_rows
	               : p->rows.kind == NUMBER_PAGES ? w->s->pool[p->rows.group].pages
	                                              : 1;
	return most * p->rows.value / p->rows.div;
}

int64_t phys_row_elements(const struct phys *p)
{
	int64_t n = 1;
	for (int i = 0; i < p->n_dims; i++)
		n *= p->dim[i].extent;
	return n;
}

void phys_make_contiguous(struct phys *p)
{
	int64_t stride = 1;
	for (int i = p->n_dims - 1; i >= 0; i--) {
		p->stride[i] = stride;
		stride *= p->dim[i].extent;
	}
	p->row_stride = stride;
}

bool phys_contiguous(const struct phys *p)
{
	struct phys q = *p;
	phys_make_contiguous(&q);
	for (int i = 0; i < p->n_dims; i++)
		if (p->stride[i] != q.stride[i] && p->dim[i].extent > 1)
			return false;
	return p->row_stride == q.row_stride;
}

bool phys_same_dims(const struct phys *a, const struct phys *b)
{
	bool same = a->n_dims == b->n_dims && a->row_stride == b->row_stride && a->dtype == b->dtype;
	for (int i = 0; same && i < a->n_dims; i++)
		same = a->dim[i].axis == b->dim[i].axis && a->stride[i] == b->stride[i];
	return same;
}

const int *lower_axes_last(struct lower *w, const struct phys *x, const int *last, int n_last)
{
	int *order = arena_array(w->arena, int, x->n_dims + 1), n = 0;
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < x->n_dims; i++)
			if (axis_among(last, n_last, x->dim[i].axis) == (pass == 1))
				order[n++] = x->dim[i].axis;
	return order;
}

/* Axes of heads are stored in the order of declaration. A view of an axis counts as that axis. */
static bool lies_before(const struct program *p, int a, int b)
{
	int of_a = axis_root(p, a), of_b = axis_root(p, b);
	return of_a != of_b ? of_a < of_b : a < b;
}

int lower_heads_in_order(const struct program *p, const struct value *attend, int *out)
{
	int n = attend->attend.n_h;
	for (int i = 0; i < n; i++) {
		int at = i;
		for (; at && lies_before(p, attend->attend.h[i], out[at - 1]); at--)
			out[at] = out[at - 1];
		out[at] = attend->attend.h[i];
	}
	return n;
}

bool phys_merges(const struct phys *p, int from, int to, int64_t inner)
{
	for (int i = to - 1; i >= from; i--) {
		if (p->stride[i] != inner && p->dim[i].extent > 1)
			return false;
		inner *= p->dim[i].extent;
	}
	return true;
}

/* The axis of experts whose rows a ragged axis of the value counts, or -1. */
static int ragged_over(const struct lower *w, const struct local_value *v)
{
	for (int i = 0; i < v->n_axes; i++) {
		const struct axis *a = &w->l->program->axes.at[v->axes[i]];
		if (a->kind == AXIS_RAGGED && w->l->program->axes.at[a->of].extent)
			return a->of;
	}
	return -1;
}

int lower_row_groups(const struct lower *w, const struct local_value *v)
{
	int whole = ragged_over(w, v);
	for (int i = 0; i < v->n_axes && whole >= 0; i++)
		if (axis_is_within(w->l->program, v->axes[i], whole))
			return v->axes[i];
	return -1;
}

/* Index of the first element of a part within the whole axis, which has it. */
static int64_t begin_of_part(const struct program *p, int part, int whole)
{
	const int *at = p->axes.at[whole].part;
	int64_t before = 0;
	if (part == whole)
		return 0;
	for (; !axis_is_within(p, part, *at); at++)
		before += p->axes.at[*at].extent;
	return before + begin_of_part(p, part, *at);
}

bool lower_is_part(const struct lower *w, const struct phys *p)
{
	return p->exchange >= 0 && p->experts < w->exchanges.at[p->exchange].local;
}

/* Rows of a value over [batch, seq] or [batch, row]: the owners that the rank holds, times its part of each owner's
 * tokens. */
struct number lower_rows_of(const struct lower *w, const struct local_value *v)
{
	const struct program *p = w->l->program;
	struct number rows = number_const(1);
	for (int i = 0; i < v->n_axes; i++) {
		int64_t size = atoms_size(w->l, &v->layout.axis[i]);
		if (v->axes[i] == p->batch)
			rows.value *= atoms_size(w->l, &w->l->owners) / size;
		if (v->axes[i] != p->seq && v->axes[i] != p->row)
			continue;
		rows.kind = v->axes[i] == p->seq ? NUMBER_TOKENS : NUMBER_ROWS;
		rows.div *= size;
	}
	return rows;
}

struct phys lower_shape(struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct program *p = w->l->program;
	int expert = lower_row_groups(w, v);
	struct phys out = {
		.exchange = -1, .weight = -1, .dtype = v->dtype, .offset = number_const(0), .rows = number_const(1)};
	bool slots = expert >= 0;
	if (slots && w->exchange_of[local] >= 0) {
		out.exchange = w->exchange_of[local];
		out.rows = number_const(w->exchanges.at[out.exchange].rows);
		int whole = ragged_over(w, v);
		out.sorted_by = expert;
		out.first = begin_of_part(p, expert, whole);
		out.experts = expert == whole ? w->exchanges.at[out.exchange].local : p->axes.at[expert].extent;
	} else
		out.rows = lower_rows_of(w, v);
	if (lower_source(w, local)->type != TYPE_FLOAT && v->op != LOCAL_ANGLES)
		out.dtype = DTYPE_I32;
	for (int i = 0; i < v->n_axes; i++) {
		int axis = v->axes[i];
		if (axis == p->batch || axis == p->seq || axis == p->row
		    || (slots && (axis == expert || p->axes.at[axis].kind == AXIS_RAGGED)))
			continue;
		if (!p->axes.at[axis].extent) {
			lower_unsupported(w, lower_source(w, local)->span, "axis `%s` here", p->axes.at[axis].name);
			continue;
		}
		if (out.n_dims == MAX_DIMS) {
			lower_unsupported(w, lower_source(w, local)->span, "a value of more than %d axes", MAX_DIMS);
			break;
		}
		out.dim[out.n_dims++] = (struct dim){axis, axis_local(w->l, v, i)};
	}
	if (v->op == LOCAL_ANGLES)
		out.dim[out.n_dims++] = (struct dim){AXIS_COS_SIN, 2};
	phys_make_contiguous(&out);
	return out;
}

int lower_carried_as(const struct lower *w, int local)
{
	for (int i = 0; i < w->ph->carries.n; i++)
		if (w->ph->carries.at[i].next == local)
			return w->ph->carries.at[i].slot;
	return -1;
}

bool lower_in_carry(const struct lower *w, const struct phys *p)
{
	for (int i = 0; i < w->n_carry; i++)
		if (w->carry[i].memory == MEMORY_BUFFER && phys_in_buffer(p, w->carry[i].buffer))
			return true;
	return false;
}

/* ---- memory ---------------------------------------------------------------------------------- */
void lower_too_large(struct lower *w, const char *what, double n, int64_t most)
{
	if (w->failed)
		return;
	w->failed = true;
	struct diag *d = diag_report(w->sink, DIAG_E0705, w->l->deploy->work.span,
	                             "%s would be %.4g: a launcher takes at most %lld", what, n, (long long)most);
	diag_help(w->sink, d, "a smaller `batch`, `seq`, `chunk` or `rows`, or more ranks");
}

int lower_buffer(struct lower *w, int64_t bytes)
{
	if (bytes > MAX_BUFFER)
		lower_too_large(w, "the bytes of one value in a step", (double)bytes, MAX_BUFFER);
	struct buffer b = {.bytes = bytes < 64 ? 64 : (bytes + 63) / 64 * 64, .used = bytes, .first = -1, .replaces = -1};
	vec_push(w->arena, &w->buffers, b);
	return w->buffers.n - 1;
}

struct phys *lower_define(struct lower *w, int local, struct phys p)
{
	const struct local_phase *ph = w->ph;
	int carry = lower_carried_as(w, local);
	p.state = PHYS_READY;
	if (local == ph->logits)
		phys_set_buffer(&p, BUFFER_LOGITS);
	else if (local == ph->token)
		phys_set_buffer(&p, BUFFER_TOKENS);
	else if (w->turn_ends && carry >= 0 && phys_same_dims(&p, &w->carry[carry]))
		phys_set_buffer(&p, w->carry[carry].buffer);
	else
		phys_set_buffer(&p, lower_buffer(w, lower_rows_max(w, &p) * p.row_stride * dtype_bytes(p.dtype)));
	w->phys[local] = p;
	return &w->phys[local];
}
