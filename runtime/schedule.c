/* A launcher's step: what the scheduler chose, as the words that all ranks get. */
#include "schedule.h"
#include <stdlib.h>
#include "report.h"

struct schedule {
	const struct plan *plan;
	struct scheduler *scheduler;
	struct sequence **row[2]; /* [microbatches][owners][max_rows] sequence of each wanted row, by turns */
	int turn;                 /* which of the two is of the step planned last */
	int max_rows;
};

int schedule_room(const struct plan *plan)
{
	uint32_t pages = plan->pools[0].pages, width = plan->head->pages_per_seq;
	return (int)((pages < width ? pages : width) * plan->head->page_size);
}

/* ---- sequences ------------------------------------------------------------------------------- */
struct scheduler_sizes schedule_sizes(const struct plan *plan, bool few_sizes)
{
	const struct dr_program *h = plan->head;
	struct scheduler_sizes s = {.owners = plan->n_owners,
	                            .microbatches = (int)h->microbatches,
	                            .seqs = (int)h->seqs,
	                            .adjusts = (int)h->adjusts,
	                            .page_size = (int)h->page_size,
	                            .page_multiple = (int)h->page_multiple,
	                            .token_multiple = (int)h->token_multiple,
	                            .row_multiple = (int)h->row_multiple,
	                            .n_pools = plan->n_pools,
	                            .few_sizes = few_sizes};
	for (int i = 0; i < DR_PHASES; i++) {
		s.max_tokens[i] = (int)plan->programs[i].max_tokens;
		s.max_rows[i] = (int)plan->programs[i].max_rows;
	}
	for (int i = 0; i < plan->n_pools; i++)
		s.pool[i] = plan->pools[i];
	return s;
}

struct schedule *schedule_open(const struct plan *plan, bool few_sizes)
{
	struct scheduler_sizes sizes = schedule_sizes(plan, few_sizes);
	struct schedule *s = host_alloc(1, sizeof *s);
	s->plan = plan;
	s->max_rows = plan_max_rows(plan);
	for (int i = 0; i < 2; i++)
		s->row[i] =
			host_alloc((size_t)sizes.microbatches * (size_t)sizes.owners * (size_t)s->max_rows, sizeof *s->row[i]);
	s->scheduler = scheduler_open(&sizes);
	return s;
}

void schedule_close(struct schedule *s)
{
	scheduler_close(s->scheduler);
	host_free(s->row[0]);
	host_free(s->row[1]);
	host_free(s);
}

void schedule_add(struct schedule *s, struct sequence *q)
{
	q->wanted[0] = q->wanted[1] = -1;
	q->adjusts = adjust_count(q->adjust);
	scheduler_add(s->scheduler, q);
}

void schedule_remove(struct schedule *s, struct sequence *q)
{
	for (int i = 0; i < 2; i++) {
		if (q->wanted[i] >= 0)
			s->row[i][q->wanted[i]] = NULL;
		q->wanted[i] = -1;
	}
	scheduler_remove(s->scheduler, q);
}

void schedule_token(struct sequence *q, int32_t token)
{
	q->ids[q->n_prompt + q->n_out++] = token;
	q->ahead = false;
	adjust_token(q->adjust, token);
	q->adjusts = adjust_count(q->adjust);
}

int schedule_free_pages(const struct schedule *s, int owner) { return scheduler_free_pages(s->scheduler, owner); }

int schedule_held_pages(const struct schedule *s, int owner)
{
	int held = 0;
	for (uint32_t row = 0; row < s->plan->head->seqs; row++) {
		const struct sequence *q = scheduler_running(s->scheduler, owner, (int)row);
		held += q ? q->held->to : 0;
	}
	return held;
}

int64_t schedule_interrupted(const struct schedule *s) { return scheduler_interrupted(s->scheduler); }

/* ---- steps ----------------------------------------------------------------------------------- */
static int row_at(const struct schedule *s, int microbatch, int owner)
{
	return (microbatch * s->plan->n_owners + owner) * s->max_rows;
}

struct sequence *schedule_row(const struct schedule *s, int microbatch, int owner, int row)
{
	return row < s->max_rows ? s->row[s->turn][row_at(s, microbatch, owner) + row] : NULL;
}

struct sequence *schedule_row_before(const struct schedule *s, int microbatch, int owner, int row)
{
	return row < s->max_rows ? s->row[!s->turn][row_at(s, microbatch, owner) + row] : NULL;
}

bool schedule_has_row(const struct schedule *s, const struct sequence *q) { return q->wanted[s->turn] >= 0; }

/* Assigns the row to a sequence. adjust: the number of its first entry. Returns how the row is sampled. */
static struct dr_sampling want_row(struct schedule *s, struct sequence *q, int row, int adjust)
{
	s->row[s->turn][row] = q;
	q->wanted[s->turn] = row;
	q->sampling.count = (uint32_t)(q->n_out + q->ahead);
	q->sampling.adjust = adjust;
	q->sampling.adjusts = q->adjusts;
	return q->sampling;
}

/* Fills an owner's arrays of tokens with padding from token `at` on. */
static void pad_tokens(const struct schedule *s, int32_t *const *a, int32_t *const *slots, int at, int tokens)
{
	for (; at < tokens; at++) {
		a[DR_INPUT_IDS][at] = a[DR_INPUT_POS][at] = 0;
		a[DR_INPUT_SEQ][at] = -1;
		for (int i = 0; i < s->plan->n_pools; i++)
			slots[i][at] = -1;
	}
}

static void pad_rows(int32_t *want, struct dr_sampling *sampling, int row, int rows)
{
	for (; row < rows; row++) {
		want[row] = -1;
		sampling[row] = (struct dr_sampling){.top_p = 1};
	}
}

/* The id at a position: of the token under way, which row of the step before samples it. */
static int32_t id_at(const struct schedule *s, const struct sequence *q, int pos)
{
	return pos < q->n_prompt + q->n_out ? q->ids[pos] : -1 - q->wanted[!s->turn] % s->max_rows;
}

/* Writes an owner's pieces into the step's arrays, then padding. */
static void write_pieces(struct schedule *s, const struct step *step, int microbatch, int owner, const struct pieces *p)
{
	int tokens, rows, at = 0, row = 0, adjust = 0;
	int32_t *a[DR_INPUTS], *slots[DR_POOLS];
	for (int k = DR_INPUT_IDS; k < DR_INPUT_SLOT; k++)
		a[k] = step_array(step, s->plan, microbatch, owner, (enum dr_input)k, &tokens);
	for (int i = 0; i < s->plan->n_pools; i++)
		slots[i] = step_slots(step, s->plan, microbatch, owner, i);
	a[DR_INPUT_WANT] = step_array(step, s->plan, microbatch, owner, DR_INPUT_WANT, &rows);
	struct dr_sampling *sampling = step_sampling(step, s->plan, microbatch, owner);
	struct dr_adjust *entries = step_adjust(step, s->plan, microbatch, owner);
	for (int i = 0; i < p->n; i++) {
		struct sequence *q = p->at[i].sequence;
		for (int k = 0, pos = p->at[i].from; k < p->at[i].n; k++, pos++, at++) {
			a[DR_INPUT_IDS][at] = id_at(s, q, pos);
			a[DR_INPUT_POS][at] = pos;
			a[DR_INPUT_SEQ][at] = q->table_row;
			for (int pool = 0; pool < s->plan->n_pools; pool++)
				slots[pool][at] = held_pages_slot(&q->held[pool], scheduler_pool(s->scheduler, pool), pos);
		}
		if (p->at[i].wanted) {
			sampling[row] = want_row(s, q, row_at(s, microbatch, owner) + row, adjust);
			adjust_write(q->adjust, entries + adjust);
			adjust += sampling[row].adjusts;
			step->head->logprobs |= sampling[row].logprobs;
			a[DR_INPUT_WANT][row++] = at - 1;
		}
	}
	pad_tokens(s, a, slots, at, tokens);
	pad_rows(a[DR_INPUT_WANT], sampling, row, rows);
}

/* Writes the pages that the ranks do not know of. */
static void write_pages(struct schedule *s, struct step *step, int owner)
{
	for (uint32_t row = 0; row < s->plan->head->seqs; row++) {
		struct sequence *q = scheduler_running(s->scheduler, owner, (int)row);
		for (int i = 0; q && i < s->plan->n_pools; i++) {
			struct held_pages *h = &q->held[i];
			if (h->sent < h->to)
				step_add_run(step, s->plan, &(struct page_run){owner, i, (int32_t)row, h->sent, h->to - h->sent},
				             h->page + h->sent);
			h->sent = h->to;
		}
	}
}

/* Clears the rows of a step. */
static void forget_rows(struct schedule *s, int turn)
{
	int n = (int)s->plan->head->microbatches * s->plan->n_owners * s->max_rows;
	for (int i = 0; i < n; i++) {
		if (s->row[turn][i])
			s->row[turn][i]->wanted[turn] = -1;
		s->row[turn][i] = NULL;
	}
}

/* Writes what was chosen, and returns its tokens. NULL: nothing. */
static int write_step(struct schedule *s, struct step *step, const struct chosen_step *chosen)
{
	if (!chosen)
		return 0;
	*step->head = (struct step_head){.phase = chosen->phase, .microbatches = chosen->microbatches};
	for (int m = 0; m < chosen->microbatches; m++) {
		step->tokens[m] = chosen->microbatch[m].tokens;
		step->rows[m] = chosen->microbatch[m].rows;
		step->adjusts[m] = chosen->microbatch[m].adjusts;
	}
	for (int m = 0; m < chosen->microbatches; m++)
		for (int i = 0; i < s->plan->n_owners; i++)
			write_pieces(s, step, m, i, &chosen->microbatch[m].owner[i]);
	for (int i = 0; i < s->plan->n_owners; i++)
		write_pages(s, step, i);
	for (int i = 0; i < s->plan->n_pools; i++)
		step->head->pages[i] = chosen->pages[i];
	return chosen->tokens;
}

int schedule_next(struct schedule *s, struct step *step)
{
	forget_rows(s, 0);
	forget_rows(s, 1);
	return write_step(s, step, scheduler_next(s->scheduler));
}

/* ---- steps whose predecessor's tokens are not known ------------------------------------------ */
/* Calls f for each sequence that runs. true: for one of them it returned true. */
static bool any_running(struct schedule *s, bool (*f)(struct schedule *, struct sequence *))
{
	bool any = false;
	for (int i = 0; i < s->plan->n_owners; i++)
		for (uint32_t row = 0; row < s->plan->head->seqs; row++) {
			struct sequence *q = scheduler_running(s->scheduler, i, (int)row);
			any |= q && f(s, q);
		}
	return any;
}

static bool is_last(const struct sequence *q) { return q->n_out + 1 == q->max_tokens; }

/* Are its logits changed by a token that is not known? */
static bool waits_for_token(struct schedule *s, struct sequence *q)
{
	return schedule_has_row(s, q) && !is_last(q) && adjust_counts(q->adjust);
}

/* Notes that its next token is under way. */
static bool look_ahead(struct schedule *s, struct sequence *q)
{
	q->ahead = schedule_has_row(s, q);
	if (q->ahead && is_last(q))
		scheduler_leave(s->scheduler, q);
	return false;
}

int schedule_ahead(struct schedule *s, struct step *step, unsigned phases)
{
	if (any_running(s, waits_for_token))
		return SCHEDULE_WAITS;
	any_running(s, look_ahead);
	if (!(phases >> scheduler_admit(s->scheduler) & 1))
		return SCHEDULE_WAITS;
	s->turn = !s->turn;
	forget_rows(s, s->turn);
	int tokens = write_step(s, step, scheduler_choose(s->scheduler));
	if (!tokens)
		s->turn = !s->turn;
	return tokens;
}
