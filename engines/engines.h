/* Command lines and files of other programs -> specs, and specs -> their command lines. */
#ifndef DEPLOYC_ENGINES_H
#define DEPLOYC_ENGINES_H
#include "../sema/sema.h"
#include "../support/flags.h"
#include "../target/target.h"

struct engine_options {
	const struct sema_options *sema;
	const struct target *target; /* for which a spec is planned */
	struct heap *heap;
	const char *folder;              /* of the config.json of the model; NULL: the command line names the model */
	const char *cluster;             /* of std.clusters; NULL: DGX_H100 */
	const struct model_facts *facts; /* of a deployment that is exported, in place of a model; else NULL */
	const char *output;              /* the file to write, from whose folder the model imports; NULL: standard output */
};

/* The spec for what `from` starts: a command line, or the path of a script or of a file of settings (JSON, TOML, YAML).
 * What has no counterpart is a report in `sink`, with its place in the command line. NULL: none, after reports or
 * messages. */
const char *engine_import(struct arena *arena, struct names *names, struct sink *sink, const char *from,
                          const struct engine_options *o);

/* The text of a loaded spec, for which its deployment is compared. */
struct engine_spec {
	const char *path, *text; /* as it was given to sema_load */
};
/* The command line that runs what the deployment is. What flags do not say is reported (W1009). NULL: none does, which
 * is reported (E1008). The deployment was checked without errors. */
const char *engine_export(struct arena *arena, struct names *names, struct sink *sink, const struct engine_spec *spec,
                          const struct deploy *d, enum flag_program program, const struct engine_options *o);
#endif
