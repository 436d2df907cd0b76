/* The table of instructions, and what matches a statement. */
#ifndef GPU_ISA_H
#define GPU_ISA_H
#include "ptx.h"

struct lowering;
typedef void select_fn(struct lowering *lo, const struct statement *s);

struct form {
	const char *pattern, *operands;
	handler *run;
	select_fn *select;
	bool modes;      /* rounding, .ftz, .sat and .relu are applied around `run` */
	int sm, version; /* the first that have it */
	int next;        /* the next form of this name, or -1 */
};

/* NULL: no row has this name and these modifiers for the target; *known says whether another target has them. */
const struct form *isa_find(const struct statement *s, int sm, int version, const struct form **known);
#endif
