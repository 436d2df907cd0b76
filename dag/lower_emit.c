/* Adds to the schedule: tables, a step's inputs, kernels, instructions, collectives. */
#include <string.h>
#include "lower.h"
#include "../support/round.h"

/* ---- data ------------------------------------------------------------------------------------ */
int64_t lower_table(struct lower *w, const float *data, int64_t n)
{
	struct schedule *s = w->s;
	int64_t end = 0;
	for (int i = 0; i < s->constants.n; i++) {
		const struct constant *c = &s->constants.at[i];
		if (c->n == n && !memcmp(c->data, data, sizeof *data * (size_t)n))
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

/* Words of an input per owner, in the largest step of any program. */
static int64_t input_words(const struct schedule *s, enum dr_input what)
{
	int64_t tokens = program_max_tokens(s), rows = program_max_rows(s);
	switch (what) {
	case DR_INPUT_WANT:   return rows;
	case DR_INPUT_SAMPLE: return rows * (int64_t)(sizeof(struct dr_sampling) / 4);
	case DR_INPUT_ADJUST: return s->adjusts * (int64_t)(sizeof(struct dr_adjust) / 4);
	case DR_INPUT_PAGES:  return s->seqs * s->pages_per_seq;
	default:              return tokens;
	}
}

/* The atoms that split `like` among owners. */
static const struct atoms *owner_atoms(struct lower *w, const struct local_value *like)
{
	const struct atoms *batch = layout_of(like, w->l->program->batch);
	return batch ? batch : &w->l->owners;
}

int64_t lower_owners(struct lower *w, const struct local_value *like)
{
	return atoms_size(w->l, &w->l->owners) / atoms_size(w->l, owner_atoms(w, like));
}

static struct argument step_input(struct lower *w, enum dr_input what, const struct local_value *like, int pool,
                                  const struct atoms *pages)
{
	const struct program *p = w->l->program;
	struct schedule *s = w->s;
	const struct atoms *part = layout_of(like, p->seq), none = {.n = 0};
	if (!part)
		part = layout_of(like, p->row);
	if (!part || what == DR_INPUT_PAGES || what == DR_INPUT_ADJUST)
		part = &none;
	struct step_input in = {.what = what,
	                        .owner_group = lower_group(w, owner_atoms(w, like)),
	                        .token_group = lower_group(w, part),
	                        .page_group = lower_group(w, pages),
	                        .pool = pool,
	                        .offset = s->input_bytes,
	                        .bytes = lower_owners(w, like) * input_words(s, what) / atoms_size(w->l, part) * 4};
	for (int i = 0; i < s->inputs.n; i++) {
		const struct step_input *have = &s->inputs.at[i];
		if (have->what != what || have->owner_group != in.owner_group || have->token_group != in.token_group
		    || have->page_group != in.page_group || have->pool != pool)
			continue;
		in.offset = have->offset;
	}
	if (in.offset == s->input_bytes) {
		s->input_bytes += round_up(in.bytes, 64);
		vec_push(w->arena, &s->inputs, in);
	}
	return arg_placed(DR_SPACE_INPUT, in.offset);
}

struct argument lower_input(struct lower *w, enum dr_input what, const struct local_value *like)
{
	const struct atoms none = {.n = 0};
	return step_input(w, what, like, 0, &none);
}

struct argument lower_slots(struct lower *w, const struct local_value *like, int pool, const struct atoms *pages)
{
	return step_input(w, DR_INPUT_SLOT, like, pool, pages);
}

struct argument lower_pages(struct lower *w, const struct local_value *like, int pool)
{
	const struct atoms none = {.n = 0};
	return step_input(w, DR_INPUT_PAGES, like, pool, &none);
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

int lower_name(struct lower *w, const char *name)
{
	int first = index_find(&w->s->op_index, name);
	if (first >= 0)
		return first;
	vec_push(w->arena, &w->s->op_names, name);
	index_add(w->arena, &w->s->op_index, name);
	return w->s->op_names.n - 1;
}

int lower_op_name(struct lower *w, int local, const char *what)
{
	const char *path = region_path(w, w->ph->values.at[local].region);
	return lower_name(w, arena_printf(w->arena, "%s%s%s", path, *path ? ": " : "", what));
}

struct instrs *lower_instrs(const struct lower *w, int local)
{
	const struct local_value *v = &w->ph->values.at[local];
	if (!part_is_loop(v->part))
		return program_instrs(w->step, BLOCK_ONCE, v->part, 0);
	const struct program *p = w->l->program;
	return program_instrs(w->step, BLOCK_LAYERS, v->part, v->body - p->loops.at[p->bodies.at[v->body].loop].first_body);
}

void lower_emit(struct lower *w, int local, int exchange, struct instr i, const char *what)
{
	i.op = lower_op_name(w, local, what);
	if (exchange >= 0)
		vec_push(w->arena, &w->exchanges.at[exchange].body, i);
	else
		vec_push(w->arena, lower_instrs(w, local), i);
}

void lower_launch(struct lower *w, int local, int exchange, const struct kernel *k, const struct argument *args, int n,
                  const char *what)
{
	struct instr i = {.kind = INSTR_LAUNCH, .launch = {.kernel = lower_kernel(w, k), .n_args = n}};
	if (n != kernel_args(k))
		internal_error("%s takes %d arguments, given %d", kernel_family_name(k->family), kernel_args(k), n);
	i.launch.args = arena_array(w->arena, struct argument, n);
	memcpy(i.launch.args, args, sizeof *args * (size_t)n);
	lower_emit(w, local, exchange, i, what);
}

/* ---- collectives ----------------------------------------------------------------------------- */
const char *collective_name(enum dr_collective_kind kind)
{
	static const char *const names[] = {[DR_ALL_REDUCE] = "all_reduce",
	                                    [DR_ALL_GATHER] = "all_gather",
	                                    [DR_REDUCE_SCATTER] = "reduce_scatter",
	                                    [DR_ALL_TO_ALL] = "all_to_all",
	                                    [DR_SEND] = "send",
	                                    [DR_RECV] = "recv"};
	return names[kind];
}

int lower_add_collective(struct lower *w, enum dr_collective_kind kind, int group, enum dtype dtype,
                         struct number outer, int64_t bytes, int local, const char *what)
{
	const struct local_value *v = &w->ph->values.at[local];
	const struct group *g = &w->s->groups.at[group];
	struct atoms atoms = {.n = g->n};
	memcpy(atoms.at, g->atom, sizeof atoms.at);
	if (dtype == DTYPE_F64)
		lower_unsupported(w, lower_source(w, local)->span, "a value of f64 that ranks exchange (%s)", what);
	struct collective c = {.kind = kind,
	                       .group = group,
	                       .dtype = dtype,
	                       .program = (int)(w->step - w->s->programs.at),
	                       .outer = outer,
	                       .bytes_per_outer = bytes,
	                       .per_layer = part_is_loop(v->part),
	                       .body = v->body};
	const struct region *r = &w->l->program->regions.at[v->region];
	c.where = r->parent < 0 ? "model" : r->name;
	c.cause =
		arena_printf(w->arena, "%s over %s at %s (%s)", collective_name(kind), atoms_text(w->l, &atoms), c.where, what);
	vec_push(w->arena, &w->s->collectives, c);
	return w->s->collectives.n - 1;
}
