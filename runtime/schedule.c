/* Decides which positions of which sequences enter the next step. From admission on, a sequence has a row of its
 * owner's page table, and pages for its prompt; it takes more as it grows. When an owner has no page left for a token,
 * its youngest sequence loses its pages and waits; later its prompt and what it has sampled are computed again. A step
 * is prefill while any admitted sequence has known tokens to catch up with, else decode. In a prefill step, sequences
 * that decode take part, with one token each. A step may be planned before the tokens of the one before are known:
 * then a sequence that decodes goes on, and one that turns out to have ended has a row too many. */
#include <stdlib.h>
#include <string.h>
#include "../support/round.h"
#include "report.h"
#include "schedule.h"

struct owner {
	struct sequence *first, *last; /* sequences that wait */
	struct sequence **running;     /* [seqs]: by row of the page table; NULL: the row is free */
	int n_running;
};
struct schedule {
	const struct plan *plan;
	struct owner *owner;
	struct page_pool pool[DR_POOLS]; /* the first keeps all positions; the others suffice if it does */
	struct sequence **row[2];        /* [microbatches][owners][max_rows] sequence of each wanted row, by turns */
	int turn;                        /* which of the two is of the step planned last */
	int max_rows;
	int next_owner; /* for the next sequence */
	bool few_sizes;
	int64_t added, interrupted;
};

int schedule_room(const struct plan *plan)
{
	uint32_t pages = plan->pools[0].pages, width = plan->head->pages_per_seq;
	return (int)((pages < width ? pages : width) * plan->head->page_size);
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
	for (int i = 0; i < 2; i++)
		s->row[i] =
			host_alloc((size_t)h->microbatches * (size_t)plan->n_owners * (size_t)s->max_rows, sizeof *s->row[i]);
	for (int i = 0; i < plan->n_pools; i++)
		page_pool_open(&s->pool[i], plan->n_owners, (int)plan->pools[i].reach, (int)plan->pools[i].pages,
		               (int)h->page_size);
	for (int i = 0; i < plan->n_owners; i++)
		s->owner[i].running = host_alloc(h->seqs, sizeof *s->owner[i].running);
	return s;
}

void schedule_close(struct schedule *s)
{
	for (int i = 0; i < s->plan->n_owners; i++)
		free(s->owner[i].running);
	for (int i = 0; i < s->plan->n_pools; i++)
		page_pool_close(&s->pool[i]);
	free(s->owner);
	free(s->row[0]);
	free(s->row[1]);
	free(s);
}

void schedule_add(struct schedule *s, struct sequence *q)
{
	struct owner *o = &s->owner[s->next_owner];
	q->owner = s->next_owner;
	s->next_owner = (s->next_owner + 1) % s->plan->n_owners;
	q->table_row = q->wanted[0] = q->wanted[1] = -1;
	q->number = s->added++;
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

/* Takes row and pages from a sequence that runs. */
static void stop_running(struct schedule *s, struct sequence *q)
{
	struct owner *o = &s->owner[q->owner];
	for (int i = 0; i < s->plan->n_pools; i++)
		held_pages_close(&q->held[i], &s->pool[i], q->owner);
	free(q->held);
	q->held = NULL;
	o->running[q->table_row] = NULL;
	o->n_running--;
	q->table_row = -1;
}

void schedule_remove(struct schedule *s, struct sequence *q)
{
	for (int i = 0; i < 2; i++) {
		if (q->wanted[i] >= 0)
			s->row[i][q->wanted[i]] = NULL;
		q->wanted[i] = -1;
	}
	if (q->left)
		return;
	if (q->table_row < 0)
		unlink_waiting(&s->owner[q->owner], q);
	else
		stop_running(s, q);
}

void schedule_token(struct sequence *q, int32_t token)
{
	q->ids[q->n_prompt + q->n_out++] = token;
	q->ahead = false;
	adjust_token(q->adjust, token);
}

int schedule_free_pages(const struct schedule *s, int owner) { return page_pool_free(&s->pool[0], owner); }

int schedule_held_pages(const struct schedule *s, int owner)
{
	int held = 0;
	for (uint32_t row = 0; row < s->plan->head->seqs; row++)
		held += s->owner[owner].running[row] ? s->owner[owner].running[row]->held->to : 0;
	return held;
}

int64_t schedule_interrupted(const struct schedule *s) { return s->interrupted; }

/* ---- pages ----------------------------------------------------------------------------------- */
/* Tokens of a sequence, with the one that is under way. */
static int sampled(const struct sequence *q) { return q->n_out + q->ahead; }
static int known(const struct sequence *q) { return q->n_prompt + sampled(q); }

static bool prefilling(const struct sequence *q) { return q && q->fed < (sampled(q) ? known(q) - 1 : q->n_prompt); }

/* Pages that a sequence lacks for its next token, 0 or 1. One that prefills has those of its known tokens. */
static int lacks(const struct schedule *s, const struct sequence *q)
{
	return prefilling(q) ? 0 : held_pages_missing(&q->held[0], &s->pool[0], q->fed + 1);
}

/* 1: it may need more pages than it has. */
static int grows(const struct schedule *s, const struct sequence *q)
{
	return held_pages_missing(&q->held[0], &s->pool[0], schedule_positions(q->n_prompt, q->max_tokens)) > 0;
}

/* Sums over the sequences that run. */
static int sum_running(const struct schedule *s, const struct owner *o,
                       int (*count)(const struct schedule *, const struct sequence *))
{
	int sum = 0;
	for (uint32_t row = 0; row < s->plan->head->seqs; row++)
		sum += o->running[row] ? count(s, o->running[row]) : 0;
	return sum;
}

static struct sequence *youngest(const struct schedule *s, const struct owner *o)
{
	struct sequence *last = NULL;
	for (uint32_t row = 0; row < s->plan->head->seqs; row++) {
		struct sequence *q = o->running[row];
		last = q && (!last || q->number > last->number) ? q : last;
	}
	return last;
}

/* It waits before all others, which are younger. */
static void interrupt(struct schedule *s, struct sequence *q)
{
	struct owner *o = &s->owner[q->owner];
	stop_running(s, q);
	q->fed = 0;
	q->prev = NULL;
	q->next = o->first;
	*(o->first ? &o->first->prev : &o->last) = q;
	o->first = q;
	s->interrupted++;
}

/* Takes a page for each token that lacks one. Returns false if a sequence was interrupted for it. One that runs alone
 * lacks nothing: its maximum length fits. */
static bool grow_running(struct schedule *s, int owner)
{
	struct owner *o = &s->owner[owner];
	int64_t before = s->interrupted;
	while (sum_running(s, o, lacks) > page_pool_free(&s->pool[0], owner))
		interrupt(s, youngest(s, o));
	for (uint32_t row = 0; row < s->plan->head->seqs; row++) {
		struct sequence *q = o->running[row];
		for (int i = 1; q && i < s->plan->n_pools; i++)
			held_pages_slide(&q->held[i], &s->pool[i], owner, q->fed);
		if (q && lacks(s, q))
			held_pages_grow(&q->held[0], &s->pool[0], owner, q->fed + 1);
	}
	return s->interrupted == before;
}

/* Are there pages for its known tokens, and one more for each sequence that grows, itself included? If none runs, the
 * former suffice. */
static bool has_room(const struct schedule *s, const struct sequence *q)
{
	const struct owner *o = &s->owner[q->owner];
	int page = (int)s->plan->head->page_size, need = (int)divide_up(known(q), page);
	if (o->n_running)
		need += sum_running(s, o, grows) + (need < divide_up(schedule_positions(q->n_prompt, q->max_tokens), page));
	return o->n_running < (int)s->plan->head->seqs && need <= page_pool_free(&s->pool[0], q->owner);
}

static void admit_first(struct schedule *s, struct owner *o)
{
	struct sequence *q = o->first;
	int row = 0;
	while (o->running[row])
		row++;
	unlink_waiting(o, q);
	q->table_row = row;
	q->held = host_alloc((size_t)s->plan->n_pools, sizeof *q->held);
	for (int i = 0; i < s->plan->n_pools; i++)
		held_pages_open(&q->held[i], &s->pool[i], schedule_positions(q->n_prompt, q->max_tokens));
	held_pages_grow(&q->held[0], &s->pool[0], q->owner, known(q));
	o->running[row] = q;
	o->n_running++;
}

/* Sequences are admitted in the order in which they came. None is where one has just been interrupted. */
static void grow_and_admit(struct schedule *s)
{
	for (int i = 0; i < s->plan->n_owners; i++) {
		struct owner *o = &s->owner[i];
		bool admits = grow_running(s, i);
		while (admits && o->first && has_room(s, o->first))
			admit_first(s, o);
	}
}

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
static void take_piece(struct schedule *s, struct pieces *p, int phase, struct sequence *q, int room)
{
	int left = known(q) - q->fed, adjusts = adjust_count(q->adjust);
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
	for (int i = 1; i < s->plan->n_pools; i++)
		held_pages_grow(&q->held[i], &s->pool[i], q->owner, q->fed);
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
	s->row[s->turn][row] = q;
	q->wanted[s->turn] = row;
	q->sampling.count = (uint32_t)sampled(q);
	q->sampling.adjust = adjust;
	q->sampling.adjusts = adjust_count(q->adjust);
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
				slots[pool][at] = held_pages_slot(&q->held[pool], &s->pool[pool], pos);
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
		struct sequence *q = s->owner[owner].running[row];
		for (int i = 0; q && i < s->plan->n_pools; i++) {
			struct held_pages *h = &q->held[i];
			if (h->sent < h->to)
				step_add_run(step, s->plan, &(struct page_run){owner, i, (int32_t)row, h->sent, h->to - h->sent},
				             h->page + h->sent);
			h->sent = h->to;
		}
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

/* P of a pool. */
static int pages_used(const struct schedule *s, int pool)
{
	int multiple = (int)s->plan->head->page_multiple, pages = (int)s->plan->pools[pool].pages;
	int n = (int)divide_up(page_pool_end(&s->pool[pool]), multiple);
	n = (s->few_sizes ? power_of_two_from(n) : n ? n : 1) * multiple;
	return n < pages ? n : pages;
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

/* Plans a step of what runs. */
static int plan_step(struct schedule *s, struct step *step, int phase)
{
	int tokens = 0;
	*step->head = (struct step_head){.phase = phase};
	struct pieces *owner = pieces_open(s->plan);
	for (uint32_t m = 0; m < s->plan->head->microbatches; m++)
		tokens += add_microbatch(s, step, (int)m, owner);
	free(owner[0].at);
	free(owner);
	if (tokens == 0)
		return 0;
	for (int i = 0; i < s->plan->n_owners; i++)
		write_pages(s, step, i);
	for (int i = 0; i < s->plan->n_pools; i++)
		step->head->pages[i] = pages_used(s, i);
	return tokens;
}

static int next_phase(const struct schedule *s) { return any_prefilling(s) ? DR_PREFILL : DR_DECODE; }

int schedule_next(struct schedule *s, struct step *step)
{
	forget_rows(s, 0);
	forget_rows(s, 1);
	grow_and_admit(s);
	return plan_step(s, step, next_phase(s));
}

/* ---- steps whose predecessor's tokens are not known ------------------------------------------ */
/* Calls f for each sequence that runs. true: for one of them it returned true. */
static bool any_running(struct schedule *s, bool (*f)(struct schedule *, struct sequence *))
{
	bool any = false;
	for (int i = 0; i < s->plan->n_owners; i++)
		for (uint32_t row = 0; row < s->plan->head->seqs; row++)
			any |= s->owner[i].running[row] && f(s, s->owner[i].running[row]);
	return any;
}

static bool is_last(const struct sequence *q) { return q->n_out + 1 == q->max_tokens; }

/* Are its logits changed by a token that is not known? */
static bool waits_for_token(struct schedule *s, struct sequence *q)
{
	return schedule_has_row(s, q) && !is_last(q) && adjust_counts(q->adjust);
}

/* Notes that its next token is under way. If that is its last one, its row and pages are free for others: their steps
 * come after. */
static bool look_ahead(struct schedule *s, struct sequence *q)
{
	q->ahead = schedule_has_row(s, q);
	q->left = q->ahead && is_last(q);
	if (q->left)
		stop_running(s, q);
	return false;
}

int schedule_ahead(struct schedule *s, struct step *step, unsigned phases)
{
	if (any_running(s, waits_for_token))
		return SCHEDULE_WAITS;
	any_running(s, look_ahead);
	grow_and_admit(s);
	if (!(phases >> next_phase(s) & 1))
		return SCHEDULE_WAITS;
	s->turn = !s->turn;
	forget_rows(s, s->turn);
	int tokens = plan_step(s, step, next_phase(s));
	if (!tokens)
		s->turn = !s->turn;
	return tokens;
}
