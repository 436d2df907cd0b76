/* What the passes of the compiler found in a document, kept until its text changes. */
#ifndef DEPLOYC_LSP_ANALYSIS_H
#define DEPLOYC_LSP_ANALYSIS_H
#include "document.h"
#include "../planner/passes.h"

struct analysis {
	struct arena arena; /* owned by no heap: it outlives the work on a message */
	struct names names;
	struct sources sources;
	struct sink sink;
	struct sema_options options;
	struct sema *sema;
	struct passes passes;
	struct trials trials;
	struct planned *planned; /* of each deployment of the file */
	int n;
	const struct reference *references; /* sorted by use */
	int n_references;
	int status; /* EXIT_INTERNAL, EXIT_MEMORY: the passes were given up, and what they found until then is here */
};

/* What the passes are run with. */
struct analysis_options {
	const struct sema_options *sema; /* its overlays are replaced by the documents */
	const struct document *documents;
	const struct target *target;
	const char *deploy; /* only this deployment is planned; NULL: all */
};

/* Runs the passes over the document, but for goals. Never NULL; freed by analysis_free. */
struct analysis *analysis_make(const struct analysis_options *o, const struct document *d);
/* Runs sema alone over another text of the document, such as one with a name where the cursor is. */
struct analysis *analysis_of_text(const struct analysis_options *o, const struct document *d, struct file_text text);
/* Judges the goals of the deployments, which may time them. */
void analysis_judge(struct analysis *a);
void analysis_free(struct analysis *a); /* may be NULL */

/* Was the text read? Not if the passes were given up before. */
bool analysis_is_read(const struct analysis *a);
/* The text of the document itself. */
const struct source *analysis_source(const struct analysis *a);
/* Does it read the file of this key? */
bool analysis_reads(const struct analysis *a, const char *key);
#endif
