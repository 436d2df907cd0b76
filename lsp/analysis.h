/* What the passes of the compiler found in a document, kept until its text changes. */
#ifndef DEPLOYC_LSP_ANALYSIS_H
#define DEPLOYC_LSP_ANALYSIS_H
#include "document.h"
#include "../planner/lock.h"
#include "../planner/passes.h"

/* Memory of analyses that ended, for those that follow: the pages of new memory cost as much time as the passes. */
enum { SPARES = 32 };
struct spares {
	struct arena at[SPARES];
	int n;
};
void spares_free(struct spares *s);

/* A deployment of the file. */
struct deployment {
	struct planned planned; /* read it by analysis_planned */
	bool is_planned;
	int first_report, end_report; /* its reports by the passes, in the sink */
	bool reports_stand;           /* they are all that the passes report, and no earlier report became theirs too */
	bool untried;                 /* they lack suggestions that were not tried */
};

/* A value that a text leaves open: `auto`, `auto in [4, 8]`. */
struct open_value {
	const char *file; /* the path of its source */
	struct span at;
	const char *deploy; /* the deployment that it belongs to */
	const char *chosen; /* the value of the lock, as text of the language; NULL: it has none */
};

struct analysis {
	struct spares *spares;
	struct arena arena; /* owned by no heap: it outlives the work on a message */
	struct names names;
	struct sources sources;
	struct sink sink;
	struct sema_options options;
	struct sema *sema;
	struct passes passes;
	struct trials trials;
	struct deployment *deployments;
	int n;
	VEC(struct joint *) joints; /* what plans several of them together */
	struct lock lock;           /* of the document, whose values are used */
	VEC(struct open_value) open;
	int judged;                         /* deployments, and then what plans several together, whose goals are judged */
	bool tries;                         /* values that reports would suggest are tried */
	const struct reference *references; /* sorted by use */
	int n_references;
	bool untried; /* reports lack suggestions that were not tried */
	int status;   /* EXIT_INTERNAL, EXIT_MEMORY: the passes were given up, and what they found until then is here */
	char error[MAX_SAID]; /* the internal error */
};

/* What the passes are run with. */
struct analysis_options {
	const struct sema_options *sema; /* its overlays are replaced by the documents */
	const struct document *documents;
	const struct target *target;
	const char *deploy; /* only this deployment, or several together, is planned; NULL: all */
	struct spares *spares;
};

/* Runs the passes over the document, but for goals. tries: values that a help text would suggest are tried, each by
 * another run over the deployment. Takes over what `before` found about deployments that did not change; NULL: nothing.
 * Never NULL; freed by analysis_free. */
struct analysis *analysis_make(const struct analysis_options *o, const struct document *d,
                               const struct analysis *before, bool tries);
/* Runs sema alone over another text of the document, such as one with a name where the cursor is. */
struct analysis *analysis_of_text(const struct analysis_options *o, const struct document *d, struct file_text text);
/* What the passes made of deployment i: they are run now if its reports were taken over. */
const struct planned *analysis_planned(struct analysis *a, int i);
/* Judges the goals of the next deployment, which may time it; after all of them, plans the next `serve` or `share`.
 * false: that was the last. */
bool analysis_judge(struct analysis *a);
void analysis_free(struct analysis *a); /* may be NULL */

/* Was the text read? Not if the passes were given up before. */
bool analysis_is_read(const struct analysis *a);
/* The text of the document itself. */
const struct source *analysis_source(const struct analysis *a);
/* A value that is left open around a place: the first, or the next after one. NULL: there is none. */
const struct open_value *analysis_open(const struct analysis *a, struct span at, const struct open_value *after);
/* Does it read the file of this key? */
bool analysis_reads(const struct analysis *a, const char *key);
#endif
