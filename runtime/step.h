/* One step: what it brings to all ranks, and what it gives. */
#ifndef DEPLOY_STEP_H
#define DEPLOY_STEP_H
#include <stddef.h>
#include <stdint.h>
#include "plan.h"

/* What one step brings, as words that rank 0 broadcasts: head, then the input arrays of every microbatch and owner. */
enum { STEP_STOP = -1 };
struct step_head {
	int32_t phase, microbatches, with_pages, pages, trace;
}; /* pages: struct dr_frame; trace: see trace.c */
struct step {
	int32_t *words;
	size_t n, cap; /* i32; the members below are their beginning */
	struct step_head *head;
	int32_t *tokens, *rows; /* [microbatches] T and R */
};
/* How many words say how many there are. */
size_t step_fixed(const struct plan *plan);
void step_open(struct step *s, const struct plan *plan);
void step_close(struct step *s);
/* Words of the longest array of one owner. */
size_t step_max_words(const struct plan *plan);
/* Sets n from head and the T and R of each microbatch. */
void step_measure(struct step *s, const struct plan *plan);
/* The array of an owner in a microbatch; of DR_INPUT_PAGES: any microbatch, only with_pages. */
int32_t *step_array(const struct step *s, const struct plan *plan, int microbatch, int owner, enum dr_input input,
                    int *n);

/* How an owner's rows are sampled: [R]. */
struct dr_sampling *step_sampling(const struct step *s, const struct plan *plan, int microbatch, int owner);
/* For struct dr_frame. */
int step_candidates(const struct step *s, const struct plan *plan, int microbatch);

/* What a step gave: [microbatches][owners][max_rows], logits with [vocab] after that. */
struct results {
	int32_t *tokens;
	float *logits; /* NULL: nobody asked for them */
	int max_rows;
};
#endif
