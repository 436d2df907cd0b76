/* Reads a file of prompts: one JSON object for each, on a line of its own or in an array. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "../support/hash.h"
#include "batch.h"
#include "files.h"

/* The prompt that is read. */
struct item {
	struct options *options;
	struct problems *problems;
	struct prompt prompt;
	char where[WHERE_BYTES];
	int top; /* `top_logprobs`; -1: not given */
};

/* ---- fields ---------------------------------------------------------------------------------- */
static void wrong(struct item *it, const char *field, const json_t *v, const char *want)
{
	enum { SHOWN = 60 };
	char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
	problem(it->problems, "%s: `%s` is %.*s%s; it must be %s", it->where, field, SHOWN, text ? text : "something else",
	        text && strlen(text) > SHOWN ? "..." : "", want);
	free(text);
}

static void read_whole(struct item *it, const char *field, const json_t *v, long min, long max, int *out)
{
	char want[80];
	if (json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max) {
		*out = (int)json_integer_value(v);
		return;
	}
	snprintf(want, sizeof want, "a whole number from %ld to %ld", min, max);
	wrong(it, field, v, want);
}

static void read_real(struct item *it, const char *field, const json_t *v, double min, double max, float *out)
{
	char want[80];
	if (json_is_number(v) && json_number_value(v) >= min && json_number_value(v) <= max) {
		*out = (float)json_number_value(v);
		return;
	}
	snprintf(want, sizeof want, "a number from %g to %g", min, max);
	wrong(it, field, v, want);
}

static void read_list(struct item *it, const char *field, const json_t *v, int32_t **out, int *n)
{
	size_t i;
	json_t *id;
	if (!json_is_array(v)) {
		wrong(it, field, v, "a list of token ids");
		return;
	}
	free(*out);
	*out = host_alloc(json_array_size(v), sizeof **out);
	*n = 0;
	json_array_foreach ((json_t *)(uintptr_t)v, i, id) {
		if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX) {
			wrong(it, field, v, "a list of token ids");
			*n = 0;
			return;
		}
		(*out)[(*n)++] = (int32_t)json_integer_value(id);
	}
}

static void read_ids(struct item *it, const char *field, const json_t *v)
{
	read_list(it, field, v, &it->prompt.ids, &it->prompt.n);
	if (json_is_array(v) && !json_array_size(v))
		wrong(it, field, v, "a list of at least one token id");
}
static void read_stop_ids(struct item *it, const char *field, const json_t *v)
{
	it->prompt.own_stop = true;
	read_list(it, field, v, &it->prompt.stop, &it->prompt.n_stop);
}
static void read_max_tokens(struct item *it, const char *field, const json_t *v)
{
	read_whole(it, field, v, 1, MAX_COUNT, &it->prompt.max_tokens);
}
static void read_temperature(struct item *it, const char *field, const json_t *v)
{
	it->prompt.given |= TEMPERATURE;
	read_real(it, field, v, 0, MAX_TEMPERATURE, &it->prompt.sampling.temperature);
}
static void read_top_k(struct item *it, const char *field, const json_t *v)
{
	it->prompt.given |= TOP_K;
	read_whole(it, field, v, 0, DR_CANDIDATES, &it->prompt.sampling.top_k);
}
static void read_top_p(struct item *it, const char *field, const json_t *v)
{
	it->prompt.given |= TOP_P;
	read_real(it, field, v, 0, 1, &it->prompt.sampling.top_p);
}
static void read_min_p(struct item *it, const char *field, const json_t *v)
{
	it->prompt.given |= MIN_P;
	read_real(it, field, v, 0, 1, &it->prompt.sampling.min_p);
}
static void read_repetition(struct item *it, const char *field, const json_t *v)
{
	it->prompt.given |= REPETITION;
	read_real(it, field, v, 1.0 / MAX_REPETITION, MAX_REPETITION, &it->prompt.penalties.repetition);
}
static void read_presence(struct item *it, const char *field, const json_t *v)
{
	read_real(it, field, v, -MAX_PENALTY, MAX_PENALTY, &it->prompt.penalties.presence);
}
static void read_frequency(struct item *it, const char *field, const json_t *v)
{
	read_real(it, field, v, -MAX_PENALTY, MAX_PENALTY, &it->prompt.penalties.frequency);
}
/* A token id as a key, as JSON writes numbers; -1: it is none. */
static int64_t token_key(const char *key)
{
	size_t n = strlen(key);
	bool digits = n > 0 && n <= 10 && strspn(key, "0123456789") == n && (n == 1 || key[0] != '0');
	return digits ? strtoll(key, NULL, 10) : -1;
}
static void read_biases(struct item *it, const char *field, const json_t *v)
{
	char why[BIAS_WHY_BYTES];
	const char *key;
	json_t *bias;
	it->prompt.penalties.n_bias = 0;
	it->prompt.own_bias = true;
	if (!json_is_object(v)) {
		wrong(it, field, v, "an object like {\"7\": -100, \"9\": 2.5}, of token ids and biases");
		return;
	}
	json_object_foreach ((json_t *)(uintptr_t)v, key, bias) {
		if (token_key(key) < 0 || !json_is_number(bias))
			snprintf(why, sizeof why, "`%.40s` is not a token id with a number", key);
		else if (penalties_bias(&it->prompt.penalties, token_key(key), json_number_value(bias), why))
			continue;
		problem(it->problems, "%s: `%s`: %s", it->where, field, why);
		return;
	}
}
/* true, or the number of most likely tokens. */
static void read_logprobs(struct item *it, const char *field, const json_t *v)
{
	int n = 0;
	if (!json_is_boolean(v))
		read_whole(it, field, v, 0, DR_LOGPROBS, &n);
	it->prompt.logprobs = json_is_false(v) ? 0 : 1 + n;
}
static void read_top_logprobs(struct item *it, const char *field, const json_t *v)
{
	read_whole(it, field, v, 0, DR_LOGPROBS, &it->top);
}
static void read_seed(struct item *it, const char *field, const json_t *v)
{
	if (json_is_integer(v) && json_integer_value(v) >= 0)
		set_seed(&it->prompt.sampling, (uint64_t)json_integer_value(v));
	else
		wrong(it, field, v, "a whole number from 0 to 9223372036854775807");
}
static void read_prompt(struct item *it, const char *field, const json_t *v)
{
	if (!json_is_string(v))
		wrong(it, field, v, "text");
	else
		it->prompt.text = strcpy(host_alloc(json_string_length(v) + 1, 1), json_string_value(v));
}
static void read_messages(struct item *it, const char *field, const json_t *v)
{
	bool right = json_is_array(v) && json_array_size(v);
	for (size_t i = 0; i < json_array_size(v); i++)
		right = right && json_is_string(json_object_get(json_array_get(v, i), "role"));
	if (!right)
		wrong(it, field, v, "a list of objects like {\"role\": \"user\", \"content\": \"Hello\"}");
	else
		it->prompt.messages = json_incref((json_t *)(uintptr_t)v);
}
static void read_stop(struct item *it, const char *field, const json_t *v)
{
	size_t n = json_is_array(v) ? json_array_size(v) : 1;
	char **text = host_alloc(n, sizeof *text);
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;
		if (!json_is_string(one) || !json_string_length(one)) {
			wrong(it, field, v, "text, or a list of texts, none of them empty");
			n = i;
			break;
		}
		text[i] = (char *)(uintptr_t)json_string_value(one);
	}
	prompt_stop_texts(&it->prompt, text, (int)n);
	free(text);
}
static void read_id(struct item *it, const char *field, const json_t *v)
{
	if (!json_is_string(v) && !json_is_integer(v)) {
		wrong(it, field, v, "text or a whole number");
		return;
	}
	free(it->prompt.name);
	it->prompt.name = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
}

static const struct field {
	const char *name;
	void (*read)(struct item *it, const char *field, const json_t *v);
} fields[] = {
	{"prompt", read_prompt},
	{"messages", read_messages},
	{"ids", read_ids},
	{"max_tokens", read_max_tokens},
	{"temperature", read_temperature},
	{"top_k", read_top_k},
	{"top_p", read_top_p},
	{"min_p", read_min_p},
	{"repetition_penalty", read_repetition},
	{"presence_penalty", read_presence},
	{"frequency_penalty", read_frequency},
	{"logit_bias", read_biases},
	{"logprobs", read_logprobs},
	{"top_logprobs", read_top_logprobs},
	{"seed", read_seed},
	{"stop", read_stop},
	{"stop_ids", read_stop_ids},
	{"id", read_id},
};
enum { FIELDS = sizeof fields / sizeof *fields };

static void read_field(struct item *it, const char *name, const json_t *v)
{
	char known[512] = "";
	for (int i = 0; i < FIELDS; i++)
		if (!strcmp(fields[i].name, name)) {
			fields[i].read(it, name, v);
			return;
		}
	for (int i = 0; i < FIELDS; i++)
		snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", fields[i].name);
	problem(it->problems, "%s: there is no field `%s`; the fields are %s", it->where, name, known);
}

/* ---- prompts --------------------------------------------------------------------------------- */
/* line 0: an element of an array. v NULL: not read, already reported. */
static void add_item(struct options *o, int line, json_t *v, struct problems *p)
{
	struct item it = {
		.options = o, .problems = p, .top = -1, .prompt = prompt_default(o, o->n_prompts, !json_object_get(v, "ids"))};
	const char *name;
	json_t *field;
	it.prompt.line = line;
	prompt_add(o, &it.prompt);
	prompt_where(o, o->n_prompts - 1, it.where, sizeof it.where);
	if (v && !json_is_object(v))
		problem(p, "%s: a prompt must be an object like {\"prompt\": \"Why is the sky blue?\"}", it.where);
	json_object_foreach (v, name, field)
		read_field(&it, name, field);
	int ways = !!json_object_get(v, "ids") + !!json_object_get(v, "prompt") + !!json_object_get(v, "messages");
	if (json_is_object(v) && ways != 1)
		problem(p, "%s: a prompt must have `prompt`, `messages` or `ids`, one of them", it.where);
	if (json_object_get(v, "stop") && json_object_get(v, "ids"))
		problem(p, "%s: `stop` goes with texts; ids have `stop_ids`", it.where);
	if (it.top >= 0 && !json_is_true(json_object_get(v, "logprobs")))
		problem(p, "%s: `top_logprobs` goes with `logprobs`: true", it.where);
	it.prompt.logprobs += it.top > 0 ? it.top : 0;
	o->prompts[o->n_prompts - 1] = it.prompt;
}

static void read_lines(struct options *o, const char *at, const char *end, struct problems *p)
{
	for (int line = 1; at < end; line++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((stop ? stop : end) - at);
		json_error_t e;
		if (strspn(at, " \t\r") < n) {
			json_t *v = json_loadb(at, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
			if (!v)
				problem(p, "%s:%d:%d: %s", o->prompts_file, line, e.column, e.text);
			add_item(o, line, v, p);
			json_decref(v);
		}
		at += n + 1;
	}
}

static void read_array(struct options *o, const char *text, size_t n, struct problems *p)
{
	json_error_t e;
	json_t *all = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e), *v;
	size_t i;
	if (!all)
		problem(p, "%s:%d:%d: %s", o->prompts_file, e.line, e.column, e.text);
	json_array_foreach (all, i, v)
		add_item(o, 0, v, p);
	json_decref(all);
}

void batch_read(struct options *o, struct problems *p)
{
	int before = p->n;
	size_t n;
	char *text = file_text(o->prompts_file, SIZE_MAX, &n, p);
	if (!text)
		return;
	if (text[strspn(text, " \t\r\n")] == '[')
		read_array(o, text, n, p);
	else
		read_lines(o, text, text + n, p);
	o->prompts_hash = fnv1a(FNV_EMPTY, text, n);
	free(text);
	if (!o->n_prompts && p->n == before)
		problem(p, "%s has no prompts", o->prompts_file);
}
