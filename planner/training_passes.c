/* Passes over rows: pointwise operations, reductions and rotations run in one kernel up to what has to be in memory,
 * which is what another kernel or a collective reads, or what several read. */
#include "training_time.h"

static bool is_row(const struct training *t, int at)
{
	const struct local_value *v = &t->forward->values.at[at];
	if (v->part == PART_EVERY)
		return false;
	if (v->op == LOCAL_NARROW || v->op == LOCAL_TO_PENDING)
		return true;
	enum op op = training_source(t, at)->op;
	return v->op == LOCAL_OP && (op_is_pointwise(op) || op_is_reduce(op) || op == OP_ROTATE || op == OP_JOIN);
}

/* The product that a bias is added to, or -1. */
static int product_of_sum(const struct training *t, int at)
{
	const struct local_value *v = &t->forward->values.at[at];
	for (int i = 0; i < 2 && training_is(t, at, OP_ADD) && training_source(t, at)->call < 0; i++) {
		int x = v->args[i], bias = v->args[1 - i];
		if (training_is(t, x, OP_CONTRACT) && !training_has_tokens(t, bias))
			return x;
	}
	return -1;
}

int training_root(const struct training *t, int at)
{
	for (;;) {
		const struct local_value *v = &t->forward->values.at[at];
		bool view = training_is(t, at, OP_RENAME) || training_is(t, at, OP_PIECE) || v->op == LOCAL_SLICE;
		int product = product_of_sum(t, at);
		if (!view && product < 0)
			return at;
		at = view ? v->args[0] : product;
	}
}

struct fusing {
	const struct training *t;
	int *leader; /* the last value of the call that it is in, or itself */
	int *reader; /* the leader that reads it; -1: none yet */
	bool *stored;
	bool *seen;
};

static void find_leaders(struct fusing *f)
{
	const struct local_phase *ph = f->t->forward;
	int *last = arena_array(f->t->arena, int, f->t->local->program->calls.n + 1);
	for (int i = 0; i < ph->values.n; i++) {
		int call = ph->values.at[i].op == LOCAL_OP ? training_source(f->t, i)->call : -1;
		if (call >= 0)
			last[call] = i;
	}
	for (int i = 0; i < ph->values.n; i++) {
		int call = ph->values.at[i].op == LOCAL_OP ? training_source(f->t, i)->call : -1;
		f->leader[i] = call >= 0 ? last[call] : i;
		f->reader[i] = -1;
	}
}

static void add_reader(struct fusing *f, int value, int reader)
{
	int root = f->leader[training_root(f->t, value)];
	if (reader >= 0 && f->leader[reader] == root)
		return;
	bool other = reader < 0 || !is_row(f->t, reader) || (f->reader[root] >= 0 && f->reader[root] != f->leader[reader]);
	f->stored[root] |= other;
	f->reader[root] = reader < 0 ? root : f->leader[reader];
}

static void find_stored(struct fusing *f)
{
	const struct local_phase *ph = f->t->forward;
	const struct program *p = f->t->local->program;
	for (int i = 0; i < ph->values.n; i++) {
		bool view = training_root(f->t, i) != i;
		for (int k = 0; k < ph->values.at[i].n_args && !view; k++)
			if (ph->values.at[i].args[k] >= 0)
				add_reader(f, ph->values.at[i].args[k], i);
	}
	for (int i = 0; i < ph->carries.n; i++)
		add_reader(f, ph->carries.at[i].next, -1);
	for (int i = 0; i < p->outputs.n; i++)
		if (ph->of_program[p->outputs.at[i].value] >= 0)
			add_reader(f, ph->of_program[p->outputs.at[i].value], -1);
}

/* Adds what a kernel reads for a value that it does not find in memory. */
static void read_into(struct fusing *f, int at, struct training_pass *pass)
{
	const struct local_value *v = &f->t->forward->values.at[at];
	pass->reduces |= v->op == LOCAL_OP && op_is_reduce(training_source(f->t, at)->op);
	for (int i = 0; i < v->n_args; i++) {
		int arg = v->args[i], root = arg < 0 ? -1 : training_root(f->t, arg);
		if (arg < 0 || f->seen[root] || f->t->forward->values.at[root].part == PART_EVERY)
			continue;
		f->seen[root] = true;
		if (is_row(f->t, root) && !f->stored[root])
			read_into(f, root, pass);
		else
			pass->bytes += training_value_bytes(f->t, arg);
	}
}

bool *training_in_memory(const struct training *t)
{
	int n = t->forward->values.n;
	struct fusing f = {t, arena_array(t->arena, int, n + 1), arena_array(t->arena, int, n + 1),
	                   arena_array(t->arena, bool, n + 1), NULL};
	bool *out = arena_array(t->arena, bool, n + 1);
	find_leaders(&f);
	find_stored(&f);
	for (int i = 0; i < n; i++) {
		int root = training_root(t, i);
		out[i] = !is_row(t, root) || (f.leader[root] == root && f.stored[root]);
	}
	return out;
}

struct training_passes training_find_passes(const struct training *t)
{
	int n = t->forward->values.n;
	struct fusing f = {t, arena_array(t->arena, int, n + 1), arena_array(t->arena, int, n + 1),
	                   arena_array(t->arena, bool, n + 1), NULL};
	struct training_passes out = {0};
	find_leaders(&f);
	find_stored(&f);
	for (int i = 0; i < n; i++) {
		if (!f.stored[i] || f.leader[i] != i || !is_row(t, i) || !training_has_tokens(t, i))
			continue;
		struct training_pass pass = {.value = i, .bytes = training_value_bytes(t, i)};
		f.seen = arena_array(t->arena, bool, n + 1);
		read_into(&f, i, &pass);
		vec_push(t->arena, &out, pass);
	}
	return out;
}
