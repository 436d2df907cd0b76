/* Rank 0's part of `run` and `bench`: runs all prompts, prints the results. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "answer_logprobs.h"
#include "meter.h"
#include "pass.h"

enum { WARM_RUNS = 1, BENCH_RUNS = 5 };

/* The median time to first token, in ms, counted from the pass's begin. */
static double ttft_ms(const struct pass *p)
{
	double *ms = host_alloc((size_t)p->n, sizeof *ms);
	for (int i = 0; i < p->n; i++)
		ms[i] = (double)(p->answer[i].first - p->begin) / 1e6;
	double middle = quantile(ms, p->n, 0.5);
	free(ms);
	return middle;
}

static struct pass pass_over(struct rank *r)
{
	const struct options *o = r->job->options;
	struct pass p = {.rank = r, .prompts = o->prompts, .n = o->n_prompts};
	pass_run(&p);
	return p;
}

static void print_ids(const int32_t *ids, int n)
{
	for (int i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", ids[i]);
}

static void run_once(struct rank *r)
{
	struct pass p = pass_over(r);
	activity(r, ACTIVITY_PRINT);
	for (int i = 0; i < p.n; i++) {
		printf("ids: ");
		print_ids(p.prompts[i].ids, p.prompts[i].n);
		printf(" -> ");
		print_ids(p.answer[i].tokens, p.answer[i].n);
		printf("\n");
		if (p.answer[i].logprobs) {
			char *lines = answer_logprob_lines(&p.prompts[i], &p.answer[i], NULL);
			fputs(lines, stdout);
			free(lines);
		}
	}
	printf("ttft: %.1f ms\n", ttft_ms(&p));
	printf("decode: %.1f tokens/s\n", pass_speed(&p, DR_DECODE));
	pass_close(&p);
}

/* What steps took since the meter was read. */
static void print_steps(struct rank *r, FILE *out)
{
	struct meter_report report[DR_PHASES];
	meter_read(r, report);
	for (int p = 0; p < DR_PHASES; p++)
		meter_print(r->job->plan, p, &report[p], out);
}

/* runs: [BENCH_RUNS][DR_PHASES] */
static void print_medians(const struct rank *r, const struct meter_report (*runs)[DR_PHASES])
{
	for (int p = 0; p < DR_PHASES; p++) {
		struct meter_report of[BENCH_RUNS];
		for (int i = 0; i < BENCH_RUNS; i++)
			of[i] = runs[i][p];
		struct meter_report middle = meter_median(of, BENCH_RUNS);
		meter_print(r->job->plan, p, &middle, stdout);
	}
}

static void run_bench(struct rank *r)
{
	const struct options *o = r->job->options;
	double prefill[BENCH_RUNS], decode[BENCH_RUNS], ttft[BENCH_RUNS];
	struct meter_report steps[BENCH_RUNS][DR_PHASES];
	for (int i = -WARM_RUNS; i < BENCH_RUNS; i++) {
		struct pass p = pass_over(r);
		meter_read(r, steps[i < 0 ? 0 : i]);
		if (i >= 0) {
			prefill[i] = pass_speed(&p, DR_PREFILL);
			decode[i] = pass_speed(&p, DR_DECODE);
			ttft[i] = ttft_ms(&p);
		}
		pass_close(&p);
	}
	activity(r, ACTIVITY_PRINT);
	printf("bench: %d x (%d prompt + %d output) tokens, medians of %d runs\n", o->n_prompts, o->prompt, o->output,
	       BENCH_RUNS);
	printf("prefill: %.1f tokens/s\n", quantile(prefill, BENCH_RUNS, 0.5));
	printf("decode: %.1f tokens/s\n", quantile(decode, BENCH_RUNS, 0.5));
	printf("ttft: %.1f ms\n", quantile(ttft, BENCH_RUNS, 0.5));
	print_medians(r, (const struct meter_report(*)[DR_PHASES])steps);
}

void serve(struct rank *r)
{
	const struct job *job = r->job;
	if (job->batch)
		serve_batch(r);
	else if (job->options->calibrate)
		calibrate(r);
	else if (job->options->bench)
		run_bench(r);
	else if (job->tokenizer)
		serve_text(r);
	else
		run_once(r);
	if (job->options->measure && !job->batch)
		print_steps(r, job->tokenizer ? stderr : stdout);
	if (job->options->trace)
		timeline_write(r);
	if (fflush(stdout) || ferror(stdout))
		rank_fail(&r->reporter, "cannot write standard output: %s", strerror(errno));
	activity(r, ACTIVITY_WAIT);
	r->step.head->phase = STEP_STOP;
	rank_step(r);
}
