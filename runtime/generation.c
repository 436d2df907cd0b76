/* Reads generation_config.json. Fields that say how transformers computes, and not what, are read over. */
#include "generation.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../support/lfs.h"
#include "json_text.h"

enum { MAX_BYTES = 1 << 20 };

/* Fields that change the text, what they are when they change nothing, and that are not built. */
static const struct unbuilt {
	const char *name;
	double neutral;
} unbuilt[] = {
	{"repetition_penalty", 1}, {"no_repeat_ngram_size", 0}, {"typical_p", 1},         {"num_beams", 1},
	{"penalty_alpha", 0},      {"epsilon_cutoff", 0},       {"eta_cutoff", 0},        {"encoder_repetition_penalty", 1},
	{"min_length", 0},         {"min_new_tokens", 0},       {"diversity_penalty", 0},
};

static json_t *read_file(const char *path, struct problems *p)
{
	char *text = host_alloc(MAX_BYTES + 1, 1);
	FILE *in = fopen(path, "r");
	size_t n = in ? fread(text, 1, MAX_BYTES + 1, in) : 0;
	json_error_t e = {.text = ""};
	json_t *v = NULL;
	if (!in && errno != ENOENT)
		problem(p, "cannot read %s: %s", path, strerror(errno));
	else if (n > MAX_BYTES)
		problem(p, "%s has more than %d bytes", path, MAX_BYTES);
	else if (is_lfs_pointer(text, n))
		problem(p, "%s " LFS_POINTER, path);
	else if (in && !(v = json_text_read(text, n, &e)))
		problem(p, "%s:%d:%d: %s", path, e.line, e.column, e.text);
	else if (v && !json_is_object(v))
		problem(p, "%s is not a JSON object", path);
	if (in)
		fclose(in);
	free(text);
	return v;
}

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

/* The number of a field in [0, max], or `absent`. */
static double number(const json_t *root, const char *path, const char *name, double max, double absent,
                     struct problems *p)
{
	const json_t *v = json_object_get(root, name);
	if (!v || json_is_null(v))
		return absent;
	if (json_is_number(v) && json_number_value(v) >= 0 && json_number_value(v) <= max)
		return json_number_value(v);
	problem(p, "%s: `%s` must be a number from 0 to %g", path, name, max);
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
	json_t *root = read_file(path, p);
	read_stop(g, path, json_object_get(root, "eos_token_id"), p);
	g->sampling = (struct dr_sampling){.top_p = 1};
	if (json_is_true(json_object_get(root, "do_sample"))) {
		g->sampling.temperature = (float)number(root, path, "temperature", MAX_TEMPERATURE, 1, p);
		g->sampling.top_p = (float)number(root, path, "top_p", 1, 1, p);
		g->sampling.min_p = (float)number(root, path, "min_p", 1, 0, p);
		g->sampling.top_k = (int32_t)number(root, path, "top_k", INT32_MAX, 0, p);
	}
	if (g->sampling.top_k > DR_CANDIDATES) {
		print_warning("%s: `top_k` is %d; a launcher chooses from the %d most likely tokens", path, g->sampling.top_k,
		              DR_CANDIDATES);
		g->sampling.top_k = DR_CANDIDATES;
	}
	warn_of_unbuilt(root, path);
	json_decref(root);
	free(path);
}
