/* schedule -> LLVM module -> text or object. Emits, decides nothing. */
#ifndef DEPLOYC_CODEGEN_H
#define DEPLOYC_CODEGEN_H
#include "../dag/dag.h"
#include "../support/diag.h"

struct codegen_options {
	const char *cpu;       /* an LLVM CPU name, "native", or NULL: target_default() */
	int level;             /* 0..3 */
	const char *plan_text; /* baked in for `launcher plan` */
	const char *sanitizer; /* for tests: "address" or "thread", of which LLVM's pass runs over all that is generated;
	                          NULL: none */
	struct heap *heap;     /* of the compilation's arenas; may be NULL */
};
enum codegen_form { CODEGEN_LLVM, CODEGEN_ASM, CODEGEN_OBJ };

/* What the schedule has to know of the processor named by `cpu`, as LLVM has it: target_find is faster for the names
 * that it knows. false: no such cpu, or LLVM cannot be loaded (printed). */
bool codegen_target(const char *cpu, struct target_shape *out);
/* Writes the module in a form. false: environment trouble, printed to stderr. */
bool codegen_emit(const struct schedule *s, const struct codegen_options *o, enum codegen_form form, FILE *out);
/* The bytes of an object file with a main, which is linked with the runtime; in the arena. */
struct object_code {
	const void *at;
	size_t size;
};
bool codegen_object(struct arena *arena, const struct schedule *s, const struct codegen_options *o,
                    struct object_code *out);
#endif
