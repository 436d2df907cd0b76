/* Rank 0's part of `run` and `bench`: submits all prompts to an engine, measures time, prints the results. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"
#include "event.h"
#include "runtime.h"

enum { WARM_RUNS = 1, BENCH_RUNS = 5 };

/* The continuation of a prompt. */
struct answer {
	int32_t *tokens; /* [max_tokens] */
	int n;
	int64_t first; /* time of its first token */
	bool finished;
};
/* One pass over the prompts. */
struct pass {
	struct rank *rank;
	const struct options *options;
	int n;                 /* prompts */
	struct answer *answer; /* [n] */
	int64_t begin, ns[DR_PHASES], tokens[DR_PHASES];
};

/* ---- what the engine is asked ---------------------------------------------------------------- */
static struct request request_of(const struct prompt *p, int max_tokens)
{
	return (struct request){.ids = p->ids, .n_ids = p->n, .max_tokens = max_tokens, .sampling = p->sampling};
}

void prompts_check(const struct plan *plan, const struct options *o, int n, struct problems *p)
{
	char why[REASON_BYTES];
	for (int i = 0; i < n; i++) {
		struct request r = request_of(&o->prompts[i], o->max_tokens);
		for (int from = 0; request_refused(plan, &r, &from, why);)
			problem(p, "prompt %d: %s", i + 1, why);
	}
	for (int i = 0; i < o->n_stop; i++)
		if ((uint32_t)o->stop[i] >= plan->head->vocab)
			problem(p, "--stop-ids: id %d is not in the vocabulary of %u", o->stop[i], plan->head->vocab);
}

/* ---- tokens ---------------------------------------------------------------------------------- */
static _Noreturn void fail_at_token(struct rank *r, int prompt, int index, int32_t token)
{
	char where[512];
	if (token != DR_NO_TOKEN)
		rank_fail(&r->reporter, "internal: token %d was sampled for prompt %d, the vocabulary has %u", token,
		          prompt + 1, r->job->plan->head->vocab);
	if (trace_ask(r)) {
		rank_step(r);
		trace_answer(r, where, sizeof where);
	} else
		snprintf(where, sizeof where, "it is not known where such numbers begin");
	rank_fail(&r->reporter,
	          "the logits of prompt %d for token %d are not all finite numbers; %s. The weights are wrong, or a number "
	          "format "
	          "of the model is too narrow for them",
	          prompt + 1, index + 1, where);
}

/* The rank does not count as stuck while it writes, however slow the file is. */
static void write_logits(struct rank *r, int prompt, int index, const float *logits)
{
	activity(r, ACTIVITY_PRINT);
	if (logits && !npy_row(r->job->npy, prompt, index, logits))
		rank_fail(&r->reporter, "cannot write %s: %s", r->job->npy->path, strerror(errno));
	activity(r, ACTIVITY_WAIT);
}

static void take_token(void *context, const struct engine_token *t)
{
	struct pass *pass = context;
	struct answer *a = t->user;
	int prompt = (int)(a - pass->answer);
	write_logits(pass->rank, prompt, t->index, t->logits);
	if (t->finish == FINISH_FAILED)
		fail_at_token(pass->rank, prompt, t->index, t->token);
	if (!a->n)
		a->first = now_ns();
	a->tokens[a->n++] = t->token;
	a->finished = t->finish != FINISH_NONE;
}

/* ---- time ------------------------------------------------------------------------------------ */
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

/* The median time to first token, in ms. */
static double ttft_ms(const struct pass *p)
{
	double *ms = host_alloc((size_t)p->n, sizeof *ms);
	for (int i = 0; i < p->n; i++)
		ms[i] = (double)(p->answer[i].first - p->begin) / 1e6;
	double middle = median(ms, p->n);
	free(ms);
	return middle;
}

static double per_second(const struct pass *p, int phase)
{
	return p->ns[phase] ? (double)p->tokens[phase] * 1e9 / (double)p->ns[phase] : 0;
}

/* ---- a pass ---------------------------------------------------------------------------------- */
static void run_step(void *rank) { rank_step(rank); }

static void submit_prompts(struct pass *p, struct engine *e)
{
	char why[REASON_BYTES];
	for (int i = 0; i < p->n; i++) {
		struct request r = request_of(&p->options->prompts[i], p->options->max_tokens);
		p->answer[i].tokens = host_alloc((size_t)r.max_tokens, sizeof(int32_t));
		r.stop = p->options->stop;
		r.n_stop = p->options->n_stop;
		r.user = &p->answer[i];
		if (!engine_submit(e, &r, why))
			rank_fail(&p->rank->reporter, "internal: prompt %d: %s", i + 1, why);
	}
}

static void run_steps(struct pass *p, struct engine *e)
{
	struct step_done done;
	for (int64_t before = p->begin; engine_step(e, &done);) {
		int64_t now = now_ns();
		p->ns[done.phase] += now - before;
		p->tokens[done.phase] += done.tokens;
		before = now;
	}
}

/* Runs all prompts to their end. */
static void pass_open(struct pass *p, struct rank *r)
{
	const struct options *o = r->job->options;
	const struct stepper stepper = {&r->step, run_step, inbox_results(r->inbox), r, r->device->queue != NULL};
	*p = (struct pass){.rank = r, .options = o, .n = o->n_prompts};
	p->answer = host_alloc((size_t)p->n, sizeof *p->answer);
	struct engine *e = engine_open(r->job->plan, &stepper, take_token, p);
	submit_prompts(p, e);
	p->begin = now_ns();
	run_steps(p, e);
	engine_close(e);
	for (int i = 0; i < p->n; i++)
		if (!p->answer[i].finished)
			rank_fail(&r->reporter, "internal: the engine stopped before prompt %d was done", i + 1);
}

static void pass_close(struct pass *p)
{
	for (int i = 0; i < p->n; i++)
		free(p->answer[i].tokens);
	free(p->answer);
}

/* ---- the commands ---------------------------------------------------------------------------- */
static void print_ids(const int32_t *ids, int n)
{
	for (int i = 0; i < n; i++)
		printf("%s%d", i ? "," : "", ids[i]);
}

static void run_once(struct rank *r)
{
	const struct options *o = r->job->options;
	struct pass p;
	pass_open(&p, r);
	activity(r, ACTIVITY_PRINT);
	for (int i = 0; i < o->n_prompts; i++) {
		printf("ids: ");
		print_ids(o->prompts[i].ids, o->prompts[i].n);
		printf(" -> ");
		print_ids(p.answer[i].tokens, p.answer[i].n);
		printf("\n");
	}
	printf("ttft: %.1f ms\n", ttft_ms(&p));
	printf("decode: %.1f tokens/s\n", per_second(&p, DR_DECODE));
	pass_close(&p);
}

static void run_bench(struct rank *r)
{
	const struct options *o = r->job->options;
	double prefill[BENCH_RUNS], decode[BENCH_RUNS], ttft[BENCH_RUNS];
	for (int i = -WARM_RUNS; i < BENCH_RUNS; i++) {
		struct pass p;
		pass_open(&p, r);
		if (i >= 0) {
			prefill[i] = per_second(&p, DR_PREFILL);
			decode[i] = per_second(&p, DR_DECODE);
			ttft[i] = ttft_ms(&p);
		}
		pass_close(&p);
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
