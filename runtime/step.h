/* One step: its inputs for all ranks, and its results. */
#ifndef DEPLOY_STEP_H
#define DEPLOY_STEP_H
#include <stddef.h>
#include <stdint.h>
#include "plan.h"

/* The inputs of a step, as words that rank 0 broadcasts: head, then the arrays of every microbatch and owner. */
enum { STEP_STOP = -1 };
struct step_head {
	int32_t phase, microbatches, with_pages, pages, trace;
}; /* pages: struct dr_frame; trace: see trace.c */
struct step {
	int32_t *words;
	size_t n, cap; /* i32; the members below point to their start */
	struct step_head *head;
	int32_t *tokens, *rows, *adjusts; /* [microbatches] T, R and A */
};
/* Words in the fixed part of a step, which determines the length of the rest. */
size_t step_fixed(const struct plan *plan);
void step_open(struct step *s, const struct plan *plan);
void step_close(struct step *s);
/* Words of the longest array of one owner whose numbers differ between ranks. */
size_t step_max_words(const struct plan *plan);
/* Sets n from the head and from T, R and A of each microbatch. */
void step_measure(struct step *s, const struct plan *plan);
/* An owner's array in a microbatch. DR_INPUT_PAGES: the same for all microbatches; only if with_pages. */
int32_t *step_array(const struct step *s, const struct plan *plan, int microbatch, int owner, enum dr_input input,
                    int *n);

/* [R]: how an owner's rows are sampled. */
struct dr_sampling *step_sampling(const struct step *s, const struct plan *plan, int microbatch, int owner);
/* [A]: the changes of an owner's logits, of which each row has a part. */
struct dr_adjust *step_adjust(const struct step *s, const struct plan *plan, int microbatch, int owner);
/* For struct dr_frame. */
int step_candidates(const struct step *s, const struct plan *plan, int microbatch);

/* The results of a step: [microbatches][owners][max_rows]; logits have [vocab] after that. */
struct results {
	int32_t *tokens;
	float *logits; /* NULL: not requested */
	int max_rows;
};
#endif
