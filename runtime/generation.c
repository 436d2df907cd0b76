/* Reads generation_config.json. Fields that say how transformers computes, and not what, are read over. */
#include "generation.h"
#include <jansson.h>
#include <stdlib.h>
#include "files.h"

/* Fields that change the text, what they are when they change nothing, and that are not built. */
static const struct unbuilt {
	const char *name;
	double neutral;
} unbuilt[] = {
	{"no_repeat_ngram_size", 0}, {"typical_p", 1},         {"num_beams", 1},  {"penalty_alpha", 0},
	{"epsilon_cutoff", 0},       {"eta_cutoff", 0},        {"min_length", 0}, {"encoder_repetition_penalty", 1},
	{"min_new_tokens", 0},       {"diversity_penalty", 0},
};

static void add_stop(struct generation *g, const char *path, const json_t *id, struct problems *p)
{
	if (json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) <= INT32_MAX) {
		g->stop = host_grow(g->stop, (size_t)g->n_stop + 1, sizeof *g->stop);
		g->stop[g->n_stop++] = (int32_t)json_integer_value(id);
	} else
		problem(p, "%s: `eos_token_id` must be a token id, or a list of them", path);
}

static void read_stop(struct generation *g, const char *path, const json_t *v, struct problems *p)
{
	if (!v || json_is_null(v))
		return;
	if (!json_is_array(v))
		add_stop(g, path, v, p);
	for (size_t i = 0; i < json_array_size(v); i++)
		add_stop(g, path, json_array_get(v, i), p);
}

/* The number of a field in [min, max], or `absent`. */
static double number(const json_t *root, const char *path, const char *name, double min, double max, double absent,
                     struct problems *p)
{
	const json_t *v = json_object_get(root, name);
	if (!v || json_is_null(v))
		return absent;
	if (json_is_number(v) && json_number_value(v) >= min && json_number_value(v) <= max)
		return json_number_value(v);
	problem(p, "%s: `%s` must be a number from %g to %g", path, name, min, max);
	return absent;
}

static void warn_of_unbuilt(const json_t *root, const char *path)
{
	for (size_t i = 0; i < sizeof unbuilt / sizeof *unbuilt; i++) {
		const json_t *v = json_object_get(root, unbuilt[i].name);
		if (json_is_number(v) && json_number_value(v) != unbuilt[i].neutral)
			print_warning("%s: `%s` is %g, which is not built: texts are made without it", path, unbuilt[i].name,
			              json_number_value(v));
	}
}

void generation_read(struct generation *g, const char *folder, struct problems *p)
{
	char *path = join_path(folder, "generation_config.json");
	json_t *root = file_exists(path) ? json_file(path, p) : NULL;
	read_stop(g, path, json_object_get(root, "eos_token_id"), p);
	g->sampling = (struct dr_sampling){.top_p = 1};
	if (json_is_true(json_object_get(root, "do_sample"))) {
		g->sampling.temperature = (float)number(root, path, "temperature", 0, MAX_TEMPERATURE, 1, p);
		g->sampling.top_p = (float)number(root, path, "top_p", 0, 1, 1, p);
		g->sampling.min_p = (float)number(root, path, "min_p", 0, 1, 0, p);
		g->sampling.top_k = (int32_t)number(root, path, "top_k", 0, INT32_MAX, 0, p);
	}
	g->repetition = (float)number(root, path, "repetition_penalty", 1.0 / MAX_REPETITION, MAX_REPETITION, 1, p);
	if (g->sampling.top_k > DR_CANDIDATES) {
		print_warning("%s: `top_k` is %d; a launcher chooses from the %d most likely tokens", path, g->sampling.top_k,
		              DR_CANDIDATES);
		g->sampling.top_k = DR_CANDIDATES;
	}
	warn_of_unbuilt(root, path);
	json_decref(root);
	free(path);
}

void generation_propose(const struct generation *g, struct prompt *p)
{
	if (!(p->given & TEMPERATURE))
		p->sampling.temperature = g->sampling.temperature;
	if (!(p->given & TOP_K))
		p->sampling.top_k = g->sampling.top_k;
	if (!(p->given & TOP_P))
		p->sampling.top_p = g->sampling.top_p;
	if (!(p->given & MIN_P))
		p->sampling.min_p = g->sampling.min_p;
	if (!(p->given & REPETITION))
		p->penalties.repetition = g->repetition;
	if (p->own_stop || !g->n_stop)
		return;
	p->stop = host_grow(p->stop, (size_t)(p->n_stop + g->n_stop), sizeof *p->stop);
	for (int i = 0; i < g->n_stop; i++)
		p->stop[p->n_stop++] = g->stop[i];
}
