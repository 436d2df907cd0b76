/* What planning has to know of a processor, without LLVM. */
#ifndef DEPLOYC_TARGET_H
#define DEPLOYC_TARGET_H
#include <stdbool.h>
#include <stdint.h>

/* What the target wants of the schedule. */
struct target_shape {
	int n_tile;    /* outputs in a weight tile */
	bool bf16_dot; /* pairs of bf16 are multiplied at once */
	int64_t gap;   /* for tests, else 0: bytes that stay free after each buffer; no buffer reuses memory then */
};
/* For a processor whose vectors hold so many f32. */
struct target_shape target_shape_of(int floats, bool bf16_dot);

/* The cpu that is meant where none is named. */
const char *target_default(void);
/* Of a cpu in the table; NULL: of target_default(). false: only LLVM knows it, `native` for one, or nobody does. */
bool target_find(const char *cpu, struct target_shape *out);
#endif
