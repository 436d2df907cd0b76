/* What local.c and infer_ops.c share: the inference of one phase. */
#ifndef DEPLOYC_INFER_H
#define DEPLOYC_INFER_H
#include "local.h"

/* The layout that one operator asks for: an entry for each of its factors. */
struct tau {
	const int *axes;
	int n;
	struct layout layout;
};

struct infer {
	struct local *l;
	struct local_phase *ph;
	int phase;
	struct tau *call_tau; /* by call, filled on first use */
};

int position_of(const struct local *l, int value); /* enum where of a program value by its place in the text */
int infer_emit(struct infer *f, int value, const int *args, int n, struct layout layout);
struct tau infer_want(struct infer *f, const struct value *v, const int *axes, int n, const int *whole, int n_whole);
struct layout tau_restrict(struct local *l, const struct tau *t, const int *axes, int n);
bool tau_uses(const struct tau *t, int atom);
int *infer_factors(struct infer *f, const struct value *v, int *n);
int infer_operand(struct infer *f, int value, int i, const struct tau *t, const struct atoms *keep);
void infer_anchor(struct infer *f, int value);
const char *value_label(struct local *l, const struct value *v); /* "contract q", "rms_norm" */
/* infer_ops.c: operators, by their rules of 3.3. */
void infer_op(struct infer *f, int value);
#endif
