/* The words of a step, which rank 0 broadcasts. */
#include <stdlib.h>
#include <string.h>
#include "report.h"
#include "step.h"

enum {
	HEAD_WORDS = sizeof(struct step_head) / sizeof(int32_t),
	RUN_WORDS = sizeof(struct page_run) / sizeof(int32_t),
	SAMPLING_WORDS = sizeof(struct dr_sampling) / sizeof(int32_t),
	ADJUST_WORDS = sizeof(struct dr_adjust) / sizeof(int32_t)
};

/* Arrays of T tokens: ids, positions, sequences, and the slots in each pool. */
static size_t token_arrays(const struct plan *plan) { return DR_INPUT_SLOT + (size_t)plan->n_pools; }

/* Words of a microbatch per owner. */
static size_t owner_words(const struct plan *plan, int tokens, int rows, int adjusts)
{
	return token_arrays(plan) * (size_t)tokens + (1 + SAMPLING_WORDS) * (size_t)rows + ADJUST_WORDS * (size_t)adjusts;
}

/* Words of the runs of an owner's pages, if all pages and sequences are new. */
static size_t page_words(const struct plan *plan)
{
	size_t words = 0;
	for (int i = 0; i < plan->n_pools; i++)
		words += plan->pools[i].pages + plan->head->seqs * (size_t)RUN_WORDS;
	return words;
}

size_t step_max_words(const struct plan *plan)
{
	size_t pages = plan->head->pages_per_seq, all = owner_words(plan, plan_max_tokens(plan), plan_max_rows(plan), 0);
	return pages > all ? pages : all;
}

size_t step_fixed(const struct plan *plan) { return HEAD_WORDS + 3 * (size_t)plan->head->microbatches; }

void step_open(struct step *s, const struct plan *plan)
{
	const struct dr_program *h = plan->head;
	size_t m = h->microbatches, owners = (size_t)plan->n_owners,
		   most = owner_words(plan, plan_max_tokens(plan), plan_max_rows(plan), (int)h->adjusts);
	s->cap = step_fixed(plan) + owners * (m * most + page_words(plan));
	s->words = host_alloc(s->cap, sizeof *s->words);
	s->head = (struct step_head *)(void *)s->words;
	s->tokens = s->words + HEAD_WORDS;
	s->rows = s->tokens + m;
	s->adjusts = s->rows + m;
}

void step_close(struct step *s) { free(s->words); }

/* Where microbatch `n` begins. */
static size_t microbatch_at(const struct step *s, const struct plan *plan, int n)
{
	size_t at = step_fixed(plan);
	for (int i = 0; i < n; i++)
		at += (size_t)plan->n_owners * owner_words(plan, s->tokens[i], s->rows[i], s->adjusts[i]);
	return at;
}

void step_measure(struct step *s, const struct plan *plan)
{
	s->n = microbatch_at(s, plan, s->head->microbatches) + (size_t)s->head->page_words;
}

int32_t *step_array(const struct step *s, const struct plan *plan, int microbatch, int owner, enum dr_input input,
                    int *n)
{
	int tokens = s->tokens[microbatch], rows = s->rows[microbatch], adjusts = s->adjusts[microbatch];
	int32_t *at =
		s->words + microbatch_at(s, plan, microbatch) + (size_t)owner * owner_words(plan, tokens, rows, adjusts);
	switch (input) {
	case DR_INPUT_WANT:   *n = rows; return at + owner_words(plan, tokens, 0, 0);
	case DR_INPUT_SAMPLE: *n = SAMPLING_WORDS * rows; return at + owner_words(plan, tokens, 0, 0) + rows;
	case DR_INPUT_ADJUST: *n = ADJUST_WORDS * adjusts; return at + owner_words(plan, tokens, rows, 0);
	default:              *n = tokens; return at + (size_t)input * (size_t)tokens;
	}
}

int32_t *step_slots(const struct step *s, const struct plan *plan, int microbatch, int owner, int pool)
{
	int n;
	int32_t *first = step_array(s, plan, microbatch, owner, DR_INPUT_SLOT, &n);
	return first + (size_t)pool * (size_t)n;
}

const struct page_run *step_next_run(const struct step *s, const struct plan *plan, const struct page_run *run)
{
	const int32_t *begin = s->words + microbatch_at(s, plan, s->head->microbatches), *end = begin + s->head->page_words;
	const int32_t *at = run ? (const int32_t *)(const void *)(run + 1) + run->n : begin;
	return at < end ? (const struct page_run *)(const void *)at : NULL;
}

void step_add_run(struct step *s, const struct plan *plan, const struct page_run *run, const int32_t *pages)
{
	int32_t *at = s->words + microbatch_at(s, plan, s->head->microbatches) + s->head->page_words;
	memcpy(at, run, sizeof *run);
	memcpy(at + RUN_WORDS, pages, (size_t)run->n * sizeof *pages);
	s->head->page_words += (int32_t)RUN_WORDS + run->n;
}

struct dr_sampling *step_sampling(const struct step *s, const struct plan *plan, int microbatch, int owner)
{
	int n;
	return (struct dr_sampling *)(void *)step_array(s, plan, microbatch, owner, DR_INPUT_SAMPLE, &n);
}

struct dr_adjust *step_adjust(const struct step *s, const struct plan *plan, int microbatch, int owner)
{
	int n;
	return (struct dr_adjust *)(void *)step_array(s, plan, microbatch, owner, DR_INPUT_ADJUST, &n);
}

static bool is_chosen(const struct dr_sampling *s)
{
	return s->temperature > 0 && (s->top_k > 0 || s->top_p < 1 || s->min_p > 0);
}

int step_candidates(const struct step *s, const struct plan *plan, int microbatch)
{
	for (int owner = 0; owner < plan->n_owners; owner++)
		for (int row = 0; row < s->rows[microbatch]; row++)
			if (is_chosen(step_sampling(s, plan, microbatch, owner) + row))
				return 1 + DR_CANDIDATES;
	return 1;
}
