/* `bench --calibrate`: runs steps of many sizes, in which each launch and collective of rank 0 is measured. */
#include "calibrate.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "files.h"
#include "pass.h"

/* ---- steps ----------------------------------------------------------------------------------- */
enum { REPEATS = 5, OUTPUTS = 4 };

static void run_pass(struct rank *r, int prompts, int length)
{
	const struct options *o = r->job->options;
	struct prompt *some = host_alloc((size_t)prompts, sizeof *some);
	for (int i = 0; i < prompts; i++) {
		some[i] = o->prompts[i];
		some[i].n = length;
		some[i].max_tokens = o->output < OUTPUTS ? o->output : OUTPUTS;
	}
	struct pass p = {.rank = r, .prompts = some, .n = prompts};
	pass_run(&p);
	pass_close(&p);
	free(some);
}

/* Numbers of prompts and lengths by factors of 4, and the greatest of each. */
static int next_size(int n, int most) { return n < most && 4 * n > most ? most : 4 * n; }

/* Several prompts that do not fit in a step are cut into steps of sizes that others have. */
static void run_grid(struct rank *r)
{
	const struct options *o = r->job->options;
	int64_t most = (int64_t)r->job->plan->programs[DR_PREFILL].max_tokens * r->job->plan->n_owners;
	for (int prompts = 1; prompts <= o->n_prompts; prompts = next_size(prompts, o->n_prompts))
		for (int length = 1; length <= o->prompt; length = next_size(length, o->prompt))
			for (int i = 0; i < REPEATS && (prompts == 1 || (int64_t)prompts * length <= most); i++)
				run_pass(r, prompts, length);
}

/* ---- the file -------------------------------------------------------------------------------- */
static _Noreturn void fail_to_write(struct rank *r, const char *path)
{
	rank_fail(&r->reporter, "cannot write %s: %s", path, strerror(errno));
}

/* The least tells what the machine can do; the median what a launch usually takes, since other programs make a few much
 * slower. */
static void take_quantiles(struct measured *m)
{
	for (struct measured_point *p = m->at; p < m->at + m->n; p++) {
		p->median = quantile(p->seconds, p->n, 0.5);
		p->least = quantile(p->seconds, p->n, 0);
	}
}

static void free_points(struct measured *m)
{
	for (int i = 0; i < m->n; i++)
		free(m->at[i].seconds);
	free(m->at);
}

void calibrate(struct rank *r)
{
	const char *path = r->job->options->calibrate;
	struct measured m = {.n = 0};
	struct whole_file file;
	if (!whole_open(&file, path))
		fail_to_write(r, path);
	run_pass(r, r->job->options->n_prompts, r->job->options->prompt);
	r->measured = &m;
	run_grid(r);
	r->measured = NULL;
	activity(r, ACTIVITY_PRINT);
	if (!m.n) {
		whole_discard(&file);
		rank_fail(&r->reporter, "the launcher does not say what its kernels do, so they cannot be measured");
	}
	take_quantiles(&m);
	calibration_write(r, &m, file.out);
	if (!whole_close(&file))
		fail_to_write(r, path);
	printf("calibrate: %d kinds and sizes of launches and collectives, written to %s\n", m.n, path);
	free_points(&m);
}
