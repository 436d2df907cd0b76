/* Stands where codegen stands in deployc, for a deployc without LLVM: only the front end, small enough to be forked at
 * each of its requests for memory (failing_malloc.c). */
#include "../../codegen/codegen.h"
#include "../../support/arena.h"

/* That of x86-64-v3. */
bool codegen_target(const char *cpu, struct target *out)
{
	(void)cpu;
	*out = target_cpu(8, false);
	return true;
}

bool codegen_cpus(void) { internal_error("a deployc without LLVM knows no processors"); }

struct codegen_kernel *codegen_kernels(struct arena *arena, const struct schedule *s)
{
	(void)arena, (void)s;
	internal_error("a deployc without LLVM lists no kernels");
}

bool codegen_emit(const struct schedule *s, const struct codegen_options *o, enum codegen_form form, FILE *out)
{
	(void)s, (void)o, (void)form, (void)out;
	internal_error("a deployc without LLVM writes no code");
}

bool codegen_object(struct arena *arena, const struct schedule *s, const struct codegen_options *o,
                    struct object_code *out)
{
	(void)arena, (void)s, (void)o, (void)out;
	internal_error("a deployc without LLVM writes no object");
}
