/* What local.c and infer_ops.c share: the inference of one phase. */
#ifndef DEPLOYC_INFER_H
#define DEPLOYC_INFER_H
#include "local.h"

/* The layout an operator requires, one entry per factor. */
struct required_layout {
	const int *axes;
	int n;
	struct layout layout;
};

struct infer {
	struct local *l;
	struct local_phase *ph;
	int phase;
	struct required_layout *call_required; /* per call, filled on first use */
};

int position_of(const struct local *l, int value); /* the part of a step, by its place in the text */
int infer_emit(struct infer *f, int value, const int *args, int n, struct layout layout);
struct required_layout infer_want(struct infer *f, const struct value *v, const int *axes, int n, const int *whole,
                                  int n_whole);
struct layout required_restrict(struct local *l, const struct required_layout *t, const int *axes, int n);
bool required_uses(const struct required_layout *t, int atom);
int *infer_factors(struct infer *f, const struct value *v, int *n);
int infer_operand(struct infer *f, int value, int i, const struct required_layout *t, const struct atoms *keep);
void infer_anchor(struct infer *f, int value);
const char *value_label(struct local *l, const struct value *v); /* "contract q", "rms_norm" */
/* infer_ops.c: one operator, by its sharding rule. */
void infer_op(struct infer *f, int value);
#endif
