/* Rank 0's scheduler: which positions of which sequences enter the next step. Sequence i belongs to owner i % owners,
 * with a row of its page table and pages for its longest length from admission until it is done. A step is prefill
 * while any admitted prompt is unfinished, else decode; in a prefill step sequences that decode ride along, each with
 * its one token. */
#include <stdlib.h>
#include <string.h>
#include "runtime.h"

struct owner {
	int32_t *free_pages;
	int n_free;
	int *slot; /* [seqs]: the sequence in a row of the page table, -1 */
	int next;  /* first sequence of this owner that was never admitted */
};
struct schedule {
	const struct plan *plan;
	struct sequence *seq;
	int n;
	struct owner *owner;
	int *row; /* [microbatches][owners][max_rows] sequence of each wanted row */
	int max_rows;
	bool pages_changed;
	int pages_used; /* of any owner, counted when pages_changed */
};

static int round_up(int n, uint32_t multiple) { return (n + (int)multiple - 1) / (int)multiple * (int)multiple; }

static int pages_for(const struct plan *plan, int positions)
{
	return (positions + (int)plan->head->page - 1) / (int)plan->head->page;
}

/* Positions that a sequence takes: the last token that is generated is not read back. */
static int positions_of(int prompt, int max_tokens) { return prompt + max_tokens - 1; }

/* ---- sequences ------------------------------------------------------------------------------- */
void prompts_check(const struct plan *plan, const struct prompt *prompts, int n, int max_tokens, struct problems *p)
{
	const struct dr_program *h = plan->head;
	for (int i = 0; i < n; i++) {
		int need = pages_for(plan, positions_of(prompts[i].n, max_tokens));
		int most = (int)(h->pages < h->pages_per_seq ? h->pages : h->pages_per_seq);
		for (int k = 0; k < prompts[i].n; k++)
			if (prompts[i].ids[k] < 0 || (uint32_t)prompts[i].ids[k] >= h->vocab)
				problem(p, "prompt %d: id %d is not in the vocabulary of %u", i + 1, prompts[i].ids[k], h->vocab);
		if (need > most)
			problem(p,
			        "prompt %d: %d ids and %d more take %d positions (the last is not read back), the plan's cache has "
			        "%d for a sequence",
			        i + 1, prompts[i].n, max_tokens, positions_of(prompts[i].n, max_tokens), most * (int)h->page);
	}
}

static void open_owner(struct owner *o, const struct dr_program *h, int first)
{
	o->free_pages = host_alloc(h->pages, sizeof *o->free_pages);
	o->slot = host_alloc(h->seqs, sizeof *o->slot);
	o->n_free = (int)h->pages;
	o->next = first;
	for (int i = 0; i < o->n_free; i++)
		o->free_pages[i] = o->n_free - 1 - i;
	for (uint32_t i = 0; i < h->seqs; i++)
		o->slot[i] = -1;
}

struct schedule *schedule_open(const struct plan *plan, const struct prompt *prompts, int n, int max_tokens)
{
	const struct dr_program *h = plan->head;
	struct schedule *s = host_alloc(1, sizeof *s);
	s->plan = plan;
	s->n = n;
	s->seq = host_alloc((size_t)n, sizeof *s->seq);
	s->owner = host_alloc((size_t)plan->n_owners, sizeof *s->owner);
	s->max_rows = (int)(h->max_rows[0] > h->max_rows[1] ? h->max_rows[0] : h->max_rows[1]);
	s->row = host_alloc((size_t)h->microbatches * (size_t)plan->n_owners * (size_t)s->max_rows, sizeof *s->row);
	for (int i = 0; i < n; i++)
		s->seq[i] = (struct sequence){
			.prompt = prompts[i].ids,
			.n_prompt = prompts[i].n,
			.sampling = prompts[i].sampling,
			.max_tokens = max_tokens,
			.slot = -1,
			.out = host_alloc((size_t)max_tokens, sizeof(int32_t)),
			.owner = i % plan->n_owners,
		};
	for (int i = 0; i < plan->n_owners; i++)
		open_owner(&s->owner[i], h, i);
	return s;
}

void schedule_close(struct schedule *s)
{
	for (int i = 0; i < s->n; i++) {
		free(s->seq[i].out);
		free(s->seq[i].pages);
	}
	for (int i = 0; i < s->plan->n_owners; i++) {
		free(s->owner[i].free_pages);
		free(s->owner[i].slot);
	}
	free(s->seq);
	free(s->owner);
	free(s->row);
	free(s);
}

/* Gives a waiting sequence a row and its pages; false: one of them is not free. */
static bool admit(struct schedule *s, struct owner *o, int index)
{
	struct sequence *q = &s->seq[index];
	int slot = 0, seqs = (int)s->plan->head->seqs, need = pages_for(s->plan, positions_of(q->n_prompt, q->max_tokens));
	while (slot < seqs && o->slot[slot] >= 0)
		slot++;
	if (slot == seqs || need > o->n_free)
		return false;
	q->slot = slot;
	q->n_pages = need;
	q->pages = host_alloc((size_t)need, sizeof *q->pages);
	for (int i = 0; i < need; i++)
		q->pages[i] = o->free_pages[--o->n_free];
	o->slot[slot] = index;
	s->pages_changed = true;
	return true;
}

static void admit_waiting(struct schedule *s)
{
	for (int i = 0; i < s->plan->n_owners; i++) {
		struct owner *o = &s->owner[i];
		while (o->next < s->n && admit(s, o, o->next))
			o->next += s->plan->n_owners;
	}
}

void schedule_token(struct schedule *s, int sequence, int32_t token)
{
	struct sequence *q = &s->seq[sequence];
	struct owner *o = &s->owner[q->owner];
	q->out[q->n_out++] = token;
	if (q->n_out < q->max_tokens)
		return;
	for (int i = q->n_pages; i-- > 0;)
		o->free_pages[o->n_free++] = q->pages[i];
	o->slot[q->slot] = -1;
	q->slot = -1;
}

const struct sequence *schedule_sequence(const struct schedule *s, int i) { return &s->seq[i]; }

int schedule_free_pages(const struct schedule *s, int owner) { return s->owner[owner].n_free; }

/* ---- steps ----------------------------------------------------------------------------------- */
static int *row_at(const struct schedule *s, int microbatch, int owner)
{
	return s->row + (size_t)(microbatch * s->plan->n_owners + owner) * (size_t)s->max_rows;
}

int schedule_row(const struct schedule *s, int microbatch, int owner, int row)
{
	return row < s->max_rows ? row_at(s, microbatch, owner)[row] : -1;
}

/* What a step brings of each sequence is decided before it is written: T, which places the arrays, is the most of all
 * owners. A piece is `n` positions of a sequence from `fed` on; a row is wanted when it reaches the
 * last known token. */
struct piece {
	int sequence, from, n;
	bool wanted;
};
struct pieces {
	struct piece *at;
	int n, tokens, rows;
};

static bool prefilling(const struct sequence *q) { return q->slot >= 0 && q->fed < q->n_prompt; }

static bool any_prefilling(const struct schedule *s)
{
	for (int i = 0; i < s->n; i++)
		if (prefilling(&s->seq[i]))
			return true;
	return false;
}

/* Appends a piece of at most `room` positions; none when the rows are used up and only the last token is left. */
static void take_piece(struct schedule *s, struct pieces *p, int index, int room, int max_rows)
{
	struct sequence *q = &s->seq[index];
	int known = q->n_prompt + q->n_out, left = known - q->fed;
	int n = left < room ? left : room;
	if (n == left && p->rows == max_rows)
		n--;
	if (n <= 0)
		return;
	p->at[p->n++] = (struct piece){index, q->fed, n, n == left};
	p->tokens += n;
	p->rows += n == left;
	q->fed += n;
}

/* Takes pieces of the owner's prompts, or of its sequences that decode, until `most` tokens are there. Of those that
 * decode, microbatch m takes the rows of the page table with slot % M == m, so that microbatches are even. */
static void take_pieces(struct schedule *s, struct pieces *p, int phase, int microbatch, int owner, bool prompts,
                        int most)
{
	const struct dr_program *h = s->plan->head;
	for (uint32_t slot = 0; slot < h->seqs; slot++) {
		int index = s->owner[owner].slot[slot];
		bool mine = prompts || slot % h->microbatches == (uint32_t)microbatch;
		if (index >= 0 && mine && prefilling(&s->seq[index]) == prompts)
			take_piece(s, p, index, most - p->tokens, (int)h->max_rows[phase]);
	}
}

static bool owner_prefilling(const struct schedule *s, int owner)
{
	for (uint32_t slot = 0; slot < s->plan->head->seqs; slot++)
		if (s->owner[owner].slot[slot] >= 0 && prefilling(&s->seq[s->owner[owner].slot[slot]]))
			return true;
	return false;
}

/* Chooses one owner's pieces of one microbatch. Half of a chunk at least is for prompts, so that they end whatever
 * decodes. */
static void choose(struct schedule *s, struct pieces *p, int phase, int microbatch, int owner)
{
	int chunk = (int)s->plan->head->chunk[phase];
	take_pieces(s, p, phase, microbatch, owner, false, owner_prefilling(s, owner) ? chunk / 2 : chunk);
	if (phase == DR_PREFILL)
		take_pieces(s, p, phase, microbatch, owner, true, chunk);
}

static int32_t token_at(const struct sequence *q, int position)
{
	return position < q->n_prompt ? q->prompt[position] : q->out[position - q->n_prompt];
}

/* Writes an owner's pieces into the step's arrays, padding behind. */
static void write_pieces(struct schedule *s, const struct step *step, int microbatch, int owner, const struct pieces *p)
{
	int tokens, rows, at = 0, row = 0, page = (int)s->plan->head->page;
	int32_t *a[DR_INPUTS];
	for (int k = DR_INPUT_IDS; k <= DR_INPUT_SLOT; k++)
		a[k] = step_array(step, s->plan, microbatch, owner, (enum dr_input)k, &tokens);
	a[DR_INPUT_WANT] = step_array(step, s->plan, microbatch, owner, DR_INPUT_WANT, &rows);
	struct dr_sampling *sampling = step_sampling(step, s->plan, microbatch, owner);
	for (int i = 0; i < p->n; i++) {
		struct sequence *q = &s->seq[p->at[i].sequence];
		for (int k = 0, pos = p->at[i].from; k < p->at[i].n; k++, pos++, at++) {
			a[DR_INPUT_IDS][at] = token_at(q, pos);
			a[DR_INPUT_POS][at] = pos;
			a[DR_INPUT_SEQ][at] = q->slot;
			a[DR_INPUT_SLOT][at] = q->pages[pos / page] * page + pos % page;
		}
		if (p->at[i].wanted) {
			row_at(s, microbatch, owner)[row] = p->at[i].sequence;
			q->sampling.count = (uint32_t)q->n_out;
			sampling[row] = q->sampling;
			a[DR_INPUT_WANT][row++] = at - 1;
		}
	}
	for (; at < tokens; at++) {
		a[DR_INPUT_IDS][at] = a[DR_INPUT_POS][at] = 0;
		a[DR_INPUT_SEQ][at] = a[DR_INPUT_SLOT][at] = -1;
	}
	for (int i = row; i < s->max_rows; i++)
		row_at(s, microbatch, owner)[i] = -1;
	for (; row < rows; row++) {
		a[DR_INPUT_WANT][row] = -1;
		sampling[row] = (struct dr_sampling){.top_p = 1};
	}
}

static void write_pages(struct schedule *s, struct step *step, int owner)
{
	int n, width = (int)s->plan->head->pages_per_seq;
	int32_t *table = step_array(step, s->plan, 0, owner, DR_INPUT_PAGES, &n);
	memset(table, 0, (size_t)n * sizeof *table);
	for (int i = 0; i < s->n; i++)
		if (s->seq[i].owner == owner && s->seq[i].slot >= 0)
			memcpy(table + (size_t)s->seq[i].slot * (size_t)width, s->seq[i].pages,
			       (size_t)s->seq[i].n_pages * sizeof *table);
}

/* Adds a microbatch to the step; an empty one is left out. Idle owners get padding, and so does a microbatch without
 * rows: generated code never sees zero rows. */
static void add_microbatch(struct schedule *s, struct step *step, int number, struct pieces *owner)
{
	const struct dr_program *h = s->plan->head;
	int tokens = 0, rows = 1, m = step->head->microbatches;
	for (int i = 0; i < s->plan->n_owners; i++) {
		owner[i].n = owner[i].tokens = owner[i].rows = 0;
		choose(s, &owner[i], step->head->phase, number, i);
		tokens = owner[i].tokens > tokens ? owner[i].tokens : tokens;
		rows = owner[i].rows > rows ? owner[i].rows : rows;
	}
	if (tokens == 0)
		return;
	step->head->microbatches++;
	step->tokens[m] = round_up(tokens, h->token_multiple);
	step->rows[m] = round_up(rows, h->row_multiple);
	for (int i = 0; i < s->plan->n_owners; i++)
		write_pieces(s, step, m, i, &owner[i]);
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
	for (int i = 0; i < s->n; i++)
		for (int k = 0; s->seq[i].slot >= 0 && k < s->seq[i].n_pages; k++)
			last = s->seq[i].pages[k] > last ? s->seq[i].pages[k] : last;
	return last;
}

bool schedule_next(struct schedule *s, struct step *step)
{
	admit_waiting(s);
	if (s->pages_changed)
		s->pages_used = round_up(last_page(s) + 1, s->plan->head->page_multiple);
	*step->head = (struct step_head){
		.phase = any_prefilling(s) ? DR_PREFILL : DR_DECODE, .with_pages = s->pages_changed, .pages = s->pages_used};
	struct pieces *owner = pieces_open(s->plan);
	for (uint32_t m = 0; m < s->plan->head->microbatches; m++)
		add_microbatch(s, step, (int)m, owner);
	free(owner[0].at);
	free(owner);
	if (step->head->microbatches == 0)
		return false;
	for (int i = 0; s->pages_changed && i < s->plan->n_owners; i++)
		write_pages(s, step, i);
	s->pages_changed = false;
	return true;
}
