/* The words of a step, which rank 0 broadcasts. */
#include <stdlib.h>
#include "report.h"
#include "step.h"

enum {
	HEAD_WORDS = sizeof(struct step_head) / sizeof(int32_t),
	SAMPLING_WORDS = sizeof(struct dr_sampling) / sizeof(int32_t),
	ADJUST_WORDS = sizeof(struct dr_adjust) / sizeof(int32_t)
};

/* Words of a microbatch per owner: four arrays of T tokens, two of R rows, one of A entries. */
static size_t owner_words(int tokens, int rows, int adjusts)
{
	return 4 * (size_t)tokens + (1 + SAMPLING_WORDS) * (size_t)rows + ADJUST_WORDS * (size_t)adjusts;
}

static size_t page_words(const struct plan *plan) { return (size_t)plan->head->seqs * plan->head->pages_per_seq; }

size_t step_max_words(const struct plan *plan)
{
	size_t pages = page_words(plan), all = owner_words(plan_max_tokens(plan), plan_max_rows(plan), 0);
	return pages > all ? pages : all;
}

size_t step_fixed(const struct plan *plan) { return HEAD_WORDS + 3 * (size_t)plan->head->microbatches; }

void step_open(struct step *s, const struct plan *plan)
{
	const struct dr_program *h = plan->head;
	size_t m = h->microbatches, owners = (size_t)plan->n_owners,
		   most = owner_words(plan_max_tokens(plan), plan_max_rows(plan), (int)h->adjusts);
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
		at += (size_t)plan->n_owners * owner_words(s->tokens[i], s->rows[i], s->adjusts[i]);
	return at;
}

void step_measure(struct step *s, const struct plan *plan)
{
	s->n = microbatch_at(s, plan, s->head->microbatches);
	if (s->head->with_pages)
		s->n += (size_t)plan->n_owners * page_words(plan);
}

int32_t *step_array(const struct step *s, const struct plan *plan, int microbatch, int owner, enum dr_input input,
                    int *n)
{
	if (input == DR_INPUT_PAGES) {
		*n = (int)page_words(plan);
		return s->words + microbatch_at(s, plan, s->head->microbatches) + (size_t)owner * page_words(plan);
	}
	int tokens = s->tokens[microbatch], rows = s->rows[microbatch], adjusts = s->adjusts[microbatch];
	int32_t *at = s->words + microbatch_at(s, plan, microbatch) + (size_t)owner * owner_words(tokens, rows, adjusts);
	switch (input) {
	case DR_INPUT_WANT:   *n = rows; return at + owner_words(tokens, 0, 0);
	case DR_INPUT_SAMPLE: *n = SAMPLING_WORDS * rows; return at + owner_words(tokens, 0, 0) + rows;
	case DR_INPUT_ADJUST: *n = ADJUST_WORDS * adjusts; return at + owner_words(tokens, rows, 0);
	default:              *n = tokens; return at + (size_t)input * (size_t)tokens;
	}
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
