/* Rank 0's part: runs prompts through the schedule, keeps time, prints what came of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "event.h"
#include "runtime.h"

enum { WARM_RUNS = 1, BENCH_RUNS = 5 };

/* One pass over the prompts. */
struct tally {
	int64_t ns[DR_PHASES], tokens[DR_PHASES];
	double ttft_ms;
};

static _Noreturn void fail_at_logits(struct rank *r, int prompt, int token)
{
	char where[512];
	trace_step(r, where, sizeof where);
	rank_fail(&r->reporter,
	          "the logits of prompt %d for token %d are not all finite numbers; %s. The weights are wrong, or a number "
	          "format "
	          "of the model is too narrow for them",
	          prompt + 1, token + 1, where);
}

/* The tokens, and logits, that the last step left in the results. */
static void collect(struct rank *r, struct schedule *s)
{
	const struct results *out = &r->job->results;
	const struct plan *plan = r->job->plan;
	for (int i = 0; i < r->step.head->microbatches * plan->n_owners * out->max_rows; i++) {
		int row = i % out->max_rows, owner = i / out->max_rows % plan->n_owners, m = i / out->max_rows / plan->n_owners;
		int q = schedule_row(s, m, owner, row);
		if (q < 0)
			continue;
		int n = schedule_sequence(s, q)->n_out;
		activity(r, ACTIVITY_PRINT);
		if (out->logits && !npy_row(r->job->npy, q, n, out->logits + (size_t)i * plan->head->vocab))
			rank_fail(&r->reporter, "cannot write %s: %s", r->job->npy->path, strerror(errno));
		activity(r, ACTIVITY_WAIT);
		if (out->tokens[i] == DR_NO_TOKEN)
			fail_at_logits(r, q, n);
		if (out->tokens[i] < 0 || (uint32_t)out->tokens[i] >= plan->head->vocab)
			rank_fail(&r->reporter, "internal: token %d was sampled for prompt %d, the vocabulary has %u",
			          out->tokens[i], q + 1, plan->head->vocab);
		schedule_token(s, q, out->tokens[i]);
	}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *of, int n)
{
	qsort(of, (size_t)n, sizeof *of, by_size);
	return n % 2 ? of[n / 2] : (of[n / 2 - 1] + of[n / 2]) / 2;
}

/* What the rows' sequences bring to the step, for the tally: padding does not count. */
static int64_t fed_tokens(const struct schedule *s, int n)
{
	int64_t sum = 0;
	for (int i = 0; i < n; i++)
		sum += schedule_sequence(s, i)->fed;
	return sum;
}

/* When each sequence got its first token, in ms after `begin`: the median. */
static double first_token_ms(const int64_t *first, int n, int64_t begin)
{
	double *ms = host_alloc((size_t)n, sizeof *ms);
	for (int i = 0; i < n; i++)
		ms[i] = (double)(first[i] - begin) / 1e6;
	double middle = median(ms, n);
	free(ms);
	return middle;
}

static void run_steps(struct rank *r, struct schedule *s, int n, struct tally *t)
{
	int64_t begin = now_ns(), before = begin, *first = host_alloc((size_t)n, sizeof *first);
	int64_t fed = 0;
	while (schedule_next(s, &r->step)) {
		int phase = r->step.head->phase;
		int64_t now_fed = fed_tokens(s, n);
		rank_step(r);
		collect(r, s);
		int64_t now = now_ns();
		t->ns[phase] += now - before;
		t->tokens[phase] += now_fed - fed;
		for (int i = 0; i < n; i++)
			if (!first[i] && schedule_sequence(s, i)->n_out)
				first[i] = now;
		before = now;
		fed = now_fed;
	}
	t->ttft_ms = first_token_ms(first, n, begin);
	free(first);
}

/* Runs all prompts to their end. The caller closes the schedule, which has their tokens. */
static struct schedule *run_prompts(struct rank *r, const struct prompt *prompts, int n, int max_tokens,
                                    struct tally *t)
{
	struct schedule *s = schedule_open(r->job->plan, prompts, n, max_tokens);
	*t = (struct tally){0};
	run_steps(r, s, n, t);
	for (int i = 0; i < n; i++)
		if (schedule_sequence(s, i)->n_out < max_tokens)
			rank_fail(&r->reporter, "internal: the schedule stopped before prompt %d was done", i + 1);
	return s;
}

static double per_second(const struct tally *t, int phase)
{
	return t->ns[phase] ? (double)t->tokens[phase] * 1e9 / (double)t->ns[phase] : 0;
}

static void print_ids(const int32_t *ids, int n)
{
	for (int i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", ids[i]);
}

static void run_once(struct rank *r)
{
	const struct options *o = r->job->options;
	struct tally t;
	struct schedule *s = run_prompts(r, o->prompts, o->n_prompts, o->max_tokens, &t);
	activity(r, ACTIVITY_PRINT);
	for (int i = 0; i < o->n_prompts; i++) {
		const struct sequence *q = schedule_sequence(s, i);
		printf("ids: ");
		print_ids(q->prompt, q->n_prompt);
		printf(" -> ");
		print_ids(q->out, q->n_out);
		printf("\n");
	}
	printf("ttft: %.1f ms\n", t.ttft_ms);
	printf("decode: %.1f tokens/s\n", per_second(&t, DR_DECODE));
	schedule_close(s);
}

static void run_bench(struct rank *r)
{
	const struct options *o = r->job->options;
	double prefill[BENCH_RUNS], decode[BENCH_RUNS], ttft[BENCH_RUNS];
	for (int i = -WARM_RUNS; i < BENCH_RUNS; i++) {
		struct tally t;
		schedule_close(run_prompts(r, o->prompts, o->n_prompts, o->max_tokens, &t));
		if (i < 0)
			continue;
		prefill[i] = per_second(&t, DR_PREFILL);
		decode[i] = per_second(&t, DR_DECODE);
		ttft[i] = t.ttft_ms;
	}
	activity(r, ACTIVITY_PRINT);
	printf("bench: %d x (%d prompt + %d output) tokens, medians of %d runs\n", o->n_prompts, o->prompt, o->output,
	       BENCH_RUNS);
	printf("prefill: %.1f tokens/s\n", median(prefill, BENCH_RUNS));
	printf("decode: %.1f tokens/s\n", median(decode, BENCH_RUNS));
	printf("ttft: %.1f ms\n", median(ttft, BENCH_RUNS));
}

void serve(struct rank *r)
{
	if (r->job->options->bench)
		run_bench(r);
	else
		run_once(r);
	if (fflush(stdout) || ferror(stdout))
		rank_fail(&r->reporter, "cannot write standard output: %s", strerror(errno));
	activity(r, ACTIVITY_WAIT);
	r->step.head->phase = STEP_STOP;
	rank_step(r);
}
