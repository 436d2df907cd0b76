/* Prompts: what they take from the options, and what is wrong with them before a rank starts. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "engine.h"
#include "runtime.h"

void set_seed(struct dr_sampling *s, uint64_t seed)
{
	s->seed = (uint32_t)seed;
	s->seed_high = (uint32_t)(seed >> 32);
}

/* Each prompt has a seed of its own, so that equal prompts draw different tokens. */
struct prompt prompt_default(const struct options *o, int index, bool is_text)
{
	struct prompt p = {.max_tokens = o->max_tokens, .sampling = o->sampling, .given = o->given, .n_stop = o->n_stop};
	p.penalties = penalties_copy(&o->penalties);
	p.logprobs = o->logprobs;
	set_seed(&p.sampling, (o->sampling.seed | (uint64_t)o->sampling.seed_high << 32) + (uint64_t)index);
	if (!p.max_tokens && !is_text)
		p.max_tokens = 16;
	p.stop = host_alloc((size_t)o->n_stop, sizeof *p.stop);
	for (int i = 0; i < p.n_stop; i++)
		p.stop[i] = o->stop[i];
	prompt_stop_texts(&p, o->stop_text, o->n_stop_text);
	return p;
}

static void free_stop_texts(struct prompt *p)
{
	for (int i = 0; i < p->n_stop_text; i++)
		free(p->stop_text[i]);
	free(p->stop_text);
}

void prompt_stop_texts(struct prompt *p, char *const *strings, int n)
{
	free_stop_texts(p);
	p->stop_text = host_alloc((size_t)n, sizeof *p->stop_text);
	for (p->n_stop_text = 0; p->n_stop_text < n; p->n_stop_text++) {
		size_t bytes = strlen(strings[p->n_stop_text]) + 1;
		p->stop_text[p->n_stop_text] = memcpy(host_alloc(bytes, 1), strings[p->n_stop_text], bytes);
	}
}

struct prompt *prompt_add(struct options *o, const struct prompt *p)
{
	if (o->n_prompts == o->room) {
		o->room = o->room ? 2 * o->room : 16;
		o->prompts = host_grow(o->prompts, (size_t)o->room, sizeof *o->prompts);
	}
	o->prompts[o->n_prompts] = *p;
	return &o->prompts[o->n_prompts++];
}

void prompt_free(struct prompt *p)
{
	free(p->ids);
	free(p->stop);
	free(p->penalties.bias);
	json_decref(p->messages);
	free(p->text);
	free(p->name);
	free_stop_texts(p);
}

struct request request_of(const struct prompt *p)
{
	struct request r = {.ids = p->ids,
	                    .n_ids = p->n,
	                    .max_tokens = p->max_tokens,
	                    .stop = p->stop,
	                    .n_stop = p->n_stop,
	                    .sampling = p->sampling,
	                    .penalties = p->penalties};
	r.sampling.logprobs = p->logprobs > 0;
	return r;
}

void prompt_where(const struct options *o, int i, char *out, size_t n)
{
	if (!o->prompts_file)
		snprintf(out, n, "prompt %d", i + 1);
	else if (o->prompts[i].line)
		snprintf(out, n, "%s:%d", o->prompts_file, o->prompts[i].line);
	else
		snprintf(out, n, "%s: prompt %d", o->prompts_file, i + 1);
}

void prompts_check(const struct plan *plan, const struct options *o, int n, struct problems *p)
{
	char why[REASON_BYTES], where[WHERE_BYTES];
	for (int i = 0; i < n; i++) {
		struct request r = request_of(&o->prompts[i]);
		if (!r.n_ids && (o->prompts_file || prompt_is_text(&o->prompts[i])))
			continue; /* reported by batch_read or texts_encode */
		if (!o->prompts[i].own_stop)
			r.n_stop = 0;
		if (!o->prompts[i].own_bias)
			r.penalties.n_bias = 0;
		prompt_where(o, i, where, sizeof where);
		for (int from = 0; request_refused(plan, &r, &from, why);)
			problem(p, "%s: %s", where, why);
	}
	for (int i = 0; i < o->n_stop; i++)
		if ((uint32_t)o->stop[i] >= plan->head->vocab)
			problem(p, "--stop-ids: id %d is not in the vocabulary of %u", o->stop[i], plan->head->vocab);
	for (int i = 0; i < o->penalties.n_bias; i++)
		if ((uint32_t)o->penalties.bias[i].token >= plan->head->vocab)
			problem(p, "--logit-bias: id %d is not in the vocabulary of %u", o->penalties.bias[i].token,
			        plan->head->vocab);
}
