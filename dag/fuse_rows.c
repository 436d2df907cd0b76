/* Passes over rows that follow one another: a pass that reads the result of another computes it itself, from what the
 * other reads. The result is still stored if something else reads it; else it has no memory any more. A value is
 * rounded to the format that it had in memory, and a row's sums go over the same elements in the same order, so results
 * do not change. */
#include "fuse.h"
#include <string.h>

/* The launches at `first` and `second`, as one: its nodes, inputs and outputs, with their arguments. */
struct joined {
	const struct fusing *f;
	const struct instr *first, *second;
	struct kernel_rows a, b; /* over the same axes */
	struct kernel kernel;
	struct argument input[ROWS_MAX_OPERANDS], output[ROWS_MAX_OUTPUTS];
	int of_result[ROWS_MAX_OUTPUTS]; /* of a's results: the node of what is in memory; -1: not made yet */
};

static const struct argument *output_of(const struct instr *in, const struct kernel_rows *k, int o)
{
	return &in->launch.args[k->n_inputs + o];
}

/* ---- rows and axes --------------------------------------------------------------------------- */
static bool same_rows(const struct joined *j)
{
	const struct kernel_rows *a = &j->a, *b = &j->b;
	int at = a->n_inputs + a->n_outputs, other = b->n_inputs + b->n_outputs;
	if (a->limited != b->limited || a->ranged != b->ranged || a->groups != b->groups)
		return false;
	for (int i = 0; i < 1 + a->limited; i++)
		if (!fuse_same_argument(&j->first->launch.args[at + i], &j->second->launch.args[other + i]))
			return false;
	return true;
}

/* Does a node depend on where the innermost axis ends? */
static bool uses_axis(const struct kernel_rows *k)
{
	for (int i = 0; i < k->n_nodes; i++)
		if (k->node[i].op == ROWS_IOTA || k->node[i].op >= ROWS_SUM)
			return true;
	return false;
}

static int64_t row_elements(const struct kernel_rows *k)
{
	int64_t n = 1;
	for (int i = 0; i < k->dims; i++)
		n *= k->extent[i];
	return n;
}

static void split_strides(struct rows_operand *o, const struct kernel_rows *like)
{
	int64_t stride = o->stride[0];
	for (int d = like->dims - 1; d >= 0; d--) {
		o->stride[d] = stride;
		stride *= like->extent[d];
	}
}

/* Cuts the only axis of a pass into those of another with as many elements. */
static bool split_axis(struct kernel_rows *k, const struct kernel_rows *like)
{
	if (k->dims != 1 || uses_axis(k) || row_elements(k) != row_elements(like))
		return false;
	for (int i = 0; i < k->n_inputs; i++)
		split_strides(&k->input[i], like);
	for (int i = 0; i < k->n_outputs; i++)
		split_strides(&k->output[i], like);
	k->dims = like->dims;
	memcpy(k->extent, like->extent, sizeof k->extent);
	return true;
}

static bool same_axes(const struct kernel_rows *a, const struct kernel_rows *b)
{
	return a->dims == b->dims && !memcmp(a->extent, b->extent, sizeof *a->extent * (size_t)a->dims);
}

static bool align_axes(struct joined *j)
{
	return same_axes(&j->a, &j->b) || split_axis(&j->a, &j->b) || split_axis(&j->b, &j->a);
}

/* ---- operands -------------------------------------------------------------------------------- */
/* The result of the first pass that an input of the second reads, element by element; -1: none. */
static int result_read(const struct joined *j, int input)
{
	for (int o = 0; o < j->a.n_outputs; o++)
		if (fuse_same_argument(output_of(j->first, &j->a, o), &j->second->launch.args[input])
		    && rows_same_elements(&j->b, &j->a.output[o], &j->b.input[input]))
			return o;
	return -1;
}

/* Does the second pass read the first one's results in this way only, and overwrite neither them nor what they are
 * computed from? */
static bool only_elements(const struct joined *j)
{
	int n = j->a.n_inputs + j->a.n_outputs;
	for (int i = 0; i < j->b.n_inputs; i++)
		for (int o = 0; o < j->a.n_outputs; o++)
			if (fuse_same_memory(&j->second->launch.args[i], output_of(j->first, &j->a, o)) && result_read(j, i) < 0)
				return false;
	for (int o = 0; o < j->b.n_outputs; o++)
		for (int i = 0; i < n; i++)
			if (fuse_same_memory(output_of(j->second, &j->b, o), &j->first->launch.args[i]))
				return false;
	return true;
}

/* Must a result of the first pass be in memory for others than the second one? */
static bool is_read_by_others(const struct joined *j, int o)
{
	const struct argument *a = output_of(j->first, &j->a, o);
	int mine = 0;
	if (a->kind != ARGUMENT_BUFFER || j->f->w->buffers.at[a->buffer].fixed)
		return true;
	for (int i = 0; i < j->b.n_inputs; i++)
		mine += fuse_same_argument(a, &j->second->launch.args[i]);
	return j->f->reads[a->buffer] > mine;
}

/* The input with these elements, which is added if there is none; -1: there are too many. */
static int add_input(struct joined *j, const struct rows_operand *o, const struct argument *a)
{
	struct kernel_rows *k = &j->kernel.rows;
	for (int i = 0; i < k->n_inputs; i++)
		if (fuse_same_argument(a, &j->input[i]) && rows_same_elements(k, o, &k->input[i]))
			return i;
	if (k->n_inputs == ROWS_MAX_OPERANDS)
		return -1;
	k->input[k->n_inputs] = *o;
	j->input[k->n_inputs] = *a;
	return k->n_inputs++;
}

static bool add_output(struct joined *j, const struct rows_operand *o, const struct argument *a, int node)
{
	struct kernel_rows *k = &j->kernel.rows;
	if (k->n_outputs == ROWS_MAX_OUTPUTS)
		return false;
	k->output[k->n_outputs] = *o;
	k->result[k->n_outputs] = node;
	j->output[k->n_outputs++] = *a;
	return true;
}

/* ---- nodes ----------------------------------------------------------------------------------- */
static int add_node(struct joined *j, struct rows_node node)
{
	struct kernel_rows *k = &j->kernel.rows;
	if (k->n_nodes == ROWS_MAX_NODES)
		return -1;
	k->node[k->n_nodes] = node;
	return k->n_nodes++;
}

static int add_load(struct joined *j, struct rows_node node, const struct rows_operand *o, const struct argument *a)
{
	struct kernel_rows *k = &j->kernel.rows;
	node.a = add_input(j, o, a);
	for (int i = 0; i < k->n_nodes; i++)
		if (k->node[i].op == ROWS_LOAD && k->node[i].a == node.a)
			return i;
	return node.a < 0 ? -1 : add_node(j, node);
}

/* A result of the first pass as the second one reads it. */
static int read_result(struct joined *j, int o)
{
	struct rows_node round = {.op = ROWS_ROUND_TO, .a = j->kernel.rows.result[o], .dtype = j->a.output[o].dtype};
	if (j->of_result[o] < 0)
		j->of_result[o] = round.dtype == DTYPE_F32 ? round.a : add_node(j, round);
	return j->of_result[o];
}

/* Adds the nodes of a pass; to[i]: what its node i has become. second: it may read results of the first. */
static bool add_nodes(struct joined *j, const struct kernel_rows *k, const struct instr *in, bool second, int *to)
{
	for (int i = 0; i < k->n_nodes; i++) {
		struct rows_node node = k->node[i];
		int result = second && node.op == ROWS_LOAD ? result_read(j, node.a) : -1;
		if (result >= 0)
			to[i] = read_result(j, result);
		else if (node.op == ROWS_LOAD)
			to[i] = add_load(j, node, &k->input[node.a], &in->launch.args[node.a]);
		else {
			node.a = i ? to[node.a] : 0, node.b = i ? to[node.b] : 0, node.c = i ? to[node.c] : 0;
			to[i] = add_node(j, node);
		}
		if (to[i] < 0)
			return false;
	}
	return true;
}

/* Both passes as one kernel. The second one's results come first. false: it would be too large. */
static bool join(struct joined *j)
{
	struct kernel_rows *k = &j->kernel.rows;
	int to[2][ROWS_MAX_NODES];
	k->dims = j->b.dims;
	memcpy(k->extent, j->b.extent, sizeof k->extent);
	k->limited = j->b.limited, k->ranged = j->b.ranged, k->groups = j->b.groups;
	if (!add_nodes(j, &j->a, j->first, false, to[0]))
		return false;
	for (int o = 0; o < j->a.n_outputs; o++)
		k->result[o] = to[0][j->a.result[o]], j->of_result[o] = -1;
	if (!add_nodes(j, &j->b, j->second, true, to[1]))
		return false;
	for (int o = 0; o < j->b.n_outputs; o++)
		if (!add_output(j, &j->b.output[o], output_of(j->second, &j->b, o), to[1][j->b.result[o]]))
			return false;
	for (int o = 0; o < j->a.n_outputs; o++)
		if (is_read_by_others(j, o)
		    && !add_output(j, &j->a.output[o], output_of(j->first, &j->a, o), to[0][j->a.result[o]]))
			return false;
	return true;
}

static void arguments(const struct joined *j, struct argument *out)
{
	const struct kernel_rows *k = &j->kernel.rows;
	int n = 0, rows = j->b.n_inputs + j->b.n_outputs;
	for (int i = 0; i < k->n_inputs; i++)
		out[n++] = j->input[i];
	for (int i = 0; i < k->n_outputs; i++)
		out[n++] = j->output[i];
	for (int i = 0; i < 1 + k->limited; i++)
		out[n++] = j->second->launch.args[rows + i];
}

/* ---- launches -------------------------------------------------------------------------------- */
static const struct kernel_rows *rows_of(const struct fusing *f, int i)
{
	const struct instr *in = &f->list->at[i];
	const struct kernel *k = in->kind == INSTR_LAUNCH ? &f->w->s->kernels.at[in->launch.kernel] : NULL;
	return k && k->family == KERNEL_ROWS ? &k->rows : NULL;
}

static int join_at(struct fusing *f, int first, int second)
{
	struct joined j = {.f = f, .first = &f->list->at[first], .second = &f->list->at[second]};
	struct argument args[MAX_OPERANDS];
	int keep = fuse_may_move(f, first, second) ? second : fuse_may_move(f, second, first) ? first : -1;
	j.a = *rows_of(f, first), j.b = *rows_of(f, second);
	j.kernel = kernel_of(KERNEL_ROWS);
	if (keep < 0 || !same_rows(&j) || !align_axes(&j) || !only_elements(&j) || !join(&j))
		return -1;
	arguments(&j, args);
	return fuse_replace(f, keep, keep == first ? second : first, &j.kernel, args);
}

/* The launch before `i` that writes what an argument names; -1: none, or none that can be reached. */
static int writer_of(const struct fusing *f, int i, const struct argument *a)
{
	for (int k = i - 1; k >= 0 && f->list->at[k].kind == INSTR_LAUNCH; k--) {
		struct memory_operands o = instr_operands(f->w->s, &f->list->at[k]);
		for (int n = 0; n < o.n; n++)
			if (o.at[n].direction != ARG_IN && fuse_same_memory(o.at[n].argument, a))
				return k;
	}
	return -1;
}

int fuse_rows(struct fusing *f, int i)
{
	const struct kernel_rows *k = rows_of(f, i);
	for (int n = 0; k && n < k->n_inputs; n++) {
		const struct argument *a = &f->list->at[i].launch.args[n];
		int first = a->kind == ARGUMENT_BUFFER ? writer_of(f, i, a) : -1;
		int at = first >= 0 && rows_of(f, first) ? join_at(f, first, i) : -1;
		if (at >= 0)
			return at;
	}
	return -1;
}
