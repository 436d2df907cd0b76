/* The diagnostics sink: every pass reports here, the driver prints what was collected. */
#ifndef DEPLOYC_DIAG_H
#define DEPLOYC_DIAG_H
#include <stdio.h>
#include "names.h"
#include "source.h"

/* diag.def: X(code, title, explanation[, wrong, repaired]). The letter of the code is its severity: E
 * error, W warning. */
enum diag_code {
#define X(code, ...) DIAG_##code,
#include "diag.def"
#undef X
	DIAG_COUNT
};
const char *diag_code_name(enum diag_code c); /* "E0503" */
bool diag_is_error(enum diag_code c);
bool diag_find(const char *name, enum diag_code *c); /* false: no such code */
/* The columns of diag.def. TEXT_WRONG is part of a spec that has the mistake, TEXT_REPAIRED what to write in its
 * place; NULL if an example adds nothing to the explanation. */
enum diag_text { TEXT_TITLE, TEXT_EXPLANATION, TEXT_WRONG, TEXT_REPAIRED, DIAG_TEXTS };
const char *diag_text(enum diag_code c, enum diag_text which);

struct diag_label {
	struct span at;
	const char *text;
};
struct diag {
	enum diag_code code;
	struct span at;                 /* what to change */
	const char *message;            /* lower case, no full stop, names in back-quotes */
	const char *label;              /* text beside the underline, or NULL */
	VEC(struct diag_label) related; /* why: other places */
	VEC(const char *) notes;        /* arithmetic */
	VEC(const char *) table;        /* lines printed under the source as they are (E0701) */
	const char *help;               /* an edit in words, or NULL */
	struct span fix_at;
	const char *fix;     /* the edit itself, machine-applicable, or NULL */
	const char *allowed; /* a warning that the spec allows, and its reason; else NULL */
};

/* A comment `// deploy: allow CODE reason`: suppresses warnings of that code on its own line or, if nothing precedes it
 * there, on the next line that is not such a comment. */
struct allow {
	struct span at, code_at;
	const char *code, *reason;
	bool used;
};

/* "1 rank", "2 ranks": the ending of a noun. */
static inline const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

/* A value that help may suggest, as in `-D path=value`. */
struct suggestion {
	const char *path, *value;
};

struct sink {
	struct arena *arena;
	struct sources *sources;
	VEC(struct diag *) diags;
	struct index reported; /* code, place and message of each of `diags` */
	VEC(struct allow) allows;
	int64_t compared;     /* see diag_affords */
	int repeated;         /* the least number of a report that was made again, if it is below what a caller set here */
	int errors, warnings; /* allowed warnings are not counted */
	bool first_only;      /* nobody asks for more than one error: a pass may stop at it */
	/* Checks the whole deployment again with the suggested values: see diag_check. NULL: nothing is suggested. */
	int (*check)(void *context, const char *deploy, enum diag_code mistake, const struct suggestion *values, int n);
	void *context;
};

/* Reports one mistake. If code, place and message equal those of an earlier report, returns that report. */
struct diag *diag_report(struct sink *s, enum diag_code code, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void diag_label(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_related(struct sink *s, struct diag *d, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void diag_note(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_table(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_help(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_fix(struct sink *s, struct diag *d, struct span at, const char *replacement);
/* Several edits of one file as one: the text from the first to the last of them. They do not overlap; any order. */
struct edit {
	struct span at;
	const char *text;
};
void diag_fix_edits(struct sink *s, struct diag *d, const struct edit *edits, int n);
/* "did you mean `near`?" with the edit. false, and no help: near is NULL. */
bool diag_suggest(struct sink *s, struct diag *d, struct span at, const char *near);
/* Forgets the last reports, as far as they are about this file. */
void diag_forget(struct sink *s, uint32_t file);
/* Does a suggestion repair the mistake without causing an error? Returns the weight of the warnings that it causes;
 * -1: no; -2: not checked, because the budget for checks is spent. Every value in a help text about a deployment is
 * checked here first. */
int diag_check(const struct sink *s, const char *deploy, enum diag_code mistake, const struct suggestion *values,
               int n);
/* May one look for a name near `name` among so many candidates? false: thousands of mistakes have used up the budget
 * for suggestions. */
bool diag_affords(struct sink *s, const char *name, int candidates);
/* Sets an edit that deletes an item, with the `;` and the spaces after it. */
void diag_fix_delete(struct sink *s, struct diag *d, struct span item);

/* allow.c. The scanner passes every line comment; those that start with `deploy:` are kept, or reported (W0011). */
void allow_comment(struct sink *s, struct span comment);
/* Suppresses what is allowed. `complete`: every pass ran over the whole file, so a comment that suppresses nothing is a
 * mistake (W0013). */
void allow_apply(struct sink *s, bool complete);

/* ---- output ---------------------------------------------------------------------------------- */

/* All diagnostics by file and offset, `diags.n` of them. Lives in the sink's arena. */
struct diag *const *diag_sorted(const struct sink *s);

void diag_print(const struct sink *s, FILE *out); /* text, with source lines */
void diag_print_colored(const struct sink *s, FILE *out);
void diag_print_gcc(const struct sink *s, FILE *out);  /* one line each, in gcc's format, with its parseable fixes */
void diag_print_json(const struct sink *s, FILE *out); /* one object per line; docs/diagnostics.md */
/* SARIF 2.1.0: a log has one run for each spec. */
void sarif_begin(FILE *out);
void sarif_run(const struct sink *s, FILE *out, const char *version, bool first);
void sarif_end(FILE *out);

/* explain.c */
void explain_code(enum diag_code c, FILE *out);
void explain_index(FILE *out);
void explain_markdown(FILE *out); /* docs/errors.md */
/* changes.c. docs/changelog.md, for this version of deployc and of the language. */
void explain_changes(FILE *out, const char *version, int language);
const char *diag_retired(const char *name); /* why; NULL: the code is in use, or there never was one */
#endif
