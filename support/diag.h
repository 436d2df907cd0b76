/* The diagnostics sink: every pass reports here, the driver prints what was collected. */
#ifndef DEPLOYC_DIAG_H
#define DEPLOYC_DIAG_H
#include <stdio.h>
#include "source.h"

/* diag.def: X(code, title, explanation). The letter of the code is its severity: E error, W warning. */
enum diag_code {
#define X(code, title, explanation) DIAG_##code,
#include "diag.def"
#undef X
	DIAG_COUNT
};
const char *diag_code_name(enum diag_code c);            /* "E0503" */
bool        diag_is_error(enum diag_code c);

struct diag_label { struct span at; const char *text; };
struct diag {
	enum diag_code code;
	struct span    at;                               /* what to change */
	const char    *message;                          /* lower case, no full stop, names in back-quotes */
	const char    *label;                            /* text beside the underline, or NULL */
	VEC(struct diag_label) related;                  /* why: other places */
	VEC(const char *) notes;                         /* arithmetic */
	VEC(const char *) table;                         /* lines printed under the source as they are (E0701) */
	const char    *help;                             /* an edit in words, or NULL */
	struct span    fix_at; const char *fix;          /* the edit itself, machine-applicable, or NULL */
};

struct sink {
	struct arena   *arena;
	struct sources *sources;
	VEC(struct diag *) diags;
	int errors, warnings;
};

/* Reports one mistake. The same code at the same place with the same message is reported once: the first is returned again. */
struct diag *diag_report(struct sink *s, enum diag_code code, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void diag_label(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_related(struct sink *s, struct diag *d, struct span at, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void diag_note(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_table(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_help(struct sink *s, struct diag *d, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void diag_fix(struct sink *s, struct diag *d, struct span at, const char *replacement);

/* Prints all, sorted by file and offset, as rendered text (language.md section 4). */
void diag_print(const struct sink *s, FILE *out);
#endif
