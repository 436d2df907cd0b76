/* Shows how far the ranks are with their weights. */
#include "progress.h"
#include <unistd.h>
#include "event.h"
#include "world.h"

static const int64_t PERIOD = 500000000;

void progress_open(struct progress *p) { *p = (struct progress){.begin = now_ns(), .terminal = isatty(STDERR_FILENO)}; }

/* A unit in which the larger number is short. */
static double in_unit(uint64_t bytes, uint64_t largest) { return (double)bytes / (largest < 1000000000 ? 1e6 : 1e9); }

void progress_text(char out[PROGRESS_BYTES], uint64_t done, uint64_t all, int64_t ns)
{
	const char *unit = all < 1000000000 ? "MB" : "GB";
	double speed = ns > 0 ? in_unit(done, all) * 1e9 / (double)ns : 0;
	snprintf(out, PROGRESS_BYTES, "loading weights: %.1f of %.1f %s, %.1f %s/s", in_unit(done, all), in_unit(all, all),
	         unit, speed, unit);
}

/* Bytes of weights that all ranks have, and shall have. false: none loads any more. */
static bool count(const struct job *job, uint64_t *done, uint64_t *all)
{
	bool loading = false;
	*done = *all = 0;
	for (uint32_t i = 0; i < job->plan->head->ranks; i++) {
		const struct rank_status *s = &job->world->board->rank[i];
		int activity = atomic_load(&s->activity);
		loading = loading || activity == ACTIVITY_START || activity == ACTIVITY_LOAD;
		*done += atomic_load(&s->loaded);
		for (int space = DR_SPACE_LAYER; space <= DR_SPACE_EVERY; space++)
			*all += job->plan->stages[plan_stage(job->plan, (int)i)].bytes[space];
	}
	return loading;
}

void progress_look(struct progress *p, const struct job *job)
{
	char text[PROGRESS_BYTES];
	uint64_t done, all;
	int64_t now = now_ns();
	if (!p->terminal || now - (p->shown ? p->shown : p->begin) < PERIOD)
		return;
	bool loading = count(job, &done, &all);
	progress_text(text, done, all, now - p->begin);
	if (loading)
		fprintf(stderr, "\r%s ", text);
	else if (p->shown) /* the line makes room for what follows */
		fprintf(stderr, "\r%*s\r", PROGRESS_BYTES, "");
	fflush(stderr);
	p->terminal = loading;
	p->shown = now;
}
