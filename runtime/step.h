/* One step: its inputs for all ranks, and its results. */
#ifndef DEPLOY_STEP_H
#define DEPLOY_STEP_H
#include <stddef.h>
#include <stdint.h>
#include "plan.h"

/* The inputs of a step, as words that rank 0 broadcasts: head, then the arrays of every microbatch and owner. */
/* In place of a phase, requests of rank 0: no more steps; the results of the step under way; what steps took; when
 * operations ran. */
enum { STEP_STOP = -1, STEP_COLLECT = -2, STEP_METER = -3, STEP_TIMELINE = -4 };
struct step_head {
	int32_t phase, microbatches, page_words, trace, logprobs, later, pages[DR_POOLS];
}; /* page_words: of struct page_run; pages: struct dr_frame; trace: see trace.c; logprobs: a row
    * asks for them; later: its results come with the next step, or STEP_COLLECT. Then an id of -1 - i is the token of
    * row i of the step before */
/* Pages that a sequence has taken: `n` entries of its row of an owner's page table follow, from entry `first` on. */
struct page_run {
	int32_t owner, pool, row, first, n;
};
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
/* An owner's array in a microbatch, of *n words; DR_INPUT_PAGES is none. Slots: of the first pool. */
int32_t *step_array(const struct step *s, const struct plan *plan, int microbatch, int owner, enum dr_input input,
                    int *n);
/* [T]: the slots of an owner's tokens in a pool. */
int32_t *step_slots(const struct step *s, const struct plan *plan, int microbatch, int owner, int pool);
/* The pages that changed: the first run, or the one after `run`; NULL: there are no more. */
const struct page_run *step_next_run(const struct step *s, const struct plan *plan, const struct page_run *run);
/* Adds a run of run->n pages. The microbatches are complete. */
void step_add_run(struct step *s, const struct plan *plan, const struct page_run *run, const int32_t *pages);

/* [R]: how an owner's rows are sampled. */
struct dr_sampling *step_sampling(const struct step *s, const struct plan *plan, int microbatch, int owner);
/* [A]: the changes of an owner's logits, of which each row has a part. */
struct dr_adjust *step_adjust(const struct step *s, const struct plan *plan, int microbatch, int owner);
/* For struct dr_frame. */
int step_candidates(const struct step *s, const struct plan *plan, int microbatch);

/* The results of a step: [microbatches][owners][max_rows]; logits have [vocab] after that. Log-probabilities are those
 * of rows that ask for them. */
struct results {
	int32_t *tokens;
	float *logits; /* NULL: not requested */
	struct dr_logprobs *logprobs;
	int max_rows;
};
#endif
