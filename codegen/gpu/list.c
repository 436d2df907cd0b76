/* The kernels of a schedule, and which way each takes on a GPU: for `deployc plan --kernels`. */
#include "../codegen.h"
#include <string.h>
#include "kernels.h"

/* Counts the places that launch each kernel, and notes the first operation. */
static void see_place(const struct schedule *s, const struct instr *in, void *context)
{
	struct codegen_kernel *k = (struct codegen_kernel *)context + in->launch.kernel;
	k->places++;
	if (!k->op)
		k->op = s->op_names.at[in->op];
}

struct codegen_kernel *codegen_kernels(struct arena *arena, const struct schedule *s)
{
	int64_t(*align)[MAX_OPERANDS] = gpu_alignments(arena, s);
	struct codegen_kernel *kernels = arena_array(arena, struct codegen_kernel, s->kernels.n);
	for (int i = 0; i < s->kernels.n; i++) {
		struct gpu_kernel k = gpu_kernel_plan(arena, &s->kernels.at[i], align[i]);
		kernels[i] = (struct codegen_kernel){.name = s->kernels.at[i].name,
		                                     .way = !k.tuned ? WAY_GENERAL
		                                            : k.adds ? WAY_FMA
		                                                     : WAY_TUNED};
		for (int e = 0; e < k.entries; e++) {
			bool seen = false;
			for (int f = 0; f < e; f++)
				seen = seen || k.entry[f].name == k.entry[e].name || !strcmp(k.entry[f].name, k.entry[e].name);
			if (!seen)
				kernels[i].function[kernels[i].functions++] = k.entry[e].name;
		}
	}
	if (s->tile_kernel >= 0)
		kernels[s->tile_kernel].op = "loading weights";
	gpu_each_launch(s, see_place, kernels);
	return kernels;
}
