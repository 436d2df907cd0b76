/* Shared by the functions of all kernel families: the calling convention of dag/kernel.h, arguments, shares of the
 * work. */
#include "emit.h"

enum { PARAM_ARGS, PARAM_WORKER, PARAM_SHARE, PARAM_SHARES, PARAMS };

LLVMValueRef kernel_begin(struct codegen *g, const char *name)
{
	LLVMTypeRef params[PARAMS] = {g->ptr, g->i32, g->i32, g->i32};
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

LLVMValueRef arg_pointer(struct codegen *g, int i)
{
	if (!g->emitter->memory)
		return ir_load(g, g->ptr, arg_slot(g, i), 8);
	LLVMTypeRef there = LLVMPointerTypeInContext(g->context, g->emitter->memory);
	LLVMValueRef at = LLVMBuildIntToPtr(g->builder, ir_load(g, g->i64, arg_slot(g, i), 8), there, "");
	return LLVMBuildAddrSpaceCast(g->builder, at, g->ptr, "");
}

LLVMValueRef arg_integer(struct codegen *g, int i) { return ir_load(g, g->i64, arg_slot(g, i), 8); }

LLVMValueRef arg_workspace_part(struct codegen *g, int i, int64_t bytes)
{
	LLVMValueRef worker = ir_wide(g, LLVMGetParam(g->function, PARAM_WORKER));
	return ir_offset(g, arg_pointer(g, i), ir_mul(g, worker, ir_i64(g, bytes)));
}

LLVMValueRef share_count(struct codegen *g) { return LLVMGetParam(g->function, PARAM_SHARES); }

struct ir_loop share_begin(struct codegen *g, LLVMValueRef items)
{
	LLVMValueRef share = ir_wide(g, LLVMGetParam(g->function, PARAM_SHARE));
	LLVMValueRef shares = ir_wide(g, share_count(g)), one = ir_i64(g, 1);
	if (g->emitter->member)
		return loop_begin(g, share, items, shares);
	LLVMValueRef from = ir_div(g, ir_mul(g, items, share), shares);
	LLVMValueRef to = ir_div(g, ir_mul(g, items, ir_add(g, share, one)), shares);
	return loop_begin(g, from, to, one);
}

struct ir_branch lead_begin(struct codegen *g)
{
	if (!g->team)
		return (struct ir_branch){0};
	return if_begin(g, ir_compare(g, LLVMIntEQ, g->emitter->member(g), ir_i64(g, 0)));
}

void lead_end(struct codegen *g, const struct ir_branch *b)
{
	if (g->team)
		if_end(g, b);
}

struct ir_branch first_share(struct codegen *g)
{
	return if_begin(g, ir_compare(g, LLVMIntEQ, LLVMGetParam(g->function, PARAM_SHARE), ir_i32(g, 0)));
}
