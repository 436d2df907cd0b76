/* A kernel description becomes a function: dispatch by family, and what all families share. */
#include "emit.h"

/* ---- the calling convention ------------------------------------------------------------------ */
enum { PARAM_ARGS, PARAM_WORKER, PARAM_WORKERS, PARAMS };

LLVMValueRef kernel_begin(struct codegen *g, const char *name)
{
	LLVMTypeRef params[PARAMS] = {g->ptr, g->i32, g->i32};
	LLVMValueRef f = ir_function(g, name, g->nothing, params, PARAMS, false);
	ir_attribute(g, f, PARAM_ARGS, "noalias");
	ir_attribute(g, f, PARAM_ARGS, "readonly");
	return f;
}

void kernel_end(struct codegen *g) { LLVMBuildRetVoid(g->builder); }

static LLVMValueRef arg_slot(struct codegen *g, int i)
{
	LLVMValueRef index = ir_i64(g, i);
	return LLVMBuildInBoundsGEP2(g->builder, g->i64, LLVMGetParam(g->function, PARAM_ARGS), &index, 1, "");
}

LLVMValueRef arg_pointer(struct codegen *g, int i) { return ir_load(g, g->ptr, arg_slot(g, i), 8); }
LLVMValueRef arg_integer(struct codegen *g, int i) { return ir_load(g, g->i64, arg_slot(g, i), 8); }

LLVMValueRef worker_count(struct codegen *g) { return LLVMGetParam(g->function, PARAM_WORKERS); }

struct ir_loop share_begin(struct codegen *g, LLVMValueRef items)
{
	LLVMValueRef worker = ir_wide(g, LLVMGetParam(g->function, PARAM_WORKER));
	LLVMValueRef workers = ir_wide(g, worker_count(g)), one = ir_i64(g, 1);
	LLVMValueRef from = ir_div(g, ir_mul(g, items, worker), workers);
	LLVMValueRef to = ir_div(g, ir_mul(g, items, ir_add(g, worker, one)), workers);
	return loop_begin(g, from, to, one);
}

struct ir_branch first_worker(struct codegen *g)
{
	return if_begin(g, ir_compare(g, LLVMIntEQ, LLVMGetParam(g->function, PARAM_WORKER), ir_i32(g, 0)));
}

/* ---- dispatch -------------------------------------------------------------------------------- */
static void emit_body(struct codegen *g, const struct kernel *k)
{
	switch (k->family) {
	case KERNEL_ROWS:       emit_rows(g, k->name, &k->rows); break;
	case KERNEL_CONTRACT:   emit_contract(g, k->name, &k->contract); break;
	case KERNEL_EMBED:      emit_embed(g, k->name, &k->embed); break;
	case KERNEL_PICK:       emit_pick(g, k->name, &k->pick); break;
	case KERNEL_SLICE:      emit_slice(g, k->name, &k->slice); break;
	case KERNEL_ANGLES:     emit_angles(g, k->name, &k->angles); break;
	case KERNEL_ROTATE:     emit_rotate(g, k->name, &k->rotate); break;
	case KERNEL_APPEND:     emit_append(g, k->name, &k->append); break;
	case KERNEL_ATTEND:     emit_attend(g, k->name, &k->attend); break;
	case KERNEL_ROUTE:      emit_route(g, k->name, &k->route); break;
	case KERNEL_ASSIGN:     emit_assign(g, k->name, &k->assign); break;
	case KERNEL_PACK:       emit_pack(g, k->name, &k->pack); break;
	case KERNEL_OFFSETS:    emit_offsets(g, k->name, &k->offsets); break;
	case KERNEL_SORT:       emit_sort(g, k->name, &k->sort); break;
	case KERNEL_GATHER:     emit_gather(g, k->name, &k->gather); break;
	case KERNEL_SCATTER:    emit_scatter(g, k->name, &k->gather); break;
	case KERNEL_COMBINE:    emit_combine(g, k->name, &k->combine); break;
	case KERNEL_CANDIDATES: emit_candidates(g, k->name, &k->sample); break;
	case KERNEL_DRAW:       emit_draw(g, k->name, &k->sample); break;
	case KERNEL_FAMILIES:   internal_error("kernel `%s` has no family", k->name);
	}
}

LLVMValueRef emit_kernel(struct codegen *g, const struct kernel *k)
{
	emit_body(g, k);
	return LLVMGetNamedFunction(g->module, k->name);
}
