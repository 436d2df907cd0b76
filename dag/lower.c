/* The parts of lowering that all others use: shapes in memory, buffers, kernels and instructions. */
#include <string.h>
#include "lower.h"
#include "../support/round.h"

void lower_unsupported(struct lower *w, struct span at, const char *fmt, ...)
{
	va_list args;
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

bool axis_among(const int *axes, int n, int axis)
{
	for (int i = 0; i < n; i++)
		if (axes[i] == axis)
			return true;
	return false;
}

bool lower_is_param(const struct lower *w, int local)
{
	return w->ph->values.at[local].op == LOCAL_OP && lower_source(w, local)->op == OP_PARAM;
}

int lower_moved_param(const struct lower *w, int local)
{
	int at = local;
	while (w->ph->values.at[at].op >= LOCAL_ALL_REDUCE && w->ph->values.at[at].op <= LOCAL_SLICE)
		at = w->ph->values.at[at].args[0];
	return at != local && lower_is_param(w, at) ? at : -1;
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
	return (struct argument){.is_address = true, .address = {DR_SPACE_ACT, buffer}, .number = number_const(0)};
}
struct argument arg_phys(const struct phys *p)
{
	if (p->buffer < 0 && p->address.space == DR_SPACES)
		internal_error("a param is read that nobody has placed");
	struct argument a =
		p->buffer >= 0 ? arg_buffer(p->buffer) : (struct argument){.is_address = true, .address = p->address};
	a.number = p->offset;
	return a;
}

/* ---- shapes ---------------------------------------------------------------------------------- */
int64_t lower_rows_max(const struct lower *w, const struct phys *p)
{
	if (p->moe >= 0)
		return w->moes.at[p->moe].rows;
	int64_t most = p->rows.kind == NUMBER_TOKENS  ? w->s->chunk[w->phase]
	               : p->rows.kind == NUMBER_ROWS  ? w->s->max_rows[w->phase]
	               : p->rows.kind == NUMBER_PAGES ? w->s->pages
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

bool phys_merges(const struct phys *p, int from, int to, int64_t inner)
{
	for (int i = to - 1; i >= from; i--) {
		if (p->stride[i] != inner && p->dim[i].extent > 1)
			return false;
		inner *= p->dim[i].extent;
	}
	return true;
}

static bool has_slots(const struct lower *w, const struct local_value *v, int *expert)
{
	for (int i = 0; i < v->n_axes; i++) {
		const struct axis *a = &w->l->program->axes.at[v->axes[i]];
		if (a->kind != AXIS_RAGGED || a->of < 0 || !w->l->program->axes.at[a->of].extent)
			continue;
		*expert = a->of;
		return true;
	}
	return false;
}

/* Rows of a value over [batch, seq] or [batch, row]: owners that the rank holds, times its part of their tokens. */
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
	int expert = -1;
	struct phys out = {
		.buffer = -1, .moe = -1, .weight = -1, .dtype = v->dtype, .offset = number_const(0), .rows = number_const(1)};
	bool slots = has_slots(w, v, &expert);
	if (slots && w->moes.n) {
		out.moe = w->moes.n - 1;
		out.rows = number_const(w->moes.at[out.moe].rows);
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
		out.dim[out.n_dims++] = (struct dim){-1, 2};
	phys_make_contiguous(&out);
	return out;
}

int lower_carried_as(const struct lower *w, int local)
{
	for (int i = 0; i < w->ph->turns.n; i++)
		if (w->ph->turns.at[i].next == local)
			return i % w->n_carry;
	return -1;
}

bool lower_in_carry(const struct lower *w, const struct phys *p)
{
	for (int i = 0; i < w->n_carry; i++)
		if (p->buffer >= 0 && p->buffer == w->carry[i].buffer)
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
	diag_help(w->sink, d, "a smaller `batch`, `seq` or `chunk`, or more ranks");
}

int lower_buffer(struct lower *w, int64_t bytes)
{
	if (bytes > MAX_BUFFER)
		lower_too_large(w, "the bytes of one value in a step", (double)bytes, MAX_BUFFER);
	struct buffer b = {.bytes = bytes < 64 ? 64 : (bytes + 63) / 64 * 64, .used = bytes, .first = -1};
	vec_push(w->arena, &w->buffers, b);
	return w->buffers.n - 1;
}

struct phys *lower_define(struct lower *w, int local, struct phys p)
{
	const struct local_phase *ph = w->ph;
	int carry = lower_carried_as(w, local);
	p.state = PHYS_READY;
	p.offset = number_const(0);
	if (local == ph->logits)
		p.buffer = 1;
	else if (local == ph->token)
		p.buffer = 0;
	else if (w->turn_ends && carry >= 0 && phys_same_dims(&p, &w->carry[carry]))
		p.buffer = w->carry[carry].buffer;
	else
		p.buffer = lower_buffer(w, lower_rows_max(w, &p) * p.row_stride * dtype_bytes(p.dtype));
	w->phys[local] = p;
	return &w->phys[local];
}

int64_t lower_table(struct lower *w, const float *data, int64_t n)
{
	struct schedule *s = w->s;
	int64_t end = 0;
	for (int i = 0; i < s->constants.n; i++) {
		const struct constant *c = &s->constants.at[i];
		if (c->n == n && data && !memcmp(c->data, data, sizeof *data * (size_t)n))
			return c->offset;
	}
	for (int i = 0; i < s->constants.n; i++)
		end += (s->constants.at[i].n * 4 + 63) / 64 * 64;
	for (int i = 0; i < s->maps.n; i++)
		end += (s->maps.at[i].experts * 4 + 63) / 64 * 64;
	if (data)
		vec_push(w->arena, &s->constants, ((struct constant){end, data, n}));
	return end;
}

static int64_t most_of(const int64_t of_phase[PHASES]) { return of_phase[0] > of_phase[1] ? of_phase[0] : of_phase[1]; }

/* Words that a step brings of one owner in the largest step of any phase. */
static int64_t input_words(const struct schedule *s, enum dr_input what)
{
	int64_t tokens = most_of(s->chunk), rows = most_of(s->max_rows);
	switch (what) {
	case DR_INPUT_WANT:   return rows;
	case DR_INPUT_SAMPLE: return rows * (int64_t)(sizeof(struct dr_sampling) / 4);
	case DR_INPUT_PAGES:  return s->seqs * s->pages_per_seq;
	default:              return tokens;
	}
}

static struct argument step_input(struct lower *w, enum dr_input what, const struct local_value *like,
                                  const struct atoms *pages)
{
	const struct program *p = w->l->program;
	struct schedule *s = w->s;
	const struct atoms *batch = layout_of(like, p->batch), *part = layout_of(like, p->seq), none = {.n = 0};
	if (!batch)
		batch = &w->l->owners;
	if (!part)
		part = layout_of(like, p->row);
	if (!part || what == DR_INPUT_PAGES)
		part = &none;
	int64_t owners = atoms_size(w->l, &w->l->owners) / atoms_size(w->l, batch);
	struct step_input in = {.what = what,
	                        .owners = lower_group(w, batch),
	                        .part = lower_group(w, part),
	                        .pages = lower_group(w, pages),
	                        .offset = s->input_bytes,
	                        .bytes = owners * input_words(s, what) / atoms_size(w->l, part) * 4};
	for (int i = 0; i < s->inputs.n; i++) {
		const struct step_input *have = &s->inputs.at[i];
		if (have->what != what || have->owners != in.owners || have->part != in.part || have->pages != in.pages)
			continue;
		in.offset = have->offset;
	}
	if (in.offset == s->input_bytes) {
		s->input_bytes += round_up(in.bytes, 64);
		vec_push(w->arena, &s->inputs, in);
	}
	return (struct argument){.is_address = true, .address = {DR_SPACE_INPUT, in.offset}, .number = number_const(0)};
}

struct argument lower_input(struct lower *w, enum dr_input what, const struct local_value *like)
{
	const struct atoms none = {.n = 0};
	return step_input(w, what, like, &none);
}

struct argument lower_slots(struct lower *w, const struct local_value *like, const struct atoms *pages)
{
	return step_input(w, DR_INPUT_SLOT, like, pages);
}

/* ---- kernels and instructions ---------------------------------------------------------------- */
struct kernel kernel_of(enum kernel_family family)
{
	struct kernel k;
	memset(&k, 0, sizeof k);
	k.family = family;
	return k;
}

int lower_kernel(struct lower *w, const struct kernel *k)
{
	struct schedule *s = w->s;
	int same_family = 0;
	for (int i = 0; i < s->kernels.n; i++) {
		if (s->kernels.at[i].family != k->family)
			continue;
		same_family++;
		if (kernel_equal(k, &s->kernels.at[i]))
			return i;
	}
	vec_push(w->arena, &s->kernels, *k);
	struct kernel *new = &s->kernels.at[s->kernels.n - 1];
	snprintf(new->name, sizeof new->name, "%s_%d", kernel_family_name(k->family), same_family);
	return s->kernels.n - 1;
}

static const char *region_path(const struct lower *w, int region)
{
	const struct program *p = w->l->program;
	const struct region *r = &p->regions.at[region];
	if (r->parent < 0)
		return "";
	const char *outer = region_path(w, r->parent);
	return arena_printf(w->arena, "%s%s%s", outer, *outer ? "." : "", r->name);
}

int lower_op_name(struct lower *w, int local, const char *what)
{
	const char *path = region_path(w, w->ph->values.at[local].region);
	const char *name = arena_printf(w->arena, "%s%s%s", path, *path ? ": " : "", what);
	int first = index_find(&w->s->op_index, name);
	if (first >= 0)
		return first;
	vec_push(w->arena, &w->s->op_names, name);
	index_add(w->arena, &w->s->op_index, name);
	return w->s->op_names.n - 1;
}

struct instrs *step_part(const struct step *s, enum where where, int body)
{
	return &s->part[where == WHERE_LAST_STAGE ? s->n - 1 : where == WHERE_LAYER ? WHERE_LAYER + body : (int)where];
}

struct instrs *lower_part(const struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	return step_part(&w->s->step[w->phase], v->where, v->body);
}

void lower_emit(struct lower *w, int local, int moe, struct instr i, const char *what)
{
	i.op = lower_op_name(w, local, what);
	if (moe >= 0)
		vec_push(w->arena, &w->moes.at[moe].body, i);
	else
		vec_push(w->arena, lower_part(w, local), i);
}

void lower_launch(struct lower *w, int local, int moe, const struct kernel *k, const struct argument *args, int n,
                  const char *what)
{
	struct instr i = {.kind = INSTR_LAUNCH, .kernel = lower_kernel(w, k), .n_args = n};
	if (n != kernel_args(k))
		internal_error("%s takes %d arguments, given %d", kernel_family_name(k->family), kernel_args(k), n);
	i.args = arena_array(w->arena, struct argument, n);
	memcpy(i.args, args, sizeof *args * (size_t)n);
	lower_emit(w, local, moe, i, what);
}
