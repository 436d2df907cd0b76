/* The engine: turns requests into sequences, runs steps, passes on tokens. scheduler.c decides what a step computes. */
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include "engine.h"
#include "report.h"
#include "schedule.h"

/* An id is the number of the submission, with the index of its entry in the low bits. Only entries are reused. */
enum { PLACE_BITS = 24 };
static const uint64_t MAX_PLACES = 1 << PLACE_BITS;

/* A sequence and the engine's data about it. */
struct entry {
	struct sequence sequence; /* first: schedule.c returns pointers to it */
	uint64_t id;              /* 0: the entry is free */
	void *user;
	int32_t *stop;
	int n_stop;
	uint32_t place;
	struct entry *next_free;
};

struct engine {
	const struct plan *plan;
	struct stepper stepper;
	token_fn *on_token;
	void *context;
	struct schedule *schedule;
	struct entry **entry; /* [entries]; their addresses stay when the array grows */
	struct entry *first_free;
	uint32_t entries, cap, live; /* live: not free */
	uint64_t submitted;
	bool under_way;         /* a step was run, and its results are still to come */
	struct step_done begun; /* that step */
};

struct engine *engine_open(const struct plan *plan, const struct stepper *stepper, token_fn *on_token, void *context)
{
	struct engine *e = host_alloc(1, sizeof *e);
	*e = (struct engine){.plan = plan, .stepper = *stepper, .on_token = on_token, .context = context};
	e->schedule = schedule_open(plan, stepper->few_sizes);
	return e;
}

/* Its row in the step under way, if any, is one too many. */
static void empty_entry(struct engine *e, struct entry *x)
{
	e->begun.tokens -= e->under_way && schedule_has_row(e->schedule, &x->sequence);
	schedule_remove(e->schedule, &x->sequence);
	free(x->sequence.ids);
	adjust_close(x->sequence.adjust);
	free(x->stop);
	x->id = 0;
	x->next_free = e->first_free;
	e->first_free = x;
	e->live--;
}

void engine_close(struct engine *e)
{
	if (e->under_way)
		e->stepper.collect(e->stepper.context);
	for (uint32_t i = 0; i < e->entries; i++) {
		if (e->entry[i]->id)
			empty_entry(e, e->entry[i]);
		free(e->entry[i]);
	}
	free(e->entry);
	schedule_close(e->schedule);
	free(e);
}

/* ---- requests -------------------------------------------------------------------------------- */
static bool is_sampling(const struct dr_sampling *s)
{
	return s->temperature >= 0 && s->temperature <= FLT_MAX && s->top_p >= 0 && s->top_p <= 1 && s->top_k >= 0
	       && s->top_k <= DR_CANDIDATES && s->min_p >= 0 && s->min_p <= 1;
}

static bool refused_as_a_whole(const struct plan *plan, const struct request *r, char why[REASON_BYTES])
{
	int room = schedule_room(plan);
	long long changed = (long long)penalties_most(&r->penalties, r->n_ids, r->max_tokens, plan->head->vocab);
	if (!is_sampling(&r->sampling)) {
		snprintf(why, REASON_BYTES, "cannot sample with temperature %g, top-k %d, top-p %g and min-p %g",
		         (double)r->sampling.temperature, r->sampling.top_k, (double)r->sampling.top_p,
		         (double)r->sampling.min_p);
		return true;
	}
	if (r->sampling.logprobs && !plan->head->logprobs) {
		snprintf(why, REASON_BYTES, "the plan moves tokens after they are sampled, so log-probabilities are not known");
		return true;
	}
	if (!penalties_in_range(&r->penalties)) {
		snprintf(
			why, REASON_BYTES,
			"cannot sample with a repetition penalty of %g, presence penalty of %g, frequency penalty of %g and %d "
			"biases: one of them is out of range",
			(double)r->penalties.repetition, (double)r->penalties.presence, (double)r->penalties.frequency,
			r->penalties.n_bias);
		return true;
	}
	if (r->n_ids < 1 || r->max_tokens < 1) {
		snprintf(why, REASON_BYTES, "%d ids and %d more: there must be at least one of each", r->n_ids, r->max_tokens);
		return true;
	}
	long long positions = (long long)scheduler_positions(r->n_ids, r->max_tokens);
	if (positions <= room && changed > plan->head->adjusts) {
		snprintf(why, REASON_BYTES, "penalties and biases may change %lld logits; a step of the plan has room for %u",
		         changed, plan->head->adjusts);
		return true;
	}
	if (positions <= room)
		return false;
	snprintf(why, REASON_BYTES,
	         "%d ids and %d more take %lld positions (the last is not read back); the plan's cache has %d for a "
	         "sequence",
	         r->n_ids, r->max_tokens, positions, room);
	return true;
}

static bool in_vocabulary(const struct plan *plan, int32_t id) { return id >= 0 && (uint32_t)id < plan->head->vocab; }

/* *from counts the prompt's ids, then the stop ids, then the tokens with a bias. */
bool request_refused(const struct plan *plan, const struct request *r, int *from, char why[REASON_BYTES])
{
	int stops = r->n_ids + r->n_stop, ids = stops + r->penalties.n_bias;
	while (*from < ids) {
		int i = (*from)++;
		int32_t id = i < r->n_ids ? r->ids[i] : i < stops ? r->stop[i - r->n_ids] : r->penalties.bias[i - stops].token;
		if (!in_vocabulary(plan, id)) {
			snprintf(why, REASON_BYTES, "%sid %d is not in the vocabulary of %u",
			         i < r->n_ids ? ""
			         : i < stops  ? "stop "
			                      : "biased ",
			         id, plan->head->vocab);
			return true;
		}
	}
	return (*from)++ == ids && refused_as_a_whole(plan, r, why);
}

/* ---- sequences ------------------------------------------------------------------------------- */
static struct entry *new_entry(struct engine *e)
{
	if (e->entries == e->cap) {
		e->cap = e->cap ? 2 * e->cap : 16;
		e->entry = host_grow(e->entry, e->cap, sizeof(struct entry *));
	}
	struct entry *x = host_alloc(1, sizeof *x);
	x->place = e->entries;
	e->entry[e->entries++] = x;
	return x;
}

static struct entry *take_entry(struct engine *e)
{
	struct entry *x = e->first_free;
	if (!x)
		return new_entry(e);
	e->first_free = x->next_free;
	return x;
}

/* NULL: no sequence has this id, or it has ended. */
static struct entry *find_entry(const struct engine *e, uint64_t id)
{
	uint64_t place = id % MAX_PLACES;
	return id && place < e->entries && e->entry[place]->id == id ? e->entry[place] : NULL;
}

static int32_t *copy_ids(const int32_t *ids, int n, int room)
{
	int32_t *copy = host_alloc((size_t)n + (size_t)room, sizeof *copy);
	for (int i = 0; i < n; i++)
		copy[i] = ids[i];
	return copy;
}

uint64_t engine_submit(struct engine *e, const struct request *r, char why[REASON_BYTES])
{
	int from = 0;
	if (request_refused(e->plan, r, &from, why))
		return 0;
	if (e->live == MAX_PLACES) {
		snprintf(why, REASON_BYTES, "%u sequences wait or run already", e->live);
		return 0;
	}
	struct entry *x = take_entry(e);
	*x = (struct entry){.id = ++e->submitted << PLACE_BITS | x->place, .user = r->user, .place = x->place};
	x->sequence = (struct sequence){.n_prompt = r->n_ids, .max_tokens = r->max_tokens, .sampling = r->sampling};
	x->sequence.ids = copy_ids(r->ids, r->n_ids, r->max_tokens);
	x->sequence.adjust = adjust_open(&r->penalties, r->ids, r->n_ids);
	x->stop = copy_ids(r->stop, r->n_stop, 0);
	x->n_stop = r->n_stop;
	e->live++;
	schedule_add(e->schedule, &x->sequence);
	return x->id;
}

bool engine_stop(struct engine *e, uint64_t id)
{
	struct entry *x = find_entry(e, id);
	if (x)
		empty_entry(e, x);
	return x != NULL;
}

bool engine_idle(const struct engine *e) { return e->live == 0; }

void engine_pages(const struct engine *e, int owner, int *free_pages, int *held)
{
	*free_pages = schedule_free_pages(e->schedule, owner);
	*held = schedule_held_pages(e->schedule, owner);
}

int64_t engine_interrupted(const struct engine *e) { return schedule_interrupted(e->schedule); }

/* ---- steps ----------------------------------------------------------------------------------- */
static enum finish finish_of(const struct engine *e, const struct entry *x, int32_t token)
{
	if (!in_vocabulary(e->plan, token))
		return FINISH_FAILED;
	for (int i = 0; i < x->n_stop; i++)
		if (x->stop[i] == token)
			return FINISH_STOP;
	return x->sequence.n_out == x->sequence.max_tokens ? FINISH_LENGTH : FINISH_NONE;
}

/* Adds a token to its sequence. After the last one, removes the sequence, before the callback runs. */
static void hand_over(struct engine *e, struct entry *x, int32_t token, const float *logits,
                      const struct dr_logprobs *logprobs)
{
	struct engine_token t = {.id = x->id,
	                         .user = x->user,
	                         .index = x->sequence.n_out,
	                         .token = token,
	                         .logits = logits,
	                         .logprobs = x->sequence.sampling.logprobs ? logprobs : NULL};
	schedule_token(&x->sequence, token);
	t.finish = finish_of(e, x, token);
	if (t.finish)
		empty_entry(e, x);
	e->on_token(e->context, &t);
}

typedef struct sequence *row_fn(const struct schedule *s, int microbatch, int owner, int row);

/* Looks up rows one by one: a callback may end the sequence of a later row. */
static void hand_over_rows(struct engine *e, row_fn *sequence_of)
{
	const struct results *out = e->stepper.results;
	int owners = e->plan->n_owners, n = e->stepper.step->head->microbatches * owners * out->max_rows;
	for (int i = 0; i < n; i++) {
		int row = i % out->max_rows, owner = i / out->max_rows % owners, m = i / out->max_rows / owners;
		struct sequence *q = sequence_of(e->schedule, m, owner, row);
		if (q)
			hand_over(e, (struct entry *)q, out->tokens[i],
			          out->logits ? out->logits + (size_t)i * e->plan->head->vocab : NULL,
			          out->logprobs ? out->logprobs + i : NULL);
	}
}

/* Runs the step that was planned. */
static struct step_done run(struct engine *e, int tokens)
{
	struct step_done begun = {e->stepper.step->head->phase, tokens};
	e->stepper.step->head->later = e->stepper.ahead != NULL;
	e->stepper.run(e->stepper.context);
	return begun;
}

/* Runs the first step of all, or the one after a step that nothing could overlap. */
static bool begin(struct engine *e)
{
	int tokens = schedule_next(e->schedule, e->stepper.step);
	if (tokens == 0)
		return false;
	e->begun = run(e, tokens);
	e->under_way = true;
	return true;
}

/* Runs the next step, if it can be planned without the tokens of the one under way. The sequences whose tokens come
 * then may have rows in it. */
static bool overlap(struct engine *e, struct step_done *done)
{
	unsigned phases = e->stepper.ahead(e->stepper.context);
	int tokens = phases ? schedule_ahead(e->schedule, e->stepper.step, phases) : SCHEDULE_WAITS;
	if (tokens <= 0)
		return false;
	*done = e->begun;
	e->begun = run(e, tokens);
	hand_over_rows(e, schedule_row_before);
	return true;
}

bool engine_step(struct engine *e, struct step_done *done)
{
	if (!e->under_way && !begin(e))
		return false;
	if (e->stepper.ahead && overlap(e, done))
		return true;
	if (e->stepper.ahead)
		e->stepper.collect(e->stepper.context);
	*done = e->begun;
	e->under_way = false;
	hand_over_rows(e, schedule_row);
	return true;
}
