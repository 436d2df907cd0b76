/* A pass over prompts: submits them to an engine, takes their tokens, measures times. */
#include "pass.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "event.h"

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

static void submit_more(struct pass *p);

static void answer_free(struct answer *a)
{
	free(a->tokens);
	free(a->logprobs);
	answer_text_close(a->text);
	a->tokens = NULL;
	a->logprobs = NULL;
	a->text = NULL;
}

/* The token's text; a stop string ends the sequence. */
static void take_text(struct pass *p, struct answer *a, const struct engine_token *t)
{
	if (!a->text)
		return;
	if (answer_text_add(a->text, t->token)) {
		if (a->finish == FINISH_NONE)
			engine_stop(p->engine, t->id);
		a->finish = FINISH_STOP;
	}
	if (a->finish != FINISH_NONE && answer_text_end(a->text))
		a->finish = FINISH_STOP;
}

static void take_token(void *context, const struct engine_token *t)
{
	struct pass *p = context;
	struct answer *a = t->user;
	int prompt = (int)(a - p->answer);
	write_logits(p->rank, prompt, t->index, t->logits);
	if (t->finish == FINISH_FAILED)
		fail_at_token(p->rank, prompt, t->index, t->token);
	a->last = now_ns();
	if (!a->n)
		a->first = a->last;
	if (a->logprobs)
		logprobs_of(t->logprobs, t->token, a->n_top, a->logprobs + (size_t)a->n * (size_t)(1 + a->n_top));
	a->tokens[a->n++] = t->token;
	a->finish = t->finish;
	take_text(p, a, t);
	if (p->spoke)
		p->spoke(p, prompt);
	if (a->finish == FINISH_NONE)
		return;
	p->under_way--;
	if (p->ended) {
		p->ended(p, prompt);
		answer_free(a);
	}
	submit_more(p);
}

/* ---- prompts --------------------------------------------------------------------------------- */
static void submit(struct pass *p, int prompt)
{
	char why[REASON_BYTES];
	const struct prompt *of = &p->prompts[prompt];
	struct request r = request_of(of);
	struct answer *a = &p->answer[prompt];
	a->tokens = host_alloc((size_t)r.max_tokens, sizeof *a->tokens);
	if (of->logprobs) {
		int vocab = (int)p->rank->job->plan->head->vocab;
		a->n_top = of->logprobs - 1 < vocab ? of->logprobs - 1 : vocab;
		a->logprobs = host_alloc((size_t)r.max_tokens * (size_t)(1 + a->n_top), sizeof *a->logprobs);
	}
	if (of->text)
		a->text = answer_text_open(p->rank->job->tokenizer, of->ids, of->n, of->stop_text, of->n_stop_text);
	r.user = a;
	if (!engine_submit(p->engine, &r, why))
		rank_fail(&p->rank->reporter, "internal: prompt %d: %s", prompt + 1, why);
	p->under_way++;
}

/* The engine holds a copy of each prompt, so it gets as many as can run and as many again, that none of its places
 * waits. */
static void submit_more(struct pass *p)
{
	const struct plan *plan = p->rank->job->plan;
	int places = (int)plan->head->seqs * plan->n_owners;
	for (; p->next < p->n && p->under_way < 2 * places; p->next++)
		if (!p->skip || !p->skip[p->next])
			submit(p, p->next);
}

/* ---- the pass -------------------------------------------------------------------------------- */
void pass_run(struct pass *p)
{
	struct rank *r = p->rank;
	const struct stepper stepper = rank_stepper(r);
	struct step_done done;
	p->answer = host_alloc((size_t)p->n, sizeof *p->answer);
	p->engine = engine_open(r->job->plan, &stepper, take_token, p);
	p->begin = now_ns();
	submit_more(p);
	for (int64_t before = p->begin; engine_step(p->engine, &done);) {
		int64_t now = now_ns();
		p->ns[done.phase] += now - before;
		p->tokens[done.phase] += done.tokens;
		before = now;
		if (p->stepped)
			p->stepped(p);
	}
	p->interrupted = engine_interrupted(p->engine);
	engine_close(p->engine);
	p->engine = NULL;
	if (p->under_way || p->next < p->n)
		rank_fail(&r->reporter, "internal: the engine stopped before all prompts were done");
}

void pass_close(struct pass *p)
{
	for (int i = 0; i < p->n; i++)
		answer_free(&p->answer[i]);
	free(p->answer);
}

/* ---- time ------------------------------------------------------------------------------------ */
double pass_speed(const struct pass *p, int phase)
{
	return p->ns[phase] ? (double)p->tokens[phase] * 1e9 / (double)p->ns[phase] : 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double quantile(double *of, int n, double share)
{
	qsort(of, (size_t)n, sizeof *of, by_size);
	double at = share * (n - 1);
	int below = (int)at, above = below + 1 < n ? below + 1 : below;
	return of[below] + (at - below) * (of[above] - of[below]);
}
