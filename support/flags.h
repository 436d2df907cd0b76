/* Command lines and files of other programs: a table of flags for each program (flags_*.def), and what flags mean
 * (flag_meanings.def). Both directions, `deployc import --from` and `deployc export`, read these tables. */
#ifndef DEPLOYC_FLAGS_H
#define DEPLOYC_FLAGS_H
#include <stdbool.h>
#include <stddef.h>

/* FLAGS_LAUNCHER: what starts the ranks of a training, torchrun or `deepspeed`. */
enum flag_program {
	FLAGS_VLLM,
	FLAGS_SGLANG,
	FLAGS_MEGATRON,
	FLAGS_TORCHTITAN,
	FLAGS_DEEPSPEED,
	FLAGS_LAUNCHER,
	FLAG_PROGRAMS
};
/* How many words follow a flag. A flag without any is a switch: `--x`, `--no-x`. OPTIONAL: one or none. */
enum flag_argument { FLAG_NONE, FLAG_ONE, FLAG_SEVERAL, FLAG_OPTIONAL };
enum flag_meaning {
#define X(id, becomes) MEANS_##id,
#include "flag_meanings.def"
#undef X
	FLAG_MEANINGS
};
struct flag {
	const char *names; /* separated by spaces, the usual one first; `--section.*` is every key of a section */
	enum flag_argument argument;
	enum flag_meaning meaning;
	const char *neutral; /* values with which a flag that is not carried over changes nothing, separated by spaces */
};

const char *flag_program_name(enum flag_program p); /* "vLLM" */
const struct flag *flag_rows(enum flag_program p, int *n);
const char *flag_becomes(enum flag_meaning m); /* Markdown */
/* The row of a name, which starts with `-`, without `=value`. *negated: it is `--no-...` of a switch. NULL: there is
 * none, or it abbreviates several. */
const struct flag *flag_find(enum flag_program p, const char *name, bool *negated);
/* The row whose name is spelled like a word, in any case of letters, with `_` or `-`: `tensor_parallel_size`; names of
 * torchtitan also without their sections. NULL: there is none. */
const struct flag *flag_spelled(enum flag_program p, const char *word);
/* The first row with a meaning, or NULL. */
const struct flag *flag_meaning_row(enum flag_program p, enum flag_meaning m);
/* The usual name of a row: its first one, in `out`, of at most 95 letters. Returns `out`. */
enum { FLAG_NAME = 96 };
const char *flag_name(const struct flag *f, char out[FLAG_NAME]);
/* Is `value` one of those that change nothing? */
bool flag_is_neutral(const struct flag *f, const char *value);

/* published.def: the model of std.models for a name that people give to a checkpoint, such as
 * `meta-llama/Llama-3.1-8B-Instruct`, in any case of letters. NULL: there is none. */
struct published {
	const char *names, *model;
	const char *settings;  /* fields in which the checkpoint differs, "max_ctx = 32_768"; "": none */
	const char *quantised; /* how its weights are stored, if not in a format of the language; NULL: in the model's */
};
const struct published *published_find(const char *name);
/* The first row of a model with these settings; names of torchtitan begin with the prefix `torchtitan/`, others have
 * none: "". NULL: there is no such row. */
const struct published *published_of(const char *model, const char *prefix, const char *settings);
#endif
