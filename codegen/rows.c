/* What the generators of rows kernels share, whoever walks along a row: the values of a row's nodes, reductions, and
 * addresses. */
#include "rows.h"

static int operands(enum rows_op op)
{
	switch (op) {
	case ROWS_LOAD:
	case ROWS_CONST:
	case ROWS_IOTA:  return 0;
	case ROWS_ADD:
	case ROWS_SUB:
	case ROWS_MUL:
	case ROWS_DIV:
	case ROWS_MIN:
	case ROWS_MAX:   return 2;
	case ROWS_CLAMP: return 3;
	default:         return 1;
	}
}

bool rows_reduces(enum rows_op op) { return op == ROWS_SUM || op == ROWS_MEAN || op == ROWS_REDUCE_MAX; }

static int operand(const struct rows_node *n, int i) { return i == 0 ? n->a : i == 1 ? n->b : n->c; }

void rows_analyse(struct rows *r)
{
	for (int i = 0; i < r->k->n_nodes; i++) {
		const struct rows_node *n = &r->k->node[i];
		bool load = n->op == ROWS_LOAD, reduction = rows_reduces(n->op);
		r->varying[i] = n->op == ROWS_IOTA || (load && r->k->input[n->a].stride[r->k->dims - 1] != 0);
		for (int j = 0; j < operands(n->op); j++) {
			int a = operand(n, j);
			if (r->varying[a] && !reduction)
				r->varying[i] = true;
			if (r->level[a] + reduction > r->level[i])
				r->level[i] = r->level[a] + reduction;
		}
	}
}

int rows_walks(const struct rows *r)
{
	int most = 0;
	for (int i = 0; i < r->k->n_nodes; i++)
		if (r->level[i] > most)
			most = r->level[i];
	return most;
}

/* ---- values ---------------------------------------------------------------------------------- */
static LLVMValueRef unary(struct codegen *g, const char *intrinsic, LLVMValueRef x)
{
	return ir_intrinsic(g, intrinsic, LLVMTypeOf(x), &x, 1);
}

static LLVMValueRef sine_or_cosine(struct codegen *g, enum rows_op op, LLVMValueRef x)
{
	LLVMValueRef sine, cosine;
	math_sincos(g, LLVMBuildFPExt(g->builder, x, ir_with_element(LLVMTypeOf(x), g->f64), ""), &sine, &cosine);
	return op == ROWS_SIN ? sine : cosine;
}

/* x, but NaN where it is infinite. What overflows must not become a finite number again, as x / infinity would: a row
 * of NaN logits is a failure, a row of zeros a wrong token. */
static LLVMValueRef overflow_to_nan(struct codegen *g, LLVMValueRef x) { return ir_fadd(g, x, ir_fsub(g, x, x)); }

static LLVMValueRef reciprocal_root(struct codegen *g, LLVMValueRef x)
{
	LLVMValueRef root = unary(g, "llvm.sqrt", overflow_to_nan(g, x));
	return ir_fdiv(g, ir_like(g, LLVMTypeOf(x), 1), root);
}

/* One operator, on scalars or vectors. */
static LLVMValueRef apply(struct codegen *g, const struct rows_node *n, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
	switch (n->op) {
	case ROWS_ADD:      return ir_fadd(g, a, b);
	case ROWS_SUB:      return ir_fsub(g, a, b);
	case ROWS_MUL:      return ir_fmul(g, a, b);
	case ROWS_DIV:      return ir_fdiv(g, a, b);
	case ROWS_MIN:      return ir_fmin(g, b, a);
	case ROWS_MAX:      return ir_fmax(g, b, a);
	case ROWS_CLAMP:    return ir_fmin(g, c, ir_fmax(g, b, a));
	case ROWS_EXP:      return math_exp(g, a);
	case ROWS_LOG:      return math_log(g, a);
	case ROWS_SQRT:     return unary(g, "llvm.sqrt", a);
	case ROWS_RSQRT:    return reciprocal_root(g, a);
	case ROWS_TANH:     return math_tanh(g, a);
	case ROWS_ERF:      return math_erf(g, a);
	case ROWS_SIN:
	case ROWS_COS:      return sine_or_cosine(g, n->op, a);
	case ROWS_ABS:      return unary(g, "llvm.fabs", a);
	case ROWS_FLOOR:    return unary(g, "llvm.floor", a);
	case ROWS_CEIL:     return unary(g, "llvm.ceil", a);
	case ROWS_ROUND_TO: return dtype_widen(g, n->dtype, dtype_narrow(g, n->dtype, a));
	default:            internal_error("rows: operator %d is not pointwise", (int)n->op);
	}
}

LLVMValueRef rows_scalar(struct rows *r, int i)
{
	const struct rows_node *n = &r->k->node[i];
	if (r->uniform[i])
		return r->uniform[i];
	if (rows_reduces(n->op))
		internal_error("rows: a reduction is used before its walk");
	if (n->op == ROWS_CONST)
		return r->uniform[i] = ir_f32(r->g, n->number);
	if (n->op == ROWS_LOAD)
		return r->uniform[i] = load_scalar(r->g, r->k->input[n->a].dtype, r->input[n->a]);
	LLVMValueRef v[3] = {0};
	for (int j = 0; j < operands(n->op); j++)
		v[j] = rows_scalar(r, operand(n, j));
	return r->uniform[i] = apply(r->g, n, v[0], v[1], v[2]);
}

static LLVMValueRef load_operand(struct rows *r, const struct rows_operand *o, LLVMValueRef row)
{
	int64_t stride = o->stride[r->k->dims - 1];
	LLVMValueRef at = ir_at(r->g, row, o->dtype, ir_mul(r->g, r->index, ir_i64(r->g, stride)));
	if (stride == 1)
		return load_vector(r->g, o->dtype, at, r->mask);
	return load_strided(r->g, o->dtype, at, stride, r->mask);
}

static LLVMValueRef index_value(struct rows *r)
{
	LLVMValueRef first = LLVMBuildSIToFP(r->g->builder, r->index, r->g->f32, "");
	return ir_fadd(r->g, ir_splat(r->g, first), ir_iota(r->g, r->g->f32));
}

LLVMValueRef rows_vector(struct rows *r, int i)
{
	const struct rows_node *n = &r->k->node[i];
	if (r->vector[i])
		return r->vector[i];
	if (!r->varying[i])
		return r->vector[i] = ir_splat(r->g, rows_scalar(r, i));
	if (n->op == ROWS_IOTA)
		return r->vector[i] = index_value(r);
	if (n->op == ROWS_LOAD)
		return r->vector[i] = load_operand(r, &r->k->input[n->a], r->input[n->a]);
	LLVMValueRef v[3] = {0};
	for (int j = 0; j < operands(n->op); j++)
		v[j] = rows_vector(r, operand(n, j));
	return r->vector[i] = apply(r->g, n, v[0], v[1], v[2]);
}

/* ---- reductions ------------------------------------------------------------------------------ */
static LLVMValueRef neutral(struct codegen *g, enum rows_op op)
{
	LLVMTypeRef i32 = ir_vector(g, g->i32);
	return ir_bits(g, ir_like_int(g, i32, op == ROWS_REDUCE_MAX ? 0xff800000 : 0), ir_vector(g, g->f32));
}

void rows_start(struct rows *r)
{
	for (int i = 0; i < r->k->n_nodes; i++)
		if (rows_reduces(r->k->node[i].op) && r->level[i] == r->walk)
			ir_store(r->g, neutral(r->g, r->k->node[i].op), r->total[i], 4);
}

static void accumulate(struct rows *r, int i)
{
	struct codegen *g = r->g;
	const struct rows_node *n = &r->k->node[i];
	LLVMValueRef v = rows_vector(r, n->a), sum = ir_load(g, ir_vector(g, g->f32), r->total[i], 4);
	if (r->mask)
		v = ir_select(g, r->mask, v, neutral(g, n->op));
	ir_store(g, n->op == ROWS_REDUCE_MAX ? ir_fmax(g, v, sum) : ir_fadd(g, sum, v), r->total[i], 4);
}

void rows_accumulate(struct rows *r)
{
	for (int i = 0; i < r->k->n_nodes; i++)
		if (rows_reduces(r->k->node[i].op) && r->level[i] == r->walk)
			accumulate(r, i);
}

void rows_finish(struct rows *r, rows_join *join)
{
	struct codegen *g = r->g;
	for (int i = 0; i < r->k->n_nodes; i++) {
		const struct rows_node *n = &r->k->node[i];
		if (!rows_reduces(n->op) || r->level[i] != r->walk)
			continue;
		ir_binary *op = n->op == ROWS_REDUCE_MAX ? ir_fmax : ir_fadd;
		LLVMValueRef sum = ir_reduce(g, ir_load(g, ir_vector(g, g->f32), r->total[i], 4), op);
		if (join)
			sum = join(r, sum, op);
		if (n->op != ROWS_REDUCE_MAX)
			sum = overflow_to_nan(g, sum);
		if (n->op == ROWS_MEAN)
			sum = ir_fdiv(g, sum, ir_f32(g, (double)r->k->extent[r->k->dims - 1]));
		r->uniform[i] = sum;
	}
}

void rows_settle(struct rows *r)
{
	for (int i = 0; i < r->k->n_nodes; i++)
		if (!r->varying[i] && r->level[i] < r->walk && !r->uniform[i])
			rows_scalar(r, i);
}

/* ---- results --------------------------------------------------------------------------------- */
/* Is it an output with one element per row, whose value the walks have computed? */
static bool stores_scalar(const struct rows *r, int o)
{
	return r->k->output[o].stride[r->k->dims - 1] == 0 && !r->varying[r->k->result[o]];
}

static void store_output(struct rows *r, int o)
{
	const struct rows_operand *out = &r->k->output[o];
	int64_t stride = out->stride[r->k->dims - 1];
	LLVMValueRef at = ir_at(r->g, r->output[o], out->dtype, ir_mul(r->g, r->index, ir_i64(r->g, stride)));
	LLVMValueRef v = r->vector[r->k->result[o]];
	if (stride == 0)
		internal_error("a result without the axis that its value varies along");
	else if (stride == 1)
		store_vector(r->g, out->dtype, v, at, r->mask);
	else
		store_strided(r->g, out->dtype, v, at, stride, r->mask);
}

void rows_results(struct rows *r)
{
	for (int o = 0; o < r->k->n_outputs; o++)
		if (!stores_scalar(r, o))
			rows_vector(r, r->k->result[o]);
}

void rows_store_vectors(struct rows *r)
{
	rows_results(r);
	for (int o = 0; o < r->k->n_outputs; o++)
		if (!stores_scalar(r, o))
			store_output(r, o);
}

void rows_store_scalars(struct rows *r)
{
	for (int o = 0; o < r->k->n_outputs; o++)
		if (stores_scalar(r, o))
			store_scalar(r->g, r->k->output[o].dtype, rows_scalar(r, r->k->result[o]), r->output[o]);
}

/* ---- addresses ------------------------------------------------------------------------------- */
/* Finds the last group that starts at or before a row, by bisection. Indices past the last group are clamped to its
 * end. */
static LLVMValueRef group_of(struct codegen *g, const struct kernel_rows *k, LLVMValueRef row)
{
	LLVMValueRef offsets = arg_pointer(g, k->n_inputs + k->n_outputs + 1), groups = ir_i64(g, k->groups),
				 group = ir_i64(g, 0);
	int64_t step = 1;
	while (step * 2 <= k->groups)
		step *= 2;
	for (; step; step /= 2) {
		LLVMValueRef next = ir_min(g, ir_add(g, group, ir_i64(g, step)), groups);
		group = ir_select(g, ir_compare(g, LLVMIntSLE, ir_load_i32(g, offsets, next), row), next, group);
	}
	return group;
}

/* Address of an operand's row. `outer`: the row number, and the indices of all axes but the innermost. */
static LLVMValueRef row_address(struct rows *r, const struct rows_operand *o, LLVMValueRef base,
                                const LLVMValueRef *outer)
{
	struct codegen *g = r->g;
	LLVMValueRef at = ir_mul(g, outer[0], ir_i64(g, o->row_stride));
	if (o->group_stride)
		at = ir_add(g, at, ir_mul(g, r->group, ir_i64(g, o->group_stride)));
	for (int d = 0; d + 1 < r->k->dims; d++)
		at = ir_add(g, at, ir_mul(g, outer[d + 1], ir_i64(g, o->stride[d])));
	return ir_at(g, base, o->dtype, at);
}

static void split_item(struct rows *r, LLVMValueRef item, LLVMValueRef *outer)
{
	for (int d = r->k->dims - 2; d >= 0; d--) {
		LLVMValueRef extent = ir_i64(r->g, r->k->extent[d]);
		outer[d + 1] = ir_rem(r->g, item, extent);
		item = ir_div(r->g, item, extent);
	}
	outer[0] = item;
}

static LLVMValueRef row_end(struct codegen *g, const struct kernel_rows *k)
{
	int at = k->n_inputs + k->n_outputs;
	LLVMValueRef rows = arg_integer(g, at);
	if (!k->limited)
		return rows;
	return ir_min(g, rows, ir_load_i32(g, arg_pointer(g, at + 1), ir_i64(g, k->groups)));
}

/* ---- begin ----------------------------------------------------------------------------------- */
void rows_begin(struct rows *r, struct codegen *g, const struct kernel_rows *k)
{
	r->g = g;
	r->k = k;
	rows_analyse(r);
	for (int i = 0; i < k->n_inputs + k->n_outputs; i++)
		r->base[i] = arg_pointer(g, i);
	for (int i = 0; i < k->n_nodes; i++)
		if (rows_reduces(k->node[i].op))
			r->total[i] = ir_local(g, ir_vector(g, g->f32), 1);
	r->items = row_end(g, k);
	if (k->ranged) {
		r->first = ir_load_i32(g, arg_pointer(g, k->n_inputs + k->n_outputs + 1), ir_i64(g, 0));
		r->items = ir_sub(g, r->items, r->first);
	}
	for (int d = 0; d + 1 < k->dims; d++)
		r->items = ir_mul(g, r->items, ir_i64(g, k->extent[d]));
}

void rows_place(struct rows *r, LLVMValueRef item)
{
	const struct kernel_rows *k = r->k;
	LLVMValueRef outer[ROWS_MAX_DIMS];
	split_item(r, item, outer);
	if (r->first)
		outer[0] = ir_add(r->g, outer[0], r->first);
	if (k->groups)
		r->group = group_of(r->g, k, outer[0]);
	for (int i = 0; i < k->n_inputs; i++)
		r->input[i] = row_address(r, &k->input[i], r->base[i], outer);
	for (int i = 0; i < k->n_outputs; i++)
		r->output[i] = row_address(r, &k->output[i], r->base[k->n_inputs + i], outer);
	for (int i = 0; i < ROWS_MAX_NODES; i++)
		r->uniform[i] = NULL;
}

void rows_go_to(struct rows *r, LLVMValueRef index, LLVMValueRef mask)
{
	r->index = index;
	r->mask = mask;
	for (int i = 0; i < ROWS_MAX_NODES; i++)
		r->vector[i] = NULL;
}
