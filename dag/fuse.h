/* Fusion: the launches of a list become fewer and larger, after lowering and before buffers are placed. It joins
 * kernels, never values, so what the plan says of values holds as before. What the fuse*.c files share.
 *
 * Two launches may be joined where one of them may be moved to the other: all that lies between are launches, and none
 * of them touches what the moved one writes, or writes what it reads. */
#ifndef DEPLOYC_FUSE_H
#define DEPLOYC_FUSE_H
#include "lower.h"

struct fusing {
	struct lower *w;
	struct instrs *list;
	int *reads; /* [buffers]: arguments of the step that read each of them */
};

/* fuse_move.c. Do both name the same bytes, or parts of one buffer? Arguments that are numbers name none. */
bool fuse_same_memory(const struct argument *a, const struct argument *b);
bool fuse_same_argument(const struct argument *a, const struct argument *b); /* the same bytes, or the same number */
/* May the launch at `from` be done at `to` instead? */
bool fuse_may_move(const struct fusing *f, int from, int to);
/* Adds what an instruction reads to f->reads, or subtracts it: by is 1 or -1. */
void fuse_count_reads(struct fusing *f, const struct instr *i, int by);
/* Puts a launch with these arguments in the place of that at `keep`, and removes that at `drop`. Returns its index. */
int fuse_replace(struct fusing *f, int keep, int drop, const struct kernel *k, const struct argument *args);

/* fuse_rows.c: computes a pass over rows in the pass at `i`, which reads its result. Returns the index of the launch
 * that does both; -1: there is none. */
int fuse_rows(struct fusing *f, int i);
/* fuse_products.c: adds the next product of the operand that the product at `i` has. false: there is none. */
bool fuse_products(struct fusing *f, int i);
#endif
