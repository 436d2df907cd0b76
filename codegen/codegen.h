/* schedule -> LLVM module -> text or object. Only emits; all decisions are in the schedule. */
#ifndef DEPLOYC_CODEGEN_H
#define DEPLOYC_CODEGEN_H
#include "../dag/dag.h"
#include "../planner/forecast.h"
#include "../support/diag.h"

struct codegen_options {
	const char *cpu;                 /* an LLVM CPU name, "native", or NULL: target_default() */
	int level;                       /* 0..3 */
	const char *plan_text;           /* what `launcher plan` prints */
	const struct forecast *forecast; /* what it prints beside measurements; NULL: nothing */
	const char *sanitizer; /* for tests: LLVM's "address" or "thread" pass over all generated code; NULL: none */
	struct heap *heap;     /* heap of the compilation's arenas; may be NULL */
};
enum codegen_form { CODEGEN_LLVM, CODEGEN_ASM, CODEGEN_OBJ, CODEGEN_PTX /* device code: target_gpu() alone */ };

/* Asks LLVM what the schedule needs to know about the processor `cpu`. For the names that it knows, target_find() is
 * faster. Returns false if there is no such cpu or LLVM cannot be loaded (printed). */
bool codegen_target(const char *cpu, struct target *out);
/* Prints the names of processors that LLVM knows. Returns false on trouble with the environment, printed to stderr. */
bool codegen_cpus(void);
/* Writes the module in a form. Returns false on trouble with the environment, printed to stderr. */
bool codegen_emit(const struct schedule *s, const struct codegen_options *o, enum codegen_form form, FILE *out);
/* For a GPU: which way a kernel takes, and the functions of CODEGEN_PTX that it consists of. */
enum { CODEGEN_FUNCTIONS = 4 };
enum codegen_way {
	WAY_GENERAL,
	WAY_TUNED,
	WAY_FMA /* a tuned contraction by multiply-adds in f32, not on the matrix units */
};
struct codegen_kernel {
	const char *name, *function[CODEGEN_FUNCTIONS];
	int functions;
	enum codegen_way way;
	const char *op; /* the first operation that launches it; NULL: none does */
	int places;     /* operations that launch it, in all programs */
};
struct codegen_kernel *codegen_kernels(struct arena *arena, const struct schedule *s); /* [kernels] */
/* The bytes of an object file with a main, in the arena; the driver links it with the runtime. */
struct object_code {
	const void *at;
	size_t size;
};
bool codegen_object(struct arena *arena, const struct schedule *s, const struct codegen_options *o,
                    struct object_code *out);
#endif
