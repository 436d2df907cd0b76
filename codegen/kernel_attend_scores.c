/* What a query sees, and the numbers of its head: the same for the kernels of all targets. */
#include "emit.h"

LLVMValueRef attend_first_seen(struct codegen *g, const struct kernel_attend *k, LLVMValueRef last)
{
	LLVMValueRef zero = ir_i64(g, 0), first = zero;
	if (k->window)
		first = ir_max(g, zero, ir_sub(g, last, ir_i64(g, k->window - 1)));
	if (k->chunk) {
		LLVMValueRef real = ir_max(g, zero, last);
		first = ir_max(g, first, ir_sub(g, real, ir_rem(g, real, ir_i64(g, k->chunk))));
	}
	return first;
}

static LLVMValueRef of_head(struct codegen *g, enum dtype t, LLVMValueRef from, LLVMValueRef head, int64_t head_stride,
                            LLVMValueRef member, int64_t member_stride)
{
	LLVMValueRef at = ir_add(g, ir_mul(g, head, ir_i64(g, head_stride)), ir_mul(g, member, ir_i64(g, member_stride)));
	return load_scalar(g, t, ir_at(g, from, t, at));
}

LLVMValueRef attend_sink_of(struct codegen *g, const struct kernel_attend *k, LLVMValueRef sinks, LLVMValueRef head,
                            LLVMValueRef member)
{
	return of_head(g, k->sink, sinks, head, k->sink_head, member, k->sink_group);
}

LLVMValueRef attend_slope_of(struct codegen *g, const struct kernel_attend *k, LLVMValueRef slopes, LLVMValueRef head,
                             LLVMValueRef member)
{
	return of_head(g, k->slope, slopes, head, k->slope_head, member, k->slope_group);
}

double attend_factor(const struct kernel_attend *k) { return k->cap != 0 ? k->scale / k->cap : k->scale; }
