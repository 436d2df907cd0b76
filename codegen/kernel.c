/* Turns a kernel description into a function: dispatches by family. */
#include "emit.h"

static void emit_body(struct codegen *g, const struct kernel *k)
{
	switch (k->family) {
#define KERNEL(FAMILY, family_name, fields, ...) \
	case KERNEL_##FAMILY: emit_##family_name(g, k->name, &k->fields); break;
#define ARG(...)
#define END(...)
#include "../dag/kernel.def"
	case KERNEL_FAMILIES: internal_error("kernel `%s` has no family", k->name);
	}
}

LLVMValueRef emit_kernel(struct codegen *g, const struct kernel *k)
{
	emit_body(g, k);
	return LLVMGetNamedFunction(g->module, k->name);
}
