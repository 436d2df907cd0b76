/* Values of flags: numbers, switches, and what contradicts. */
#include "internal.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void report_value(struct request *r, const struct said *s, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *wrong = arena_vprintf(r->arena, fmt, args);
	va_end(args);
	diag_report(r->sink, DIAG_E1003, s->value.at, "`%s %s`: %s", s->name, s->value.text, wrong);
}

void report_clash(struct request *r, enum flag_meaning a, enum flag_meaning b, const char *fmt, ...)
{
	const struct said *first = said_of(r, a), *second = said_of(r, b);
	va_list args;
	va_start(args, fmt);
	const char *wrong = arena_vprintf(r->arena, fmt, args);
	va_end(args);
	struct diag *d = diag_report(r->sink, DIAG_E1002, first ? first->value.at : r->command, "%s", wrong);
	if (second)
		diag_related(r->sink, d, second->value.at, "`%s`", second->name);
}

void report_part(struct request *r, enum flag_meaning m, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	const char *differs = arena_vprintf(r->arena, fmt, args);
	va_end(args);
	diag_report(r->sink, DIAG_W1005, said_at(r, m), "%s", differs);
}

const struct said *said_of(struct request *r, enum flag_meaning m)
{
	const struct said *last = NULL;
	for (int i = 0; i < r->said.n; i++) {
		const struct said *s = &r->said.at[i];
		if (s->flag->meaning != m || (last && s->in_file && !last->in_file))
			continue;
		if (last && s->in_file == last->in_file && strcmp(last->value.text, s->value.text) != 0) {
			struct diag *d = diag_report(r->sink, DIAG_E1002, s->at, "`%s %s` contradicts `%s %s`", s->name,
			                             s->value.text, last->name, last->value.text);
			diag_related(r->sink, d, last->at, "said before");
		}
		last = s;
	}
	return last;
}

struct span said_at(struct request *r, enum flag_meaning m)
{
	const struct said *s = said_of(r, m);
	return s ? s->value.at : r->command;
}

const char *said_text(struct request *r, enum flag_meaning m)
{
	const struct said *s = said_of(r, m);
	return s ? s->value.text : NULL;
}

/* vLLM's suffixes: k m g are thousands, K M G are powers of 1024. */
static int64_t suffix(enum flag_program p, const char **end)
{
	static const char letters[] = "kmgt";
	const char *at = p == FLAGS_VLLM && **end ? strchr(letters, tolower((unsigned char)**end)) : NULL;
	if (!at)
		return 1;
	int64_t by = isupper((unsigned char)**end) ? 1024 : 1000, scale = 1;
	for (const char *c = letters; c <= at; c++)
		scale *= by;
	(*end)++;
	return scale;
}

enum { MAX_VALUE = 1 << 30 };

int64_t said_count(struct request *r, enum flag_meaning m, int64_t min, int64_t otherwise)
{
	const struct said *s = said_of(r, m);
	if (!s)
		return otherwise;
	char *end;
	double value = strtod(s->value.text, &end);
	const char *rest = end;
	value *= (double)suffix(r->program, &rest);
	if (end == s->value.text || *rest || !isfinite(value) || value != floor(value) || strpbrk(s->value.text, "xX"))
		report_value(r, s, "a whole number is expected");
	else if (value < (double)min || value > MAX_VALUE)
		report_value(r, s, "at least %lld and at most %d are expected", (long long)min, MAX_VALUE);
	else
		return (int64_t)value;
	return otherwise;
}

double said_share(struct request *r, enum flag_meaning m, double otherwise)
{
	const struct said *s = said_of(r, m);
	if (!s)
		return otherwise;
	char *end;
	double value = strtod(s->value.text, &end);
	if (end != s->value.text && !*end && value > 0 && value <= 1)
		return value;
	report_value(r, s, "a share above 0 and at most 1 is expected");
	return otherwise;
}

bool said_on(struct request *r, enum flag_meaning m)
{
	const struct said *s = said_of(r, m);
	if (!s)
		return false;
	static const char *const on[] = {"true", "True", "1", "yes", "on"}, *const off[] = {"false", "False", "0", "no",
	                                                                                    "off"};
	for (size_t i = 0; i < sizeof on / sizeof *on; i++)
		if (!strcmp(s->value.text, on[i]) || !strcmp(s->value.text, off[i]))
			return !strcmp(s->value.text, on[i]);
	report_value(r, s, "true or false is expected");
	return false;
}

/* Words that some flags take in place of a number: what is left open. */
static bool is_open(const struct said *s)
{
	static const enum flag_meaning open[] = {MEANS_LENGTH, MEANS_CHUNK, MEANS_GLOBAL, MEANS_FSDP};
	for (size_t i = 0; i < sizeof open / sizeof *open; i++)
		if (s->flag->meaning == open[i] && (!strcmp(s->value.text, "-1") || !strcmp(s->value.text, "auto")))
			return true;
	return s->flag->meaning == MEANS_TP && !strcmp(s->value.text, "0"); /* DeepSpeed: AutoTP is off */
}

bool check_values(struct request *r)
{
	static const enum flag_meaning counts[] = {MEANS_TP,           MEANS_TP_ALL,    MEANS_PP,
	                                           MEANS_DP,           MEANS_FSDP,      MEANS_EP,
	                                           MEANS_EXPERT_TP,    MEANS_VIRTUAL,   MEANS_VIRTUAL_LAYERS,
	                                           MEANS_NODES,        MEANS_LENGTH,    MEANS_CHUNK,
	                                           MEANS_PAGE,         MEANS_PAGES,     MEANS_POSITIONS,
	                                           MEANS_SEQUENCE,     MEANS_MICRO,     MEANS_LOCAL,
	                                           MEANS_GLOBAL,       MEANS_SEQUENCES, MEANS_ACCUMULATE,
	                                           MEANS_RANKS_OF_NODE};
	static const enum flag_meaning shares[] = {MEANS_MEMORY_ALL, MEANS_MEMORY_STATIC};
	int before = r->sink->errors;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		const struct said *s = said_of(r, counts[i]);
		if (s && !is_open(s))
			said_count(r, counts[i], 1, 0);
	}
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
		said_share(r, shares[i], 0);
	return r->sink->errors == before;
}
