/* Decides which positions of which sequences enter the next step. From admission on, a sequence has a row of its
 * owner's page table, and pages for its prompt; it takes more as it grows. When an owner has no page left for a token,
 * its youngest sequence loses its pages and waits; later its prompt and what it has sampled are computed again. A step
 * is prefill while any admitted sequence has known tokens to catch up with, else decode. In a prefill step, sequences
 * that decode take part, with one token each. A step may be chosen before the tokens of the one before are known:
 * then a sequence that decodes goes on, and one that turns out to have ended has a row too many. */
#include "scheduler.h"
#include "../support/round.h"
#include "host_alloc.h"

struct owner {
	struct sequence *first, *last; /* sequences that wait */
	struct sequence **running;     /* [seqs]: by row of the page table; NULL: the row is free */
	int n_running;
};
struct scheduler {
	struct scheduler_sizes sizes;
	struct owner *owner;
	struct page_pool pool[DR_POOLS];
	int next_owner; /* for the next sequence */
	int64_t added, interrupted;
	struct chosen_step step;
	struct pieces *pieces; /* [microbatches][owners] */
	struct piece *piece;   /* of each, as many as there are sequences */
};

int64_t scheduler_positions(int n_prompt, int max_tokens) { return (int64_t)n_prompt + max_tokens - 1; }

/* ---- sequences ------------------------------------------------------------------------------- */
struct scheduler *scheduler_open(const struct scheduler_sizes *sizes)
{
	struct scheduler *s = host_alloc(1, sizeof *s);
	size_t owners = (size_t)sizes->owners, microbatches = (size_t)sizes->microbatches, seqs = (size_t)sizes->seqs;
	s->sizes = *sizes;
	s->owner = host_alloc(owners, sizeof *s->owner);
	for (int i = 0; i < sizes->n_pools; i++)
		page_pool_open(&s->pool[i], sizes->owners, (int)sizes->pool[i].reach, (int)sizes->pool[i].pages,
		               sizes->page_size);
	for (size_t i = 0; i < owners; i++)
		s->owner[i].running = host_alloc(seqs, sizeof *s->owner[i].running);
	s->step.microbatch = host_alloc(microbatches, sizeof *s->step.microbatch);
	s->pieces = host_alloc(microbatches * owners, sizeof *s->pieces);
	s->piece = host_alloc(microbatches * owners * seqs, sizeof *s->piece);
	for (size_t i = 0; i < microbatches * owners; i++)
		s->pieces[i].at = s->piece + i * seqs;
	for (size_t i = 0; i < microbatches; i++)
		s->step.microbatch[i].owner = s->pieces + i * owners;
	return s;
}

void scheduler_close(struct scheduler *s)
{
	for (int i = 0; i < s->sizes.owners; i++)
		host_free(s->owner[i].running);
	for (int i = 0; i < s->sizes.n_pools; i++)
		page_pool_close(&s->pool[i]);
	host_free(s->owner);
	host_free(s->step.microbatch);
	host_free(s->pieces);
	host_free(s->piece);
	host_free(s);
}

void scheduler_add(struct scheduler *s, struct sequence *q)
{
	struct owner *o = &s->owner[s->next_owner];
	q->owner = s->next_owner;
	s->next_owner = (s->next_owner + 1) % s->sizes.owners;
	q->table_row = -1;
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
static void stop_running(struct scheduler *s, struct sequence *q)
{
	struct owner *o = &s->owner[q->owner];
	for (int i = 0; i < s->sizes.n_pools; i++)
		held_pages_close(&q->held[i], &s->pool[i], q->owner);
	host_free(q->held);
	q->held = NULL;
	o->running[q->table_row] = NULL;
	o->n_running--;
	q->table_row = -1;
}

void scheduler_remove(struct scheduler *s, struct sequence *q)
{
	if (q->left)
		return;
	if (q->table_row < 0)
		unlink_waiting(&s->owner[q->owner], q);
	else
		stop_running(s, q);
}

void scheduler_leave(struct scheduler *s, struct sequence *q)
{
	q->left = true;
	stop_running(s, q);
}

struct sequence *scheduler_running(const struct scheduler *s, int owner, int row)
{
	return s->owner[owner].running[row];
}

int scheduler_free_pages(const struct scheduler *s, int owner) { return page_pool_free(&s->pool[0], owner); }

const struct page_pool *scheduler_pool(const struct scheduler *s, int pool) { return &s->pool[pool]; }

int64_t scheduler_interrupted(const struct scheduler *s) { return s->interrupted; }

/* ---- pages ----------------------------------------------------------------------------------- */
/* Tokens of a sequence, with the one that is under way. */
static int sampled(const struct sequence *q) { return q->n_out + q->ahead; }
static int known(const struct sequence *q) { return q->n_prompt + sampled(q); }

static bool prefilling(const struct sequence *q) { return q && q->fed < (sampled(q) ? known(q) - 1 : q->n_prompt); }

/* Pages that a sequence lacks for its next token, 0 or 1. One that prefills has those of its known tokens. */
static int lacks(const struct scheduler *s, const struct sequence *q)
{
	return prefilling(q) ? 0 : held_pages_missing(&q->held[0], &s->pool[0], q->fed + 1);
}

/* 1: it may need more pages than it has. */
static int grows(const struct scheduler *s, const struct sequence *q)
{
	return held_pages_missing(&q->held[0], &s->pool[0], scheduler_positions(q->n_prompt, q->max_tokens)) > 0;
}

/* Sums over the sequences that run. */
static int sum_running(const struct scheduler *s, const struct owner *o,
                       int (*count)(const struct scheduler *, const struct sequence *))
{
	int sum = 0;
	for (int row = 0; row < s->sizes.seqs; row++)
		sum += o->running[row] ? count(s, o->running[row]) : 0;
	return sum;
}

static struct sequence *youngest(const struct scheduler *s, const struct owner *o)
{
	struct sequence *last = NULL;
	for (int row = 0; row < s->sizes.seqs; row++) {
		struct sequence *q = o->running[row];
		last = q && (!last || q->number > last->number) ? q : last;
	}
	return last;
}

/* It waits before all others, which are younger. */
static void interrupt(struct scheduler *s, struct sequence *q)
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
static bool grow_running(struct scheduler *s, int owner)
{
	struct owner *o = &s->owner[owner];
	int64_t before = s->interrupted;
	while (sum_running(s, o, lacks) > page_pool_free(&s->pool[0], owner))
		interrupt(s, youngest(s, o));
	for (int row = 0; row < s->sizes.seqs; row++) {
		struct sequence *q = o->running[row];
		for (int i = 1; q && i < s->sizes.n_pools; i++)
			held_pages_slide(&q->held[i], &s->pool[i], owner, q->fed);
		if (q && lacks(s, q))
			held_pages_grow(&q->held[0], &s->pool[0], owner, q->fed + 1);
	}
	return s->interrupted == before;
}

/* Are there pages for its known tokens, and one more for each sequence that grows, itself included? If none runs, the
 * former suffice. */
static bool has_room(const struct scheduler *s, const struct sequence *q)
{
	const struct owner *o = &s->owner[q->owner];
	int page = s->sizes.page_size, need = (int)divide_up(known(q), page);
	if (o->n_running)
		need += sum_running(s, o, grows) + (need < divide_up(scheduler_positions(q->n_prompt, q->max_tokens), page));
	return o->n_running < s->sizes.seqs && need <= page_pool_free(&s->pool[0], q->owner);
}

static void admit_first(struct scheduler *s, struct owner *o)
{
	struct sequence *q = o->first;
	int row = 0;
	while (o->running[row])
		row++;
	unlink_waiting(o, q);
	q->table_row = row;
	q->held = host_alloc((size_t)s->sizes.n_pools, sizeof *q->held);
	for (int i = 0; i < s->sizes.n_pools; i++)
		held_pages_open(&q->held[i], &s->pool[i], scheduler_positions(q->n_prompt, q->max_tokens));
	held_pages_grow(&q->held[0], &s->pool[0], q->owner, known(q));
	o->running[row] = q;
	o->n_running++;
}

/* Sequences are admitted in the order in which they came. None is where one has just been interrupted. */
static void grow_and_admit(struct scheduler *s)
{
	for (int i = 0; i < s->sizes.owners; i++) {
		struct owner *o = &s->owner[i];
		bool admits = grow_running(s, i);
		while (admits && o->first && has_room(s, o->first))
			admit_first(s, o);
	}
}

/* ---- steps ----------------------------------------------------------------------------------- */
static bool owner_prefilling(const struct scheduler *s, int owner)
{
	for (int row = 0; row < s->sizes.seqs; row++)
		if (prefilling(s->owner[owner].running[row]))
			return true;
	return false;
}

static bool any_prefilling(const struct scheduler *s)
{
	for (int i = 0; i < s->sizes.owners; i++)
		if (owner_prefilling(s, i))
			return true;
	return false;
}

/* Appends a piece of at most `room` positions. There may be no room for a row, or for its changes of logits: then the
 * last token waits. */
static void take_piece(struct scheduler *s, struct pieces *p, int phase, struct sequence *q, int room)
{
	int left = known(q) - q->fed;
	int n = left < room ? left : room;
	bool full = p->rows == s->sizes.max_rows[phase] || q->adjusts > s->sizes.adjusts - p->adjusts;
	if (n == left && full)
		n--;
	if (n <= 0)
		return;
	p->at[p->n++] = (struct piece){q, q->fed, n, n == left};
	p->tokens += n;
	p->rows += n == left;
	p->adjusts += n == left ? q->adjusts : 0;
	q->fed += n;
	for (int i = 1; i < s->sizes.n_pools; i++)
		held_pages_grow(&q->held[i], &s->pool[i], q->owner, q->fed);
}

/* Takes pieces of the owner's prompts, or of its sequences that decode, up to `max_tokens` tokens. Of the latter,
 * microbatch m of M takes those with table row % M == m, so that microbatches are even. */
static void take_pieces(struct scheduler *s, struct pieces *p, int phase, int microbatch, int owner, bool prompts,
                        int max_tokens)
{
	for (int row = 0; row < s->sizes.seqs; row++) {
		struct sequence *q = s->owner[owner].running[row];
		bool mine = prompts || row % s->sizes.microbatches == microbatch;
		if (q && mine && prefilling(q) == prompts)
			take_piece(s, p, phase, q, max_tokens - p->tokens);
	}
}

/* Chooses one owner's pieces of one microbatch. At least half of the tokens are for prompts, so that prompts end. */
static void choose(struct scheduler *s, struct pieces *p, int phase, int microbatch, int owner)
{
	int chunk = s->sizes.max_tokens[phase];
	p->n = p->tokens = p->rows = p->adjusts = 0;
	take_pieces(s, p, phase, microbatch, owner, false, owner_prefilling(s, owner) ? chunk / 2 : chunk);
	if (phase == DR_PREFILL)
		take_pieces(s, p, phase, microbatch, owner, true, chunk);
}

static int power_of_two_from(int n)
{
	int power = 1;
	while (power < n)
		power *= 2;
	return power;
}

int scheduler_few(int n)
{
	int power = power_of_two_from(n), step = power / 8 > 8 ? power / 8 : 8;
	return power <= 8 ? power : (int)round_up(n, step);
}

/* Rounds the tokens or rows of a microbatch up to a multiple, and further if sizes are to be few. */
static int step_size(const struct scheduler *s, int phase, int n, int multiple, int most)
{
	n = s->sizes.few_sizes && phase == DR_DECODE ? scheduler_few(n) : n;
	n = (int)round_up(n, multiple);
	return n < most ? n : most;
}

/* Chooses a microbatch of the step, unless it is empty. A microbatch without rows has one all the same: generated code
 * never sees zero rows. */
static void choose_microbatch(struct scheduler *s, int number)
{
	struct chosen_step *step = &s->step;
	struct chosen_microbatch *m = &step->microbatch[step->microbatches];
	int sum = 0, tokens = 0, rows = 1;
	m->adjusts = 0;
	for (int i = 0; i < s->sizes.owners; i++) {
		struct pieces *p = &m->owner[i];
		choose(s, p, step->phase, number, i);
		sum += p->tokens;
		tokens = p->tokens > tokens ? p->tokens : tokens;
		rows = p->rows > rows ? p->rows : rows;
		m->adjusts = p->adjusts > m->adjusts ? p->adjusts : m->adjusts;
	}
	if (tokens == 0)
		return;
	m->tokens = step_size(s, step->phase, tokens, s->sizes.token_multiple, s->sizes.max_tokens[step->phase]);
	m->rows = step_size(s, step->phase, rows, s->sizes.row_multiple, s->sizes.max_rows[step->phase]);
	step->microbatches++;
	step->tokens += sum;
}

/* P of a pool. */
static int pages_used(const struct scheduler *s, int pool)
{
	int multiple = s->sizes.page_multiple, pages = (int)s->sizes.pool[pool].pages;
	int n = (int)divide_up(page_pool_end(&s->pool[pool]), multiple);
	n = (s->sizes.few_sizes ? power_of_two_from(n) : n ? n : 1) * multiple;
	return n < pages ? n : pages;
}

int scheduler_admit(struct scheduler *s)
{
	grow_and_admit(s);
	return any_prefilling(s) ? DR_PREFILL : DR_DECODE;
}

const struct chosen_step *scheduler_choose(struct scheduler *s)
{
	struct chosen_step *step = &s->step;
	step->phase = any_prefilling(s) ? DR_PREFILL : DR_DECODE;
	step->microbatches = step->tokens = 0;
	for (int m = 0; m < s->sizes.microbatches; m++)
		choose_microbatch(s, m);
	for (int i = 0; i < s->sizes.n_pools; i++)
		step->pages[i] = pages_used(s, i);
	return step->tokens ? step : NULL;
}

const struct chosen_step *scheduler_next(struct scheduler *s)
{
	scheduler_admit(s);
	return scheduler_choose(s);
}
