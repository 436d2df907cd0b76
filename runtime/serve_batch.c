/* Rank 0's part of `run` with a file of prompts: each answer goes to the journal when it is complete; --measure writes
 * how long it took. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "answer_logprobs.h"
#include "batch.h"
#include "event.h"
#include "meter.h"
#include "pass.h"

enum { PERFORMANCE_VERSION = 1, MAX_SAMPLES = 1000 };
static const int64_t PROGRESS_NS = 500000000;

/* Pages that sequences hold, over time. When the table is full, every second sample goes, and the distance doubles. */
struct page_samples {
	struct {
		double seconds;
		int held;
	} at[MAX_SAMPLES];
	int n, every, skipped;
};

struct batch_pass {
	struct batch *batch;
	int finished, before; /* answers of this run; of earlier ones */
	int64_t prompt_tokens, output_tokens, shown;
	bool terminal;
	struct page_samples pages;
};

/* ---- answers --------------------------------------------------------------------------------- */
static json_t *answer_json(const struct prompt *prompt, int number, const struct answer *a, const struct tokenizer *t)
{
	json_t *ids = json_array();
	for (int i = 0; i < a->n; i++)
		json_array_append_new(ids, json_integer(a->tokens[i]));
	json_t *v = json_pack("{s:i, s:i, s:o, s:s}", "index", number, "prompt_tokens", prompt->n, "ids", ids, "finish",
	                      a->finish == FINISH_STOP ? "stop" : "length");
	if (v && a->text) {
		size_t n;
		const char *text = answer_text_all(a->text, &n);
		json_object_set_new(v, "text", json_stringn(text, n));
	}
	if (v && a->logprobs)
		json_object_set_new(v, "logprobs", answer_logprobs(prompt, a, t));
	if (v && prompt->name)
		json_object_set_new(v, "id", json_loads(prompt->name, JSON_DECODE_ANY, NULL));
	return v;
}

static void keep_answer(struct pass *p, int prompt)
{
	struct batch_pass *b = p->context;
	struct rank *r = p->rank;
	json_t *v = answer_json(&p->prompts[prompt], prompt, &p->answer[prompt], r->job->tokenizer);
	activity(r, ACTIVITY_PRINT);
	if (!v || !batch_append(b->batch, prompt, v))
		rank_fail(&r->reporter, "cannot write an answer to %s: %s", r->job->options->output_dir,
		          v ? strerror(errno) : "no memory");
	activity(r, ACTIVITY_WAIT);
	json_decref(v);
	b->finished++;
	b->prompt_tokens += p->prompts[prompt].n;
	b->output_tokens += p->answer[prompt].n;
}

/* ---- while it runs --------------------------------------------------------------------------- */
static void sample_pages(struct page_samples *s, const struct pass *p)
{
	int held = 0;
	if (s->skipped++ % s->every)
		return;
	if (s->n == MAX_SAMPLES) {
		for (s->n = 0; s->n < MAX_SAMPLES / 2; s->n++)
			s->at[s->n] = s->at[2 * s->n];
		s->every *= 2;
	}
	for (int owner = 0; owner < p->rank->job->plan->n_owners; owner++) {
		int free_pages, of_owner;
		engine_pages(p->engine, owner, &free_pages, &of_owner);
		held += of_owner;
	}
	s->at[s->n].seconds = (double)(now_ns() - p->begin) / 1e9;
	s->at[s->n++].held = held;
}

static void show_progress(const struct pass *p, struct batch_pass *b, int64_t now)
{
	double seconds = (double)(now - p->begin) / 1e9;
	fprintf(stderr, "\r%d of %d prompts, %.0f tokens/s ", b->before + b->finished, p->n,
	        (double)b->output_tokens / seconds);
	fflush(stderr);
	b->shown = now;
}

static void after_step(struct pass *p)
{
	struct batch_pass *b = p->context;
	int64_t now = now_ns();
	sample_pages(&b->pages, p);
	if (b->terminal && now - b->shown >= PROGRESS_NS)
		show_progress(p, b, now);
}

/* ---- performance.json ------------------------------------------------------------------------ */
/* Of answers, in ms: the time to the first token, or between two later ones. */
static json_t *times(const struct pass *p, bool first)
{
	double *ms = host_alloc((size_t)p->n, sizeof *ms), sum = 0;
	int n = 0;
	for (int i = 0; i < p->n; i++) {
		const struct answer *a = &p->answer[i];
		if (a->n < (first ? 1 : 2))
			continue;
		ms[n] = first ? (double)(a->first - p->begin) / 1e6 : (double)(a->last - a->first) / 1e6 / (a->n - 1);
		sum += ms[n++];
	}
	json_t *v =
		n ? json_pack("{s:i, s:f, s:f, s:f, s:f, s:f}", "count", n, "mean", sum / n, "p50", quantile(ms, n, 0.5), "p90",
	                  quantile(ms, n, 0.9), "p99", quantile(ms, n, 0.99), "max", quantile(ms, n, 1))
		  : json_null();
	free(ms);
	return v;
}

static json_t *phase_json(const struct pass *p, int phase)
{
	return json_pack("{s:I, s:f, s:f}", "tokens", (json_int_t)p->tokens[phase], "seconds", (double)p->ns[phase] / 1e9,
	                 "tokens_per_second", pass_speed(p, phase));
}

static json_t *pages_json(const struct pass *p, const struct batch_pass *b, const struct plan *plan)
{
	json_t *seconds = json_array(), *held = json_array();
	for (int i = 0; i < b->pages.n; i++) {
		json_array_append_new(seconds, json_real(b->pages.at[i].seconds));
		json_array_append_new(held, json_integer(b->pages.at[i].held));
	}
	return json_pack("{s:I, s:i, s:I, s:o, s:o}", "pages", (json_int_t)plan->pools[0].pages * plan->n_owners,
	                 "page_size", (int)plan->head->page_size, "interrupted", (json_int_t)p->interrupted, "seconds",
	                 seconds, "held", held);
}

static json_t *performance(const struct pass *p, const struct batch_pass *b, double seconds)
{
	const struct plan *plan = p->rank->job->plan;
	double speed = seconds > 0 ? (double)b->output_tokens / seconds : 0;
	return json_pack("{s:i, s:s, s:s, s:i, s:i, s:i, s:I, s:I, s:f, s:f, s:f, s:o, s:o, s:o, s:o, s:o}", "version",
	                 PERFORMANCE_VERSION, "deployment", plan_string(plan, plan->head->deploy), "model",
	                 plan_string(plan, plan->head->model), "ranks", (int)plan->head->ranks, "prompts", b->finished,
	                 "prompts_before", b->before, "prompt_tokens", (json_int_t)b->prompt_tokens, "output_tokens",
	                 (json_int_t)b->output_tokens, "seconds", seconds, "tokens_per_second", speed,
	                 "tokens_per_second_per_rank", speed / plan->head->ranks, "ttft_ms", times(p, true), "tpot_ms",
	                 times(p, false), "prefill", phase_json(p, DR_PREFILL), "decode", phase_json(p, DR_DECODE), "cache",
	                 pages_json(p, b, plan));
}

static json_t *steps_json(const struct plan *plan, const struct meter_report steps[DR_PHASES])
{
	json_t *v = json_object();
	for (int i = 0; i < DR_PHASES; i++)
		json_object_set_new(v, plan_string(plan, plan->programs[i].name), meter_json(plan, &steps[i]));
	return v;
}

/* ---- the run --------------------------------------------------------------------------------- */
void serve_batch(struct rank *r)
{
	const struct options *o = r->job->options;
	struct batch_pass b = {.batch = r->job->batch, .terminal = isatty(STDERR_FILENO), .pages.every = 1};
	struct pass p = {.rank = r,
	                 .prompts = o->prompts,
	                 .n = o->n_prompts,
	                 .skip = batch_done(b.batch, &b.before),
	                 .ended = keep_answer,
	                 .stepped = after_step,
	                 .context = &b};
	pass_run(&p);
	double seconds = (double)(now_ns() - p.begin) / 1e9;
	activity(r, ACTIVITY_PRINT);
	if (b.terminal) {
		show_progress(&p, &b, now_ns());
		fputc('\n', stderr);
	}
	struct meter_report steps[DR_PHASES];
	if (o->measure) {
		meter_read(r, steps);
		json_t *v = performance(&p, &b, seconds);
		if (v)
			json_object_set_new(v, "steps", steps_json(r->job->plan, steps));
		if (!v || !batch_write(b.batch, "performance.json", v))
			rank_fail(&r->reporter, "cannot write %s/performance.json: %s", o->output_dir, strerror(errno));
		json_decref(v);
	}
	printf("prompts: %d answered in %.1f s, %.1f tokens/s; %d were answered before\n", b.finished, seconds,
	       seconds > 0 ? (double)b.output_tokens / seconds : 0, b.before);
	for (int i = 0; i < DR_PHASES && o->measure; i++)
		meter_print(r->job->plan, i, &steps[i], stdout);
	pass_close(&p);
}
