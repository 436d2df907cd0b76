/* Plays the orders of all stages until each has ended. After some microbatches the stages repeat themselves: in every
 * further period each end is later by the same time. Then a step of many microbatches is one of few, with periods
 * added.
 *
 * Why two equal periods are enough: let a period be at least as many pairs as there are stages. What a pair of the
 * steady part waits for is at most that many pairs before it, on its own or on another stage. When all ends of one
 * period are later by the same time than those of the period before, so are, one after the other, all ends after it;
 * and the entries after the steady part wait for the same pairs, counted from its end, whatever its length. */
#include "pipeline.h"
#include <math.h>

struct play {
	struct pipeline p;
	const struct pipeline_pieces *pieces;
	struct run {
		int64_t microbatch, chunk_begin; /* piece of stage 0 */
	} *order[2];                         /* by program: its runs, the same on every stage */
	double *done[2]; /* by program: [microbatch * pieces + piece], when the result is sent; below 0: not yet */
	double *end;     /* [stage * entries + entry], when the stage is ready for the next one */
	struct pipeline_event *events; /* [stage * entries + entry], or NULL */
	int64_t runs, entries;
	struct stage {
		int64_t warm_up, ran[2]; /* forwards before the first backward; runs of each program so far */
		double now;
	} *stage;
};

static double max(double x, double y) { return x > y ? x : y; }

static int64_t pieces_of(const struct pipeline *p) { return p->stages * p->chunks; }

static double seconds_of(const struct play *y, enum stage_program program, int64_t piece)
{
	return program == STAGE_FORWARD ? y->pieces->forward[piece] : y->pieces->backward[piece];
}

/* The piece that gives what the program of this piece needs; -1: none does. */
static int64_t before(const struct play *y, enum stage_program program, int64_t piece)
{
	if (program == STAGE_FORWARD)
		return piece - 1;
	return piece + 1 < pieces_of(&y->p) ? piece + 1 : -1;
}

/* Seconds between two neighbouring pieces, the earlier of which is given. */
static double transfer(const struct play *y, int64_t piece)
{
	return y->pieces->transfer && y->p.stages > 1 ? y->pieces->transfer[piece % y->p.stages] : 0;
}

/* Seconds until the result of the piece is where it is needed. */
static double sending(const struct play *y, enum stage_program program, int64_t piece)
{
	if (program == STAGE_BACKWARD)
		return piece > 0 ? transfer(y, piece - 1) : 0;
	return piece + 1 < pieces_of(&y->p) ? transfer(y, piece) : 0;
}

/* s of the parts for params that stage s runs after the backward of a microbatch; after the last, all that are left. */
static double params_seconds(const struct play *y, int64_t s, int64_t microbatch)
{
	if (!y->pieces->params)
		return 0;
	double one = y->pieces->params[s];
	bool last = microbatch == y->p.microbatches - 1;
	int64_t left = s < y->p.microbatches ? s : y->p.microbatches;
	return (microbatch >= s ? one : 0) + (last ? one * (double)left : 0);
}

/* What the stage runs next: forwards to warm up, then a forward and a backward in turns, then backwards. */
static enum stage_program next_program(const struct play *y, const struct stage *g)
{
	bool forward = g->ran[STAGE_FORWARD] - g->warm_up <= g->ran[STAGE_BACKWARD] && g->ran[STAGE_FORWARD] < y->runs;
	return forward ? STAGE_FORWARD : STAGE_BACKWARD;
}

/* Runs the stage's next entry, if what it needs is there. */
static bool advance(struct play *y, int64_t s)
{
	struct stage *g = &y->stage[s];
	int64_t entry = g->ran[STAGE_FORWARD] + g->ran[STAGE_BACKWARD];
	if (entry == y->entries)
		return false;
	enum stage_program program = next_program(y, g);
	struct run *run = &y->order[program][g->ran[program]];
	int64_t piece = run->chunk_begin + s, from = before(y, program, piece);
	double *done = y->done[program] + run->microbatch * pieces_of(&y->p), ready = from < 0 ? 0 : done[from];
	/* The last piece's backward needs its own forward, which ran before it. */
	if (ready < 0)
		return false;
	double start = max(g->now, ready), sent = sending(y, program, piece), end = start + seconds_of(y, program, piece);
	done[piece] = end + sent;
	g->now = end + (y->pieces->overlapped ? 0 : sent);
	if (program == STAGE_BACKWARD)
		g->now += params_seconds(y, s, run->microbatch);
	y->end[s * y->entries + entry] = g->now;
	if (y->events)
		y->events[s * y->entries + entry] =
			(struct pipeline_event){program, run->microbatch, piece, start, end, end + sent, g->now};
	g->ran[program]++;
	return true;
}

/* Returns the end of the last stage. */
static double play(struct play *y)
{
	/* Results flow down the stages, and gradients up. */
	for (bool any = true; any;) {
		any = false;
		for (int64_t s = 0; s < y->p.stages; s++)
			while (advance(y, s))
				any = true;
		for (int64_t s = y->p.stages - 1; s >= 0; s--)
			while (advance(y, s))
				any = true;
	}
	double end = 0;
	for (int64_t s = 0; s < y->p.stages; s++)
		end = max(end, y->stage[s].now);
	return end;
}

static struct play play_of(struct arena *scratch, const struct pipeline *p, const struct pipeline_pieces *pieces,
                           int64_t microbatches)
{
	struct play y = {.p = *p, .pieces = pieces};
	y.p.microbatches = microbatches;
	y.runs = pipeline_runs(&y.p);
	y.entries = stage_entries(&y.p);
	int64_t results = pieces_of(p) * microbatches;
	for (int program = 0; program <= p->backward; program++) {
		y.order[program] = arena_array(scratch, struct run, y.runs);
		for (int64_t k = 0; k < y.runs; k++) {
			struct stage_entry e = pipeline_run(&y.p, (enum stage_program)program, k);
			y.order[program][k] = (struct run){e.microbatch, e.chunk * p->stages};
		}
		y.done[program] = arena_array(scratch, double, results);
		for (int64_t i = 0; i < results; i++)
			y.done[program][i] = -1;
	}
	y.end = arena_array(scratch, double, p->stages *y.entries);
	y.stage = arena_array(scratch, struct stage, p->stages);
	for (int64_t s = 0; s < p->stages; s++)
		y.stage[s].warm_up = stage_warm_up(&y.p, s);
	return y;
}

/* ---- what repeats ---------------------------------------------------------------------------- */
/* Microbatches after which an order goes on in the same way. */
static int64_t round_of(const struct pipeline *p) { return p->chunks > 1 ? p->stages : 1; }

/* Entries of each stage after its warm-up in which every stage still has pairs; of forwards alone, all. */
static int64_t steady_entries(const struct play *y)
{
	return y->p.backward ? y->entries - 2 * stage_warm_up(&y->p, 0) : y->entries;
}

/* Are the last `n` steady entries of every stage later than the n before by the same time? Then that is *period. */
static bool repeats(const struct play *y, int64_t n, double *period)
{
	int64_t steady = steady_entries(y);
	double tolerance = 1e-12 * y->stage[0].now; /* of sums that were rounded */
	if (steady < 2 * n)
		return false;
	for (int64_t s = 0; s < y->p.stages; s++) {
		const double *at = y->end + s * y->entries + (y->p.backward ? stage_warm_up(&y->p, s) : 0);
		if (s == 0)
			*period = at[steady - 1] - at[steady - 1 - n];
		for (int64_t i = steady - n; i < steady; i++)
			if (fabs(at[i] - at[i - n] - *period) > tolerance)
				return false;
	}
	return true;
}

/* Microbatches of the shortest period, at most as many rounds as there are stages; 0: none yet. */
static int64_t period_of(const struct play *y, double *seconds)
{
	int64_t round = round_of(&y->p), entries = round * y->p.chunks * (y->p.backward ? 2 : 1);
	for (int64_t rounds = 1; rounds <= y->p.stages; rounds++)
		if (repeats(y, rounds * entries, seconds))
			return rounds * round;
	return 0;
}

/* Microbatches through one chunk of each stage: the first passes all stages, and the slowest one delays all others. */
static double queue_time(const struct play *y, enum stage_program program)
{
	double first = 0, slowest = 0;
	for (int64_t s = 0; s < y->p.stages; s++) {
		double one = seconds_of(y, program, s), sent = sending(y, program, s);
		first += one + sent;
		slowest = max(slowest, one + (y->pieces->overlapped ? 0 : sent));
	}
	return first + slowest * (double)(y->p.microbatches - 1);
}

static double steady_time(struct arena *scratch, const struct pipeline *p, const struct pipeline_pieces *pieces)
{
	if (p->chunks == 1 && (p->order == PIPELINE_FILL_DRAIN || !p->backward)) {
		/* The last stage is the last one to end its forwards, so backwards wait for nothing else. */
		struct play y = {.p = *p, .pieces = pieces};
		return queue_time(&y, STAGE_FORWARD) + (p->backward ? queue_time(&y, STAGE_BACKWARD) : 0);
	}
	/* In fewer, two of the shortest periods do not fit between warm-up and end. */
	for (int64_t few = (p->chunks > 1 ? 4 : 3) * p->stages; few < p->microbatches; few *= 2) {
		struct play y = play_of(scratch, p, pieces, few);
		double end = play(&y), seconds = 0;
		int64_t period = period_of(&y, &seconds);
		if (!period)
			continue;
		int64_t periods = (p->microbatches - few) / period, rest = (p->microbatches - few) % period;
		if (rest) {
			y = play_of(scratch, p, pieces, few + rest);
			end = play(&y);
		}
		return end + (double)periods * seconds;
	}
	struct play y = play_of(scratch, p, pieces, p->microbatches);
	return play(&y);
}

/* ---- results --------------------------------------------------------------------------------- */
static double stage_busy(const struct pipeline *p, const struct pipeline_pieces *pieces, int64_t s)
{
	struct play y = {.p = *p, .pieces = pieces};
	double sum = pieces->params ? pieces->params[s] : 0;
	for (int64_t piece = s; piece < pieces_of(p); piece += p->stages)
		for (int program = 0; program <= p->backward; program++)
			sum += seconds_of(&y, (enum stage_program)program, piece)
			       + (pieces->overlapped ? 0 : sending(&y, (enum stage_program)program, piece));
	return sum * (double)p->microbatches;
}

static struct pipeline_time result(const struct pipeline *p, const struct pipeline_pieces *pieces, double seconds,
                                   double *busy)
{
	double work = 0;
	for (int64_t s = 0; s < p->stages; s++) {
		double of_stage = stage_busy(p, pieces, s);
		work += of_stage;
		if (busy)
			busy[s] = of_stage;
	}
	return (struct pipeline_time){seconds, max(0, 1 - work / (seconds * (double)p->stages))};
}

struct pipeline_event *pipeline_events(struct arena *arena, const struct pipeline *p,
                                       const struct pipeline_pieces *pieces)
{
	struct play y = play_of(arena, p, pieces, p->microbatches);
	y.events = arena_array(arena, struct pipeline_event, p->stages * y.entries);
	play(&y);
	return y.events;
}

struct pipeline_time pipeline_time(struct arena *scratch, const struct pipeline *p,
                                   const struct pipeline_pieces *pieces, double *busy)
{
	return result(p, pieces, steady_time(scratch, p, pieces), busy);
}

struct pipeline_time pipeline_time_in_full(struct arena *scratch, const struct pipeline *p,
                                           const struct pipeline_pieces *pieces, double *busy)
{
	struct play y = play_of(scratch, p, pieces, p->microbatches);
	return result(p, pieces, play(&y), busy);
}

/* Let stage i work m M_i of T. Without backwards all stages end after another, so T >= sum M + (m - 1) max M, and the
 * stages' share of it is greatest if all are equal. With them, a stage waits for the forwards of the stages before it,
 * and they for their backwards after it: T >= M_0 + .. + M_(i-1) + m M_i. The sum of M_i is at most what it is if all
 * of these are equalities: T (1 - (1 - 1 / m)^p). */
double pipeline_least_bubble(const struct pipeline *p)
{
	double stages = (double)p->stages, m = (double)p->microbatches;
	if (p->chunks > 1 || p->stages == 1)
		return 0;
	return p->backward ? 1 + m / stages * expm1(stages * log1p(-1 / m)) : (stages - 1) / (m + stages - 1);
}
