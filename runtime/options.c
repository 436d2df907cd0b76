/* The launcher's options and environment: their tables, and their values in struct options. */
#include "options.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "../support/escape.h"

enum option {
#define X(name, value, commands, help) OPTION_##name,
#include "options.def"
#undef X
	OPTIONS
};
static const struct option_row {
	const char *name, *value;
	int commands;
	const char *help;
} option_table[] = {
#define X(name, value, commands, help) {#name, value, commands, help},
#include "options.def"
#undef X
};
static const struct env_row {
	const char *name, *value, *help;
} env_table[] = {
#define X(name, value, help) {#name, value, help},
#include "env.def"
#undef X
};
enum env {
#define X(name, value, help) ENV_##name,
#include "env.def"
#undef X
};
#define COUNT(a) (sizeof(a) / sizeof(a)[0])

/* ---- texts ----------------------------------------------------------------------------------- */
/* The text of an option: its name with dashes for underscores. */
static void option_text(const struct option_row *o, char *out, size_t n)
{
	snprintf(out, n, "--%s%s%s", o->name, *o->value ? " " : "", o->value);
	for (char *c = out; *c && *c != ' '; c++)
		*c = *c == '_' ? '-' : *c;
}

void print_options(void)
{
	char text[64];
	printf("\noptions:\n");
	for (size_t i = 0; i < COUNT(option_table); i++) {
		int commands = option_table[i].commands;
		option_text(&option_table[i], text, sizeof text);
		const char *only = commands == RUN        ? " [run]"
		                   : commands == BENCH    ? " [bench]"
		                   : commands == TOKENIZE ? " [tokenize]"
		                                          : "";
		printf("  %-20s %s%s\n", text, option_table[i].help, only);
	}
	printf("  %-20s %s\n  %-20s %s\n", "--help", "this text", "--version", "what the launcher was made from");
	printf("\nenvironment:\n");
	for (size_t i = 0; i < COUNT(env_table); i++)
		printf("  %-20s %s (%s)\n", env_table[i].name, env_table[i].help, env_table[i].value);
}

/* ---- values ---------------------------------------------------------------------------------- */
/* A whole number in [min, max]; false after a message. */
static bool parse_number(const char *name, const char *text, long min, long max, int *out)
{
	char *end;
	errno = 0;
	long v = strtol(text, &end, 10);
	if (errno || end == text || *end || v < min || v > max) {
		say_error("%s: `%s` is not a number from %ld to %ld", name, text, min, max);
		return false;
	}
	*out = (int)v;
	return true;
}

/* A number in [min, max]; false after a message. */
static bool parse_real(const char *name, const char *text, double min, double max, float *out)
{
	char *end;
	double v = strtod(text, &end);
	if (end == text || *end || !(v >= min && v <= max)) {
		say_error("%s: `%s` is not a number from %g to %g", name, text, min, max);
		return false;
	}
	*out = (float)v;
	return true;
}

static bool parse_seed(struct dr_sampling *s, const char *text)
{
	char *end;
	errno = 0;
	long long v = strtoll(text, &end, 10);
	if (errno || end == text || *end || v < 0) {
		say_error("--seed: `%s` is not a number from 0 to %lld", text, LLONG_MAX);
		return false;
	}
	set_seed(s, (uint64_t)v);
	return true;
}

static bool parse_top_k(struct dr_sampling *s, const char *text)
{
	int n;
	if (!parse_number("--top-k", text, 0, INT32_MAX, &n))
		return false;
	if (n > DR_CANDIDATES)
		say_error("--top-k: %d is more than the %d most likely tokens that a launcher chooses from", n, DR_CANDIDATES);
	s->top_k = n;
	return n <= DR_CANDIDATES;
}

/* Appends a list of token ids to *ids, which has *n of them; false after a message. */
static bool parse_ids(const char *name, const char *text, int32_t **ids, int *n)
{
	*ids = host_grow(*ids, (size_t)*n + strlen(text) / 2 + 1, sizeof **ids);
	for (const char *at = text;; at++) {
		char *end;
		errno = 0;
		long v = strtol(at, &end, 10);
		if (errno || end == at || (*end && *end != ',') || v < 0 || v > INT32_MAX) {
			say_error("%s: `%s` is not a list of token ids like 1,15,7", name, text);
			return false;
		}
		(*ids)[(*n)++] = (int32_t)v;
		at = end;
		if (!*end)
			return true;
	}
}

/* A list such as 7:-100,9:2.5. */
static bool parse_biases(struct penalties *p, const char *text)
{
	char why[BIAS_WHY_BYTES];
	for (const char *at = text;; at++) {
		char *end;
		errno = 0;
		long long token = strtoll(at, &end, 10);
		bool right = !errno && end != at && *end == ':';
		at = right ? end + 1 : at;
		double bias = strtod(at, &end);
		if (!right || end == at || (*end && *end != ',')) {
			say_error("--logit-bias: `%s` is not a list of token ids and biases like 7:-100,9:2.5", text);
			return false;
		}
		if (!penalties_bias(p, token, bias, why)) {
			say_error("--logit-bias: %s", why);
			return false;
		}
		at = end;
		if (!*end)
			return true;
	}
}

static bool parse_prompt(struct options *o, const char *text)
{
	struct prompt *p = prompt_add(o, &(struct prompt){0});
	return parse_ids("--ids", text, &p->ids, &p->n);
}

static bool add_text_prompt(struct options *o, const char *text)
{
	prompt_add(o, &(struct prompt){.text = strcpy(host_alloc(strlen(text) + 1, 1), text)});
	return true;
}

/* A conversation of one message. */
static bool add_message(struct options *o, const char *text)
{
	json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", text);
	if (!messages)
		say_error("--message: the text is not UTF-8");
	else
		prompt_add(o, &(struct prompt){.messages = messages});
	return messages;
}

static bool is_utf8(const char *text)
{
	uint32_t point = 0;
	for (const char *end = text + strlen(text); text < end && point != MALFORMED;)
		text += decode_utf8(text, end, &point);
	return point != MALFORMED;
}

static bool add_stop_text(struct options *o, const char *text)
{
	if (!*text || !is_utf8(text)) {
		say_error("--stop: the text is %s", *text ? "not UTF-8" : "empty");
		return false;
	}
	o->stop_text = host_grow(o->stop_text, (size_t)o->n_stop_text + 1, sizeof *o->stop_text);
	o->stop_text[o->n_stop_text++] = strcpy(host_alloc(strlen(text) + 1, 1), text);
	return true;
}

static bool set_option(struct options *o, enum option option, const char *value)
{
	enum { MAX_THREADS = 4096 };
	switch (option) {
	case OPTION_weights:    o->weights = value; return true;
	case OPTION_decode:     return o->decode = true;
	case OPTION_logits:     o->logits = value; return true;
	case OPTION_ids:        return parse_prompt(o, value);
	case OPTION_prompts:    o->prompts_file = value; return true;
	case OPTION_output_dir: o->output_dir = value; return true;
	case OPTION_measure:    o->measure = true; return true;
	case OPTION_trace:      o->trace = value; return true;
	case OPTION_stop_ids:   return parse_ids("--stop-ids", value, &o->stop, &o->n_stop);
	case OPTION_max_tokens: return parse_number("--max-tokens", value, 1, MAX_COUNT, &o->max_tokens);
	case OPTION_temperature:
		o->given |= TEMPERATURE;
		return parse_real("--temperature", value, 0, MAX_TEMPERATURE, &o->sampling.temperature);
	case OPTION_top_k: o->given |= TOP_K; return parse_top_k(&o->sampling, value);
	case OPTION_top_p: o->given |= TOP_P; return parse_real("--top-p", value, 0, 1, &o->sampling.top_p);
	case OPTION_min_p: o->given |= MIN_P; return parse_real("--min-p", value, 0, 1, &o->sampling.min_p);
	case OPTION_repetition_penalty:
		o->given |= REPETITION;
		return parse_real("--repetition-penalty", value, 1.0 / MAX_REPETITION, MAX_REPETITION,
		                  &o->penalties.repetition);
	case OPTION_presence_penalty:
		return parse_real("--presence-penalty", value, -MAX_PENALTY, MAX_PENALTY, &o->penalties.presence);
	case OPTION_frequency_penalty:
		return parse_real("--frequency-penalty", value, -MAX_PENALTY, MAX_PENALTY, &o->penalties.frequency);
	case OPTION_logprobs:
		if (!parse_number("--logprobs", value, 0, DR_LOGPROBS, &o->logprobs))
			return false;
		o->logprobs++;
		return true;
	case OPTION_logit_bias: return parse_biases(&o->penalties, value);
	case OPTION_message:    return add_message(o, value);
	case OPTION_stop:       return add_stop_text(o, value);
	case OPTION_seed:       return parse_seed(&o->sampling, value);
	case OPTION_prompt:
		return o->bench ? parse_number("--prompt", value, 1, MAX_COUNT, &o->prompt) : add_text_prompt(o, value);
	case OPTION_output:    return parse_number("--output", value, 1, MAX_COUNT, &o->output);
	case OPTION_batch:     return parse_number("--batch", value, 1, MAX_COUNT, &o->batch);
	case OPTION_calibrate: o->calibrate = value; return true;
	case OPTION_threads:   return parse_number("--threads", value, 1, MAX_THREADS, &o->threads);
	case OPTION_unverified:
		if (o->n_unverified == MAX_UNVERIFIED) {
			say_error("--unverified: at most %d names", MAX_UNVERIFIED);
			return false;
		}
		o->unverified[o->n_unverified++] = value;
		return true;
	case OPTIONS: break;
	}
	return false;
}

/* The option in an argument like --max-tokens or --max-tokens=4; OPTIONS: none. */
static enum option find_option(const char *arg, int command)
{
	size_t n = strcspn(arg, "=");
	for (int i = 0; i < OPTIONS; i++) {
		char text[64];
		option_text(&option_table[i], text, sizeof text);
		text[strcspn(text, " ")] = 0;
		if (strlen(text) == n && !strncmp(text, arg, n) && option_table[i].commands & command)
			return (enum option)i;
	}
	return OPTIONS;
}

/* Is it the name of an option, up to its end or `=`? */
static bool is_named(const char *arg, const char *name)
{
	for (; *arg && *arg != '='; arg++, name++)
		if (*name != (*arg == '_' ? '-' : *arg))
			return false;
	return !*name;
}

/* Reports an argument that names no option: another launcher's name for one, or nothing known. */
static void refuse_option(const char *arg)
{
	static const struct {
		const char *name, *here;
	} foreign[] = {
#define X(name, here) {name, here},
#include "foreign.def"
#undef X
	};
	for (size_t i = 0; i < COUNT(foreign); i++)
		if (!strncmp(arg, "--", 2) && is_named(arg + 2, foreign[i].name)) {
			if (foreign[i].here)
				say_error("`%s` is called %s here", arg, foreign[i].here);
			else
				say_error("`%s` is compiled in: change the spec, and compile it again. `plan` prints what it is", arg);
			return;
		}
	say_error("this command has no option `%s`; --help lists its options", arg);
}

bool parse_options(struct options *o, int command, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		enum option option = find_option(argv[i], command);
		const char *value = strchr(argv[i], '=');
		if (option == OPTIONS) {
			refuse_option(argv[i]);
			return false;
		}
		bool takes_value = *option_table[option].value;
		if (takes_value && !value && i + 1 == argc) {
			say_error("%s needs a value: %s", argv[i], option_table[option].value);
			return false;
		}
		if (!takes_value && value) {
			say_error("%.*s takes no value", (int)(value - argv[i]), argv[i]);
			return false;
		}
		if (!set_option(o, option, value ? value + 1 : takes_value ? argv[++i] : NULL))
			return false;
	}
	return true;
}

bool read_environment(struct options *o, enum dr_image_form form)
{
	const char *value[COUNT(env_table)];
	for (size_t i = 0; i < COUNT(env_table); i++) {
		const char *set = getenv(env_table[i].name);
		value[i] = set && *set ? set : env_table[i].value;
	}
	const char *const *names = device_names(form);
	const char *wanted = getenv("DEPLOY_DEVICE");
	o->device = wanted && *wanted ? NULL : names[0];
	for (int i = 0; names[i] && !o->device; i++)
		o->device = strcmp(names[i], wanted) ? NULL : names[i];
	if (o->device)
		return parse_number("DEPLOY_TIMEOUT", value[ENV_DEPLOY_TIMEOUT], 1, 1 << 20, &o->timeout)
		       && parse_number("DEPLOY_SYNC", value[ENV_DEPLOY_SYNC], 0, 1, &o->sync);
	say_error("DEPLOY_DEVICE: a launcher of --target=%s has no device `%s`, but %s%s%s",
	          form == DR_IMAGE_PTX ? "cuda" : "cpu", wanted, names[0], names[1] ? " and " : "",
	          names[1] ? names[1] : "");
	return false;
}

bool options_agree(const struct options *o)
{
	int texts = 0;
	for (int i = 0; i < o->n_prompts; i++)
		texts += prompt_is_text(&o->prompts[i]);
	const char *wrong = o->prompts_file && o->n_prompts ? "--prompts goes without --prompt, --message and --ids"
	                    : texts && texts < o->n_prompts ? "--ids: give them without --prompt and --message"
	                    : o->n_stop_text && !texts && !o->prompts_file
	                        ? "--stop goes with texts: --prompt, --message or --prompts"
	                    : o->prompts_file && o->logits ? "--prompts and --logits: logits are written for --ids only"
	                    : o->prompts_file && !o->output_dir ? "--prompts needs --output-dir, a folder for the answers"
	                    : !o->prompts_file && o->output_dir ? "--output-dir goes with --prompts"
	                    : o->calibrate && o->trace          ? "--calibrate goes without --trace"
	                                                        : NULL;
	if (wrong)
		say_error("%s", wrong);
	return !wrong;
}
