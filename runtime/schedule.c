/* Decides which positions of which sequences enter the next step. From admission until it ends, a sequence has a row of
 * its owner's page table and pages for its maximum length. A step is prefill while any admitted prompt is unfinished,
 * else decode. In a prefill step, sequences that decode take part, with one token each. */
#include <stdlib.h>
#include <string.h>
#include "../support/round.h"
#include "report.h"
#include "schedule.h"

struct owner {
	struct sequence *first, *last; /* sequences that wait */
	struct sequence **running;     /* [seqs]: by row of the page table; NULL: the row is free */
};
struct schedule {
	const struct plan *plan;
	struct owner *owner;
	struct page_pool pages;
	struct sequence **row; /* [microbatches][owners][max_rows] sequence of each wanted row */
	int max_rows;
	int next_owner; /* for the next sequence */
	bool few_sizes, pages_changed;
	int pages_used; /* P of a step; recomputed when pages_changed */
};

int schedule_room(const struct plan *plan)
{
	const struct dr_program *h = plan->head;
	return (int)((h->pages < h->pages_per_seq ? h->pages : h->pages_per_seq) * h->page_size);
}

int64_t schedule_positions(int n_prompt, int max_tokens) { return (int64_t)n_prompt + max_tokens - 1; }

/* ---- sequences ------------------------------------------------------------------------------- */
struct schedule *schedule_open(const struct plan *plan, bool few_sizes)
{
	const struct dr_program *h = plan->head;
	struct schedule *s = host_alloc(1, sizeof *s);
	s->plan = plan;
	s->few_sizes = few_sizes;
	s->owner = host_alloc((size_t)plan->n_owners, sizeof *s->owner);
	s->max_rows = plan_max_rows(plan);
	s->row = host_alloc((size_t)h->microbatches * (size_t)plan->n_owners * (size_t)s->max_rows, sizeof *s->row);
	page_pool_open(&s->pages, plan->n_owners, (int)h->pages);
	for (int i = 0; i < plan->n_owners; i++)
		s->owner[i].running = host_alloc(h->seqs, sizeof *s->owner[i].running);
	return s;
}

void schedule_close(struct schedule *s)
{
	for (int i = 0; i < s->plan->n_owners; i++)
		free(s->owner[i].running);
	page_pool_close(&s->pages);
	free(s->owner);
	free(s->row);
	free(s);
}

void schedule_add(struct schedule *s, struct sequence *q)
{
	struct owner *o = &s->owner[s->next_owner];
	q->owner = s->next_owner;
	s->next_owner = (s->next_owner + 1) % s->plan->n_owners;
	q->table_row = q->wanted = -1;
	q->next = NULL;
	q->prev = o->last;
	*(o->last ? &o->last->next : &o->first) = q;
	o->last = q;
}

/* Removes a sequence from its owner's waiting list. */
static void unlink_waiting(struct owner *o, struct sequence *q)
{
	*(q->prev ? &q->prev->next : &o->first) = q->next;
	*(q->next ? &q->next->prev : &o->last) = q->prev;
	q->prev = q->next = NULL;
}

void schedule_remove(struct schedule *s, struct sequence *q)
{
	struct owner *o = &s->owner[q->owner];
	if (q->wanted >= 0)
		s->row[q->wanted] = NULL;
	q->wanted = -1;
	if (q->table_row < 0) {
		unlink_waiting(o, q);
		return;
	}
	page_pool_give(&s->pages, q->owner, q->pages, q->n_pages);
	free(q->pages);
	q->pages = NULL;
	q->n_pages = 0;
	o->running[q->table_row] = NULL;
	q->table_row = -1;
}

/* Assigns a row and pages to the first waiting sequence; false: there are not enough. */
static bool admit_first(struct schedule *s, struct owner *o)
{
	struct sequence *q = o->first;
	int row = 0, seqs = (int)s->plan->head->seqs, page = (int)s->plan->head->page_size;
	int need = (int)divide_up(schedule_positions(q->n_prompt, q->max_tokens), page);
	while (row < seqs && o->running[row])
		row++;
	int32_t *pages = host_alloc((size_t)need, sizeof *pages);
	if (row == seqs || !page_pool_take(&s->pages, q->owner, need, pages)) {
		free(pages);
		return false;
	}
	unlink_waiting(o, q);
	q->table_row = row;
	q->n_pages = need;
	q->pages = pages;
	o->running[row] = q;
	s->pages_changed = true;
	return true;
}

static void admit_waiting(struct schedule *s)
{
	for (int i = 0; i < s->plan->n_owners; i++)
		while (s->owner[i].first && admit_first(s, &s->owner[i]))
			;
}

void schedule_token(struct sequence *q, int32_t token)
{
	q->ids[q->n_prompt + q->n_out++] = token;
	adjust_token(q->adjust, token);
}

int schedule_free_pages(const struct schedule *s, int owner) { return s->pages.n_free[owner]; }

int schedule_held_pages(const struct schedule *s, int owner)
{
	int held = 0;
	for (uint32_t row = 0; row < s->plan->head->seqs; row++)
		held += s->owner[owner].running[row] ? s->owner[owner].running[row]->n_pages : 0;
	return held;
}

/* ---- steps ----------------------------------------------------------------------------------- */
static int row_at(const struct schedule *s, int microbatch, int owner)
{
	return (microbatch * s->plan->n_owners + owner) * s->max_rows;
}

struct sequence *schedule_row(const struct schedule *s, int microbatch, int owner, int row)
{
	return row < s->max_rows ? s->row[row_at(s, microbatch, owner) + row] : NULL;
}

/* A step is planned before it is written, because the arrays' offsets depend on T, the maximum over all owners. A piece
 * is `n` positions of a sequence from `fed` on. If it reaches the last known token, it has a wanted row. */
struct piece {
	struct sequence *sequence;
	int from, n;
	bool wanted;
};
struct pieces {
	struct piece *at;
	int n, tokens, rows, adjusts;
};

static bool prefilling(const struct sequence *q) { return q && q->fed < q->n_prompt; }

static bool owner_prefilling(const struct schedule *s, int owner)
{
	for (uint32_t row = 0; row < s->plan->head->seqs; row++)
		if (prefilling(s->owner[owner].running[row]))
			return true;
	return false;
}

static bool any_prefilling(const struct schedule *s)
{
	for (int i = 0; i < s->plan->n_owners; i++)
		if (owner_prefilling(s, i))
			return true;
	return false;
}

/* Appends a piece of at most `room` positions. There may be no room for a row, or for its changes of logits: then the
 * last token waits. */
static void take_piece(const struct schedule *s, struct pieces *p, int phase, struct sequence *q, int room)
{
	int known = q->n_prompt + q->n_out, left = known - q->fed, adjusts = adjust_count(q->adjust);
	int n = left < room ? left : room;
	bool full = p->rows == (int)s->plan->programs[phase].max_rows || adjusts > (int)s->plan->head->adjusts - p->adjusts;
	if (n == left && full)
		n--;
	if (n <= 0)
		return;
	p->at[p->n++] = (struct piece){q, q->fed, n, n == left};
	p->tokens += n;
	p->rows += n == left;
	p->adjusts += n == left ? adjusts : 0;
	q->fed += n;
}

/* Takes pieces of the owner's prompts, or of its sequences that decode, up to `max_tokens` tokens. Of the latter,
 * microbatch m of M takes those with table row % M == m, so that microbatches are even. */
static void take_pieces(struct schedule *s, struct pieces *p, int phase, int microbatch, int owner, bool prompts,
                        int max_tokens)
{
	const struct dr_program *h = s->plan->head;
	for (uint32_t row = 0; row < h->seqs; row++) {
		struct sequence *q = s->owner[owner].running[row];
		bool mine = prompts || row % h->microbatches == (uint32_t)microbatch;
		if (q && mine && prefilling(q) == prompts)
			take_piece(s, p, phase, q, max_tokens - p->tokens);
	}
}

/* Chooses one owner's pieces of one microbatch. At least half of the tokens are for prompts, so that prompts end. */
static void choose(struct schedule *s, struct pieces *p, int phase, int microbatch, int owner)
{
	int chunk = (int)s->plan->programs[phase].max_tokens;
	take_pieces(s, p, phase, microbatch, owner, false, owner_prefilling(s, owner) ? chunk / 2 : chunk);
	if (phase == DR_PREFILL)
		take_pieces(s, p, phase, microbatch, owner, true, chunk);
}

/* Assigns the row to a sequence. adjust: the number of its first entry. Returns how the row is sampled. */
static struct dr_sampling want_row(struct schedule *s, struct sequence *q, int row, int adjust)
{
	s->row[row] = q;
	q->wanted = row;
	q->sampling.count = (uint32_t)q->n_out;
	q->sampling.adjust = adjust;
	q->sampling.adjusts = adjust_count(q->adjust);
	return q->sampling;
}

/* Fills an owner's arrays with padding from token `at` and row `row` on. */
static void write_padding(int32_t *const *a, struct dr_sampling *sampling, int at, int tokens, int row, int rows)
{
	for (; at < tokens; at++) {
		a[DR_INPUT_IDS][at] = a[DR_INPUT_POS][at] = 0;
		a[DR_INPUT_SEQ][at] = a[DR_INPUT_SLOT][at] = -1;
	}
	for (; row < rows; row++) {
		a[DR_INPUT_WANT][row] = -1;
		sampling[row] = (struct dr_sampling){.top_p = 1};
	}
}

/* Writes an owner's pieces into the step's arrays, then padding. */
static void write_pieces(struct schedule *s, const struct step *step, int microbatch, int owner, const struct pieces *p)
{
	int tokens, rows, at = 0, row = 0, adjust = 0, page = (int)s->plan->head->page_size;
	int32_t *a[DR_INPUTS];
	for (int k = DR_INPUT_IDS; k <= DR_INPUT_SLOT; k++)
		a[k] = step_array(step, s->plan, microbatch, owner, (enum dr_input)k, &tokens);
	a[DR_INPUT_WANT] = step_array(step, s->plan, microbatch, owner, DR_INPUT_WANT, &rows);
	struct dr_sampling *sampling = step_sampling(step, s->plan, microbatch, owner);
	struct dr_adjust *entries = step_adjust(step, s->plan, microbatch, owner);
	for (int i = 0; i < p->n; i++) {
		struct sequence *q = p->at[i].sequence;
		for (int k = 0, pos = p->at[i].from; k < p->at[i].n; k++, pos++, at++) {
			a[DR_INPUT_IDS][at] = q->ids[pos];
			a[DR_INPUT_POS][at] = pos;
			a[DR_INPUT_SEQ][at] = q->table_row;
			a[DR_INPUT_SLOT][at] = q->pages[pos / page] * page + pos % page;
		}
		if (p->at[i].wanted) {
			sampling[row] = want_row(s, q, row_at(s, microbatch, owner) + row, adjust);
			adjust_write(q->adjust, entries + adjust);
			adjust += sampling[row].adjusts;
			a[DR_INPUT_WANT][row++] = at - 1;
		}
	}
	write_padding(a, sampling, at, tokens, row, rows);
}

static void write_pages(struct schedule *s, struct step *step, int owner)
{
	int n, width = (int)s->plan->head->pages_per_seq;
	int32_t *table = step_array(step, s->plan, 0, owner, DR_INPUT_PAGES, &n);
	memset(table, 0, (size_t)n * sizeof *table);
	for (size_t row = 0; row < s->plan->head->seqs; row++) {
		const struct sequence *q = s->owner[owner].running[row];
		if (q)
			memcpy(table + row * (size_t)width, q->pages, (size_t)q->n_pages * sizeof *table);
	}
}

static int power_of_two_from(int n)
{
	int power = 1;
	while (power < n)
		power *= 2;
	return power;
}

int schedule_few(int n)
{
	int power = power_of_two_from(n), step = power / 8 > 8 ? power / 8 : 8;
	return power <= 8 ? power : (int)round_up(n, step);
}

/* Rounds the tokens or rows of a microbatch up to a multiple, and further if sizes are to be few. */
static int step_size(const struct schedule *s, int phase, int n, uint32_t multiple, uint32_t most)
{
	n = s->few_sizes && phase == DR_DECODE ? schedule_few(n) : n;
	n = (int)round_up(n, multiple);
	return n < (int)most ? n : (int)most;
}

/* Adds a microbatch to the step, unless it is empty. Idle owners get padding, and so does a microbatch without rows:
 * generated code never sees zero rows. Returns the number of tokens without padding. */
static int add_microbatch(struct schedule *s, struct step *step, int number, struct pieces *owner)
{
	const struct dr_program *h = s->plan->head;
	int sum = 0, tokens = 0, rows = 1, adjusts = 0, m = step->head->microbatches, phase = step->head->phase;
	for (int i = 0; i < s->plan->n_owners; i++) {
		owner[i].n = owner[i].tokens = owner[i].rows = owner[i].adjusts = 0;
		choose(s, &owner[i], phase, number, i);
		sum += owner[i].tokens;
		tokens = owner[i].tokens > tokens ? owner[i].tokens : tokens;
		rows = owner[i].rows > rows ? owner[i].rows : rows;
		adjusts = owner[i].adjusts > adjusts ? owner[i].adjusts : adjusts;
	}
	if (tokens == 0)
		return 0;
	step->head->microbatches++;
	const struct dr_step_program *program = &s->plan->programs[phase];
	step->tokens[m] = step_size(s, phase, tokens, h->token_multiple, program->max_tokens);
	step->rows[m] = step_size(s, phase, rows, h->row_multiple, program->max_rows);
	step->adjusts[m] = adjusts;
	for (int i = 0; i < s->plan->n_owners; i++)
		write_pieces(s, step, m, i, &owner[i]);
	return sum;
}

static struct pieces *pieces_open(const struct plan *plan)
{
	size_t owners = (size_t)plan->n_owners, seqs = plan->head->seqs;
	struct pieces *p = host_alloc(owners, sizeof *p);
	struct piece *at = host_alloc(owners * seqs, sizeof *at);
	for (size_t i = 0; i < owners; i++)
		p[i].at = at + i * seqs;
	return p;
}

static int last_page(const struct schedule *s)
{
	int last = 0;
	for (int i = 0; i < s->plan->n_owners; i++)
		for (uint32_t row = 0; row < s->plan->head->seqs; row++) {
			const struct sequence *q = s->owner[i].running[row];
			for (int k = 0; q && k < q->n_pages; k++)
				last = q->pages[k] > last ? q->pages[k] : last;
		}
	return last;
}

static int pages_used(const struct schedule *s)
{
	const struct dr_program *h = s->plan->head;
	int n = (int)round_up(last_page(s) + 1, h->page_multiple) / (int)h->page_multiple;
	n = (s->few_sizes ? power_of_two_from(n) : n) * (int)h->page_multiple;
	return n < (int)h->pages ? n : (int)h->pages;
}

/* Clears the rows of the previous step. */
static void forget_rows(struct schedule *s)
{
	int n = (int)s->plan->head->microbatches * s->plan->n_owners * s->max_rows;
	for (int i = 0; i < n; i++) {
		if (s->row[i])
			s->row[i]->wanted = -1;
		s->row[i] = NULL;
	}
}

int schedule_next(struct schedule *s, struct step *step)
{
	int tokens = 0;
	forget_rows(s);
	admit_waiting(s);
	if (s->pages_changed)
		s->pages_used = pages_used(s);
	*step->head = (struct step_head){
		.phase = any_prefilling(s) ? DR_PREFILL : DR_DECODE, .with_pages = s->pages_changed, .pages = s->pages_used};
	struct pieces *owner = pieces_open(s->plan);
	for (uint32_t m = 0; m < s->plan->head->microbatches; m++)
		tokens += add_microbatch(s, step, (int)m, owner);
	free(owner[0].at);
	free(owner);
	if (tokens == 0)
		return 0;
	for (int i = 0; s->pages_changed && i < s->plan->n_owners; i++)
		write_pages(s, step, i);
	s->pages_changed = false;
	return tokens;
}
