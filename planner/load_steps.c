/* Times of steps that a scheduler chose, kept by their loads, and interpolated where they are many. */
#include "load_steps.h"
#include <math.h>
#include <string.h>

static uint64_t mixed(uint64_t h, double x)
{
	uint64_t bits;
	memcpy(&bits, &x, sizeof bits);
	h = (h ^ bits) * 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static struct known_step *place_of(const struct load_steps *p, const struct step_load *l, int64_t microbatches)
{
	uint64_t h = mixed(mixed(mixed(mixed((uint64_t)l->program, l->tokens), l->sequences), l->context), l->rows);
	for (uint64_t i = mixed(h, (double)microbatches);; i++) {
		struct known_step *k = &p->known[i & (p->places - 1)];
		if (!k->microbatches
		    || (k->microbatches == microbatches && k->load.program == l->program && k->load.tokens == l->tokens
		        && k->load.sequences == l->sequences && k->load.context == l->context && k->load.rows == l->rows))
			return k;
	}
}

static void grow_known(struct load_steps *p)
{
	struct known_step *old = p->known;
	uint64_t n = p->places;
	p->places = n ? 2 * n : 1024;
	p->known = arena_array(p->arena, struct known_step, p->places);
	for (uint64_t i = 0; i < n; i++)
		if (old[i].microbatches)
			*place_of(p, &old[i].load, old[i].microbatches) = old[i];
}

/* A step in an arena of its own: thousands of them are evaluated. What it lacks is copied. */
struct step_time load_step(struct load_steps *p, const struct step_load *load, int64_t microbatches)
{
	struct arena scratch = {.heap = p->arena->heap};
	const char *lacked = p->timing.lacks;
	p->timing.arena = &scratch;
	struct step_time t = step_time_of(&p->timing, load, microbatches);
	if (p->timing.lacks && p->timing.lacks != lacked)
		p->timing.lacks = arena_printf(p->arena, "%s", p->timing.lacks);
	p->timing.arena = p->arena;
	t.stage = NULL, t.list = NULL, t.ops = NULL;
	arena_free(&scratch);
	return t;
}

double load_step_seconds(struct load_steps *p, const struct step_load *load, int64_t microbatches)
{
	if (2 * p->n_known >= p->places)
		grow_known(p);
	struct known_step *k = place_of(p, load, microbatches);
	if (!k->microbatches) {
		*k = (struct known_step){*load, microbatches, load_step(p, load, microbatches).seconds};
		p->n_known++;
	}
	return k->seconds;
}

/* Steps of growing sequences are many, and nearly linear in the context: between two of a series of contexts, each a
 * quarter longer than the one before, the time is interpolated. */
static double at_context(struct load_steps *p, struct step_load load, int64_t microbatches)
{
	double context = load.context, ratio = log(1.25), at = floor(log(context) / ratio);
	double low = exp(at * ratio), high = exp((at + 1) * ratio);
	load.context = low;
	double a = load_step_seconds(p, &load, microbatches);
	load.context = high;
	double b = load_step_seconds(p, &load, microbatches);
	return a + (b - a) * (context - low) / (high - low);
}

/* So are steps that read parts of long prompts, which are as many: likewise, and between two numbers of sequences. */
static double at_sequences(struct load_steps *p, struct step_load load, int64_t microbatches)
{
	double sequences = load.sequences, ratio = log(1.25), at = floor(log(sequences) / ratio);
	double low = exp(at * ratio), high = fmin(exp((at + 1) * ratio), load.tokens);
	load.sequences = low;
	double a = at_context(p, load, microbatches);
	if (!(high > low))
		return a;
	load.sequences = high;
	double b = at_context(p, load, microbatches);
	return a + (b - a) * (sequences - low) / (high - low);
}

/* What the owners bring to a microbatch: the most positions that any of them sees, and reads from its cache. */
static void add_microbatch(const struct load_steps *p, const struct chosen_microbatch *m, double *tokens, double *seen,
                           double *cached)
{
	double most_tokens = 0, most_seen = 0, most_cached = 0;
	for (int i = 0; i < p->owners; i++) {
		const struct pieces *all = &m->owner[i];
		double s = 0, c = 0;
		for (int k = 0; k < all->n; k++) {
			double from = all->at[k].from, n = all->at[k].n;
			c += from + n;
			s += n * (from + (n + 1) / 2);
		}
		most_tokens = fmax(most_tokens, all->tokens);
		most_seen = fmax(most_seen, s);
		most_cached = fmax(most_cached, c);
	}
	*tokens += most_tokens, *seen += most_seen, *cached += most_cached;
}

/* Pieces of different lengths stand for as many equal ones as see the same positions and read the same caches: n tokens
 * of s sequences that end at c see n (c - (n / s - 1) / 2), and read s c. */
double load_steps_seconds(void *context, const struct chosen_step *step)
{
	struct load_steps *p = context;
	double tokens = 0, seen = 0, cached = 0, rows = 0, n = step->microbatches, padded = 0;
	for (int m = 0; m < step->microbatches; m++) {
		add_microbatch(p, &step->microbatch[m], &tokens, &seen, &cached);
		padded += step->microbatch[m].tokens;
		rows += step->microbatch[m].rows;
	}
	tokens /= n, seen /= n, cached /= n, padded /= n, rows /= n;
	struct step_load load = {.program = step->phase, .rows = rows};
	if (step->phase == DR_DECODE) {
		load.tokens = load.sequences = padded;
		load.context = fmax(cached / padded, 1);
		return p->slower * at_context(p, load, step->microbatches);
	}
	double sequences = (cached - tokens / 2) / (seen / tokens - 0.5);
	load.tokens = tokens;
	load.sequences = fmin(fmax(sequences, 1), tokens);
	load.context = cached / load.sequences;
	return p->slower
	       * (p->parts ? at_sequences(p, load, step->microbatches) : load_step_seconds(p, &load, step->microbatches));
}

struct load_steps load_steps_of(const struct schedule *s, struct arena *arena)
{
	struct load_steps p = {.arena = arena, .timing = timing_of(s, arena), .slower = 1, .owners = 1};
	grow_known(&p);
	return p;
}
