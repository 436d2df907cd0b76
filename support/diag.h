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
/* The columns of diag.def. TEXT_WRONG is part of a spec that the code answers, TEXT_REPAIRED what to write in its
 * place; NULL where an example says no more than the explanation. */
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

/* A comment `// deploy: allow CODE reason`: takes back warnings of the code in the first line behind it
 * and its like. */
struct allow {
	struct span at, code_at;
	const char *code, *reason;
	bool used;
};

/* "1 rank", "2 ranks": what a noun ends with. */
static inline const char *plural(int64_t n) { return n == 1 ? "" : "s"; }

/* A value that help may suggest, as `-D path=value` says it. */
struct suggestion {
	const char *path, *value;
};

struct sink {
	struct arena *arena;
	struct sources *sources;
	VEC(struct diag *) diags;
	struct index reported; /* of `diags`: code, place and message of each */
	VEC(struct allow) allows;
	int64_t compared;     /* see diag_affords */
	int errors, warnings; /* allowed warnings are not counted */
	/* Checks the deployment again, all of it, with the values suggested: see diag_check. NULL: nothing is suggested. */
	int (*check)(void *context, const char *deploy, enum diag_code mistake, const struct suggestion *values, int n);
	void *context;
};

/* Reports one mistake. The same code at the same place with the same message is reported once: the first is returned
 * again. */
struct diag *diag_report(struct sink *s, enum diag_code code, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void diag_label(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_related(struct sink *s, struct diag *d, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void diag_note(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_table(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_help(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_fix(struct sink *s, struct diag *d, struct span at, const char *replacement);
/* "did you mean `near`?" with the edit. false, nothing said: near is NULL. */
bool diag_suggest(struct sink *s, struct diag *d, struct span at, const char *near);
/* Does a suggestion mend the mistake, and bring no error? Gives the warnings that it brings, by weight; -1: it fails;
 * -2: nothing more is checked, because so much was. Each value in a help text about a deployment is asked for here
 * first. */
int diag_check(const struct sink *s, const char *deploy, enum diag_code mistake, const struct suggestion *values,
               int n);
/* Whether to look for the name that was meant by `name` among so many candidates. false: a text with thousands of
 * mistakes has used up what may be spent on suggestions. */
bool diag_affords(struct sink *s, const char *name, int candidates);
/* Takes out an item, with the `;` and the blanks behind it, as the edit. */
void diag_fix_delete(struct sink *s, struct diag *d, struct span item);

/* allow.c. The scanner gives every line comment; those that start with `deploy:` are kept, or reported (W0011). */
void allow_comment(struct sink *s, struct span comment);
/* Takes back what is allowed. `complete`: every pass ran over all of the file, so a comment that allows nothing is a
 * mistake (W0013). */
void allow_apply(struct sink *s, bool complete);

/* ---- output ---------------------------------------------------------------------------------- */

/* All diagnostics by file and offset, `diags.n` of them. Lives in the sink's arena. */
struct diag *const *diag_sorted(const struct sink *s);

void diag_print(const struct sink *s, FILE *out); /* text, language.md section 4 */
void diag_print_colored(const struct sink *s, FILE *out);
void diag_print_gcc(const struct sink *s, FILE *out);  /* one line each, as gcc writes them, with its parseable fixes */
void diag_print_json(const struct sink *s, FILE *out); /* one object a line; docs/diagnostics.md */
/* SARIF 2.1.0: a log has one run for each spec. */
void sarif_begin(FILE *out);
void sarif_run(const struct sink *s, FILE *out, const char *version, bool first);
void sarif_end(FILE *out);

/* explain.c */
void explain_code(enum diag_code c, FILE *out);
void explain_index(FILE *out);
void explain_markdown(FILE *out); /* docs/errors.md */
#endif
