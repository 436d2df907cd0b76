/* Orders of pipeline stages against a simulation that knows only the pieces of the model: what a piece needs was sent
 * by the piece before it, stages never wait for each other in a circle, slots hold one chunk at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "../../support/stage_order.h"

enum { MAX_STAGES = 6, MAX_MICROBATCHES = 12, MAX_CHUNKS = 3, MAX_UNITS = MAX_MICROBATCHES * MAX_CHUNKS };
enum { FORWARD_TIME = 1, BACKWARD_TIME = 2 };

typedef void pipeline_check(const struct pipeline *p);

/* Calls the check with each pipeline that fits. */
static void each_pipeline(pipeline_check *check)
{
	struct pipeline p;
	for (int order = 0; order < PIPELINE_ORDERS; order++)
		for (int training = 0; training < 2; training++)
			for (p.stages = 1; p.stages <= MAX_STAGES; p.stages++)
				for (p.microbatches = 1; p.microbatches <= MAX_MICROBATCHES; p.microbatches++)
					for (p.chunks = 1; p.chunks <= MAX_CHUNKS; p.chunks++) {
						p.order = (enum pipeline_order)order;
						p.backward = training;
						if (pipeline_fits(&p))
							check(&p);
					}
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- one stage ------------------------------------------------------------------------------- */
/* What the papers say about chunks of microbatches that have no backward yet. */
static int64_t slots_of_the_literature(const struct pipeline *p, int64_t s)
{
	switch (p->order) {
	case PIPELINE_FILL_DRAIN:  return p->microbatches;
	case PIPELINE_ONE_F_ONE_B: return least(p->stages - s, p->microbatches);
	case PIPELINE_INTERLEAVED:
		return least(p->microbatches * p->chunks, 2 * (p->stages - s - 1) + (p->chunks - 1) * p->stages + 1);
	default: fail();
	}
	return 0;
}

static void check_slots(const struct pipeline *p, int64_t s)
{
	bool ran[2][MAX_MICROBATCHES][MAX_CHUNKS] = {0}, full[MAX_UNITS] = {0};
	int64_t slot_of[MAX_MICROBATCHES][MAX_CHUNKS], in_flight = 0, most = 0;
	for (int64_t i = 0; i < stage_entries(p); i++) {
		struct stage_entry e = stage_entry(p, s, i);
		assert_in_range(e.microbatch, 0, p->microbatches - 1);
		assert_in_range(e.chunk, 0, p->chunks - 1);
		assert_in_range(e.slot, 0, stage_slots(p, s) - 1);
		assert_false(ran[e.program][e.microbatch][e.chunk]);
		ran[e.program][e.microbatch][e.chunk] = true;
		if (!p->backward)
			continue;
		if (e.program == STAGE_FORWARD) {
			slot_of[e.microbatch][e.chunk] = e.slot;
			most = ++in_flight > most ? in_flight : most;
		} else {
			assert_true(ran[STAGE_FORWARD][e.microbatch][e.chunk]);
			assert_int_equal(e.slot, slot_of[e.microbatch][e.chunk]);
			in_flight--;
		}
		assert_int_equal(full[e.slot], e.program == STAGE_BACKWARD);
		full[e.slot] = e.program == STAGE_FORWARD;
	}
	for (int64_t m = 0; m < p->microbatches; m++)
		for (int64_t c = 0; c < p->chunks; c++) {
			assert_true(ran[STAGE_FORWARD][m][c]);
			assert_int_equal(ran[STAGE_BACKWARD][m][c], p->backward);
		}
	assert_int_equal(most, p->backward ? slots_of_the_literature(p, s) : 0);
	assert_int_equal(stage_slots(p, s), p->backward ? most : 1);
}

static void check_stages(const struct pipeline *p)
{
	for (int64_t s = 0; s < p->stages; s++)
		check_slots(p, s);
}

static void slots(void **state)
{
	(void)state;
	each_pipeline(check_stages);
}

/* ---- all stages ------------------------------------------------------------------------------ */
/* What passes between two pieces of the model. */
struct message {
	enum stage_program program;
	int64_t to_piece, microbatch;
};
struct channel {
	struct message at[4 * MAX_UNITS];
	int taken, sent;
};
struct play {
	const struct pipeline *p;
	struct channel channel[MAX_STAGES][MAX_STAGES][2]; /* by sender, receiver, direction */
	int64_t next[MAX_STAGES];                          /* entry of the stage */
	bool sending[MAX_STAGES];                          /* the entry ran; its message may lack room */
	int room;
	bool one_channel; /* for both directions */
};

static int64_t piece_of(const struct pipeline *p, int64_t s, const struct stage_entry *e)
{
	return e->chunk * p->stages + s;
}

/* The piece that needs the result, or that gives what is needed (step -1); -1: none. */
static int64_t neighbour(const struct pipeline *p, int64_t piece, const struct stage_entry *e, int step)
{
	int64_t other = piece + (e->program == STAGE_FORWARD ? step : -step);
	return other < p->stages * p->chunks ? other : -1;
}

static struct channel *channel(struct play *y, int64_t from, int64_t to, enum stage_program direction)
{
	return &y->channel[from % y->p->stages][to % y->p->stages][y->one_channel ? 0 : direction];
}

/* Runs what the stage can: false, if it waits. */
static bool advance(struct play *y, int64_t s)
{
	const struct pipeline *p = y->p;
	if (y->next[s] == stage_entries(p))
		return false;
	struct stage_entry e = stage_entry(p, s, y->next[s]);
	int64_t piece = piece_of(p, s, &e), from = neighbour(p, piece, &e, -1), to = neighbour(p, piece, &e, 1);
	if (!y->sending[s]) {
		struct channel *c = from < 0 ? NULL : channel(y, from, piece, e.program);
		if (c && c->taken == c->sent)
			return false;
		if (c) {
			struct message m = c->at[c->taken++];
			assert_int_equal(m.program, e.program);
			assert_int_equal(m.to_piece, piece);
			assert_int_equal(m.microbatch, e.microbatch);
		}
		if (to >= 0) {
			c = channel(y, piece, to, e.program);
			c->at[c->sent++] = (struct message){e.program, to, e.microbatch};
		}
		y->sending[s] = true;
		return true;
	}
	struct channel *c = to < 0 ? NULL : channel(y, piece, to, e.program);
	if (c && c->sent - c->taken > y->room)
		return false;
	y->sending[s] = false;
	y->next[s]++;
	return true;
}

/* Does every stage come to its end, with so many messages under way in a channel? */
static bool ends(const struct pipeline *p, int room, bool one_channel)
{
	static struct play y;
	memset(&y, 0, sizeof y);
	y.p = p;
	y.room = room;
	y.one_channel = one_channel;
	for (bool any = true; any;) {
		any = false;
		for (int64_t s = 0; s < p->stages; s++)
			any |= advance(&y, s);
	}
	for (int64_t s = 0; s < p->stages; s++)
		if (y.next[s] < stage_entries(p))
			return false;
	return true;
}

static void check_ends(const struct pipeline *p)
{
	assert_true(ends(p, 1, false));
	assert_true(ends(p, 2, true));
	if (!p->backward && p->chunks == 1)
		assert_true(ends(p, 0, true)); /* a send may even wait for its receiver */
}

static void messages_come_in_order(void **state)
{
	(void)state;
	each_pipeline(check_ends);
	/* The simulation sees a circle: here each of two stages sends to the other. */
	assert_false(ends(&(struct pipeline){PIPELINE_ONE_F_ONE_B, 2, 4, 1, true}, 0, false));
}

/* ---- time ------------------------------------------------------------------------------------ */
/* When each piece is done with a microbatch; 0: not yet. */
static int64_t done[2][MAX_STAGES * MAX_CHUNKS][MAX_MICROBATCHES];

/* Runs the next entry of the stage, if what it needs is there. */
static bool run(const struct pipeline *p, int64_t s, int64_t *next, int64_t *now, int *work)
{
	if (*next == stage_entries(p))
		return false;
	struct stage_entry e = stage_entry(p, s, *next);
	int64_t piece = piece_of(p, s, &e), from = neighbour(p, piece, &e, -1);
	int64_t ready = from < 0 ? *now : done[e.program][from][e.microbatch];
	if (from >= 0 && !ready)
		return false;
	int64_t begin = ready > *now ? ready : *now, time = e.program == STAGE_FORWARD ? FORWARD_TIME : BACKWARD_TIME;
	*now = done[e.program][piece][e.microbatch] = begin + time;
	for (int64_t t = begin; t < *now; t++)
		work[t]++;
	++*next;
	return true;
}

/* Stages that wait as little as the literature says: (stages - 1) turns of one chunk. */
static void check_time(const struct pipeline *p)
{
	int work[4 * (FORWARD_TIME + BACKWARD_TIME) * MAX_UNITS] = {0}, most = 0;
	int64_t next[MAX_STAGES] = {0}, now[MAX_STAGES] = {0}, end = 0;
	int64_t turn = FORWARD_TIME + (p->backward ? BACKWARD_TIME : 0);
	memset(done, 0, sizeof done);
	for (bool any = true; any;) {
		any = false;
		for (int64_t s = 0; s < p->stages; s++)
			any |= run(p, s, &next[s], &now[s], work);
	}
	for (int64_t s = 0; s < p->stages; s++)
		end = now[s] > end ? now[s] : end;
	for (int64_t t = 0; t < end; t++)
		most = work[t] > most ? work[t] : most;
	assert_int_equal(end, turn * (p->microbatches * p->chunks + p->stages - 1));
	assert_int_equal(pipeline_busy(p), most);
}

static void stages_wait_as_little_as_they_can(void **state)
{
	(void)state;
	each_pipeline(check_time);
}

/* ---- by hand --------------------------------------------------------------------------------- */
static void assert_order(const struct pipeline *p, int64_t stage, const char *expected)
{
	char text[1024], *at = text;
	for (int64_t i = 0; i < stage_entries(p); i++) {
		struct stage_entry e = stage_entry(p, stage, i);
		at += snprintf(at, (size_t)(text + sizeof text - at), "%s%c%lld%c/%lld", i ? " " : "",
		               e.program == STAGE_FORWARD ? 'F' : 'B', (long long)e.microbatch, (char)('a' + e.chunk),
		               (long long)e.slot);
	}
	assert_string_equal(text, expected);
}

static void orders_by_hand(void **state)
{
	(void)state;
	assert_order(&(struct pipeline){PIPELINE_FILL_DRAIN, 2, 3, 1, false}, 1, "F0a/0 F1a/0 F2a/0");
	assert_order(&(struct pipeline){PIPELINE_FILL_DRAIN, 2, 3, 1, true}, 0, "F0a/0 F1a/1 F2a/2 B0a/0 B1a/1 B2a/2");
	struct pipeline early = {PIPELINE_ONE_F_ONE_B, 3, 4, 1, true};
	assert_order(&early, 0, "F0a/0 F1a/1 F2a/2 B0a/0 F3a/0 B1a/1 B2a/2 B3a/0");
	assert_order(&early, 2, "F0a/0 B0a/0 F1a/0 B1a/0 F2a/0 B2a/0 F3a/0 B3a/0");
	struct pipeline interleaved = {PIPELINE_INTERLEAVED, 2, 4, 2, true};
	assert_order(&interleaved, 0,
	             "F0a/0 F1a/1 F0b/2 F1b/3 F2a/4 B0b/2 F3a/2 B1b/3 F2b/3 B0a/0 F3b/0 B1a/1 B2b/3 B3b/0 B2a/4 B3a/2");
	assert_order(&interleaved, 1,
	             "F0a/0 F1a/1 F0b/2 B0b/2 F1b/2 B1b/2 F2a/2 B0a/0 F3a/0 B1a/1 F2b/1 B2b/1 F3b/1 B3b/1 B2a/2 B3a/0");
	interleaved.backward = false;
	assert_order(&interleaved, 1, "F0a/0 F1a/0 F0b/0 F1b/0 F2a/0 F3a/0 F2b/0 F3b/0");
}

static void what_fits(void **state)
{
	(void)state;
	assert_true(pipeline_fits(&(struct pipeline){PIPELINE_INTERLEAVED, 3, 6, 2, true}));
	assert_false(pipeline_fits(&(struct pipeline){PIPELINE_INTERLEAVED, 3, 4, 2, true}));
	assert_false(pipeline_fits(&(struct pipeline){PIPELINE_ONE_F_ONE_B, 3, 6, 2, true}));
	assert_true(pipeline_fits(&(struct pipeline){PIPELINE_FILL_DRAIN, 3, 4, 1, true}));
	assert_string_equal(pipeline_order_name(PIPELINE_ONE_F_ONE_B), "one_f_one_b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_by_hand),
		cmocka_unit_test(what_fits),
		cmocka_unit_test(slots),
		cmocka_unit_test(messages_come_in_order),
		cmocka_unit_test(stages_wait_as_little_as_they_can),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
