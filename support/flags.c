/* Tables of the flags of other programs. */
#include "flags.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define F(names, argument, meaning, neutral) {names, FLAG_##argument, MEANS_##meaning, neutral},
static const struct flag vllm[] = {
#include "flags_vllm.def"
};
static const struct flag sglang[] = {
#include "flags_sglang.def"
};
static const struct flag megatron[] = {
#include "flags_megatron.def"
};
static const struct flag torchtitan[] = {
#include "flags_torchtitan.def"
};
static const struct flag deepspeed[] = {
#include "flags_deepspeed.def"
};
static const struct flag launcher[] = {
#include "flags_launcher.def"
};
#undef F

/* abbreviates: argparse takes the first letters of a name, if no other name has them. */
#define PROGRAM(name, table, abbreviates) {name, table, sizeof(table) / sizeof *(table), abbreviates}
static const struct {
	const char *name;
	const struct flag *rows;
	int n;
	bool abbreviates;
} programs[] = {
	[FLAGS_VLLM] = PROGRAM("vLLM", vllm, true),
	[FLAGS_SGLANG] = PROGRAM("SGLang", sglang, true),
	[FLAGS_MEGATRON] = PROGRAM("Megatron-LM", megatron, false),
	[FLAGS_TORCHTITAN] = PROGRAM("torchtitan", torchtitan, false),
	[FLAGS_DEEPSPEED] = PROGRAM("DeepSpeed", deepspeed, false),
	[FLAGS_LAUNCHER] = PROGRAM("the launcher", launcher, false),
};
_Static_assert(sizeof programs / sizeof *programs == FLAG_PROGRAMS, "a table for each program");

static const char *const becomes[] = {
#define X(id, text) text,
#include "flag_meanings.def"
#undef X
};

const char *flag_program_name(enum flag_program p) { return programs[p].name; }

const struct flag *flag_rows(enum flag_program p, int *n)
{
	*n = programs[p].n;
	return programs[p].rows;
}

const char *flag_becomes(enum flag_meaning m) { return becomes[m]; }

/* How much of a name agrees with one of a row: 0 nothing, 1 it is in its section, 2 it abbreviates it, 3 all. */
static int agrees(const char *names, const char *name, size_t n)
{
	int best = 0;
	for (const char *at = names; *at; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");
		bool section = length > 2 && at[length - 1] == '*';
		int how = section ? !strncmp(at, name, length - 1) : strncmp(at, name, n) ? 0 : length == n ? 3 : 2;
		best = how > best ? how : best;
		at += length;
	}
	return best;
}

static const struct flag *find(enum flag_program p, const char *name, size_t n)
{
	const struct flag *found[3] = {0};
	int abbreviated = 0;
	for (int i = 0; i < programs[p].n; i++) {
		const struct flag *f = &programs[p].rows[i];
		int how = agrees(f->names, name, n);
		if (how == 3)
			return f;
		if (how)
			found[how] = f;
		abbreviated += how == 2;
	}
	return programs[p].abbreviates && n > 3 && abbreviated == 1 ? found[2] : found[1];
}

const struct flag *flag_find(enum flag_program p, const char *name, bool *negated)
{
	char positive[FLAG_NAME];
	const struct flag *f = find(p, name, strlen(name));
	*negated = false;
	if (f || strncmp(name, "--no-", 5) != 0 || strlen(name) >= sizeof positive)
		return f;
	snprintf(positive, sizeof positive, "--%s", name + 5);
	f = find(p, positive, strlen(positive));
	*negated = f && f->argument == FLAG_NONE;
	return *negated ? f : NULL;
}

static char plain_letter(char c) { return c == '-' || c == '.' ? '_' : (char)tolower((unsigned char)c); }

static bool is_spelled(const char *name, size_t n, const char *word)
{
	size_t i = 0;
	while (i < n && word[i] && plain_letter(name[i]) == plain_letter(word[i]))
		i++;
	return i == n && !word[i];
}

/* A long name, without its dashes. */
static bool spells(enum flag_program p, const char *name, size_t n, const char *word)
{
	size_t section = n;
	if (n < 3 || strncmp(name, "--", 2) != 0)
		return false;
	while (section && name[section - 1] != '.')
		section--;
	return is_spelled(name + 2, n - 2, word)
	       || (p == FLAGS_TORCHTITAN && section && is_spelled(name + section, n - section, word));
}

const struct flag *flag_spelled(enum flag_program p, const char *word)
{
	for (int i = 0; i < programs[p].n; i++)
		for (const char *at = programs[p].rows[i].names; *at; at += strspn(at, " ")) {
			size_t n = strcspn(at, " ");
			if (spells(p, at, n, word))
				return &programs[p].rows[i];
			at += n;
		}
	return NULL;
}

const struct flag *flag_meaning_row(enum flag_program p, enum flag_meaning m)
{
	for (int i = 0; i < programs[p].n; i++)
		if (programs[p].rows[i].meaning == m)
			return &programs[p].rows[i];
	return NULL;
}

const char *flag_name(const struct flag *f, char out[FLAG_NAME])
{
	snprintf(out, FLAG_NAME, "%.*s", (int)strcspn(f->names, " "), f->names);
	return out;
}

/* ---- models ---------------------------------------------------------------------------------- */

static const struct published published[] = {
#define P(names, model, settings, quantised) {names, #model, settings, quantised},
#include "published.def"
#undef P
};

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = words; n && *at; at += strspn(at, " ")) {
		size_t length = strcspn(at, " ");
		if (length == n && !strncasecmp(at, word, n))
			return true;
		at += length;
	}
	return false;
}

bool flag_is_neutral(const struct flag *f, const char *value) { return has_word(f->neutral, value); }

const struct published *published_find(const char *name)
{
	for (size_t i = 0; i < sizeof published / sizeof *published; i++)
		if (has_word(published[i].names, name))
			return &published[i];
	return NULL;
}

const struct published *published_of(const char *model, const char *prefix, const char *settings)
{
	static const char titan[] = "torchtitan/";
	for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
		const struct published *p = &published[i];
		bool titans = !strncmp(p->names, titan, strlen(titan));
		if (model && !strcmp(p->model, model) && !strcmp(p->settings, settings) && titans == (*prefix != 0))
			return p;
	}
	return NULL;
}
