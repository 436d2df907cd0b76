/* What the files of driver/ share. */
#ifndef DEPLOYC_DRIVER_H
#define DEPLOYC_DRIVER_H
#include <stdbool.h>
#include <stdio.h>
#include "../codegen/codegen.h"
#include "../sema/sema.h"
#include "../support/version.h"

enum { EXIT_OK = 0, EXIT_ERRORS = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 }; /* and those of support/heap.h */

enum command {
	COMMAND_BUILD,
	COMMAND_CHECK,
	COMMAND_PLAN,
	COMMAND_GRAPH,
	COMMAND_REPORT,
	COMMAND_TRACE,
	COMMAND_DIFF,
	COMMAND_WHAT_IF,
	COMMAND_SEARCH,
	COMMAND_INIT,
	COMMAND_EXPLAIN,
	COMMAND_LSP,
	COMMAND_COMPLETION,
	COMMAND_MAN,
	COMMAND_FMT,
	COMMAND_DOC,
	COMMAND_IMPORT,
	COMMAND_EXPORT,
	COMMAND_HELP,
	COMMAND_VERSION,
	COMMAND_CPUS
};
enum emit {
	EMIT_LAUNCHER,
	EMIT_AST,
	EMIT_DAG,
	EMIT_DAG_LOCAL,
	EMIT_DAG_SCHED,
	EMIT_LLVM,
	EMIT_ASM,
	EMIT_OBJ,
	EMIT_PTX
};

/* Of --format: each command has some of them. */
enum output_form { FORM_TEXT, FORM_JSON, FORM_MARKDOWN, FORM_HTML, FORM_DOT, OUTPUT_FORMS };

enum error_form { ERRORS_TEXT, ERRORS_JSON, ERRORS_SARIF, ERRORS_GCC, ERROR_FORMS };

struct options {
	enum command command;
	const enum command *about; /* the command that help is about; NULL: all */
	enum emit emit;
	const char **specs;
	int n_specs; /* of `explain`, codes */
	enum error_form error_form;
	enum output_form format;
	bool color, markdown, changes, only_check, upgrade, quiet, kernels, no_goals, locked;
	const char *output, *deploy, *cpu;
	const char *model, *device, *gpus, *here; /* of `init`; NULL: asked for */
	const char *from, *cluster;               /* of `import` */
	int level;
	unsigned unfused; /* fusions that are switched off: a set of enum fusion */
	bool cuda;
	struct sema_options sema;
	struct heap *heap; /* of the current work: run_alone */
};

/* options.c. false after a message on stderr: a mistake in the command line. */
bool options_parse(struct arena *arena, int argc, char **argv, struct options *out);
void options_help(const enum command *about, FILE *out); /* about NULL: everything */

/* complete.c: prints a script for `bash`, `zsh` or `fish` that completes commands and options. false: another shell. */
bool completion_script(const char *shell, FILE *out);
/* man.c: prints the page deployc(1), in the form of man(7). */
void man_page(FILE *out);

/* options.c: the tables of the command line. */
struct option_row {
	char letter;                        /* 0: none */
	const char *name, *argument, *help; /* name NULL: only a letter; argument NULL: takes none */
};
struct command_row {
	enum command command;
	const char *name, *arguments, *help; /* name "": needs no word */
	unsigned options;                    /* a set: bit i is option_rows[i] */
};
extern const struct option_row option_rows[];
extern const int n_option_rows;
extern const struct command_row command_rows[];
extern const int n_command_rows;

/* alone.c: runs a part of the command on a heap of its own (support/heap.h). An internal error or lack of memory ends
 * only this part: its memory is freed and its status returned. `work` gets the options with that heap. */
int run_alone(const struct options *o, int (*work)(const struct options *o, int i), int i);

/* The functions below return an exit status, EXIT_INTERNAL and EXIT_MEMORY among them. */
/* compile.c: runs the passes over spec number `i` of the command line. */
int compile(const struct options *o, int i);
/* Prints what the sink holds in the form that the options name. first: nothing was printed before in this run. */
void print_diagnostics(const struct options *o, const struct sink *sink, bool first);

/* diff.c: prints what differs between two deployments. */
int diff_specs(const struct options *o);

/* what_if.c: prints a table of the deployment with each combination of the values of -D. */
int what_if_spec(const struct options *o);

/* search.c: prints the best of the plans that `auto`, or the mesh of a plan, leaves open. */
int search_spec(const struct options *o);

/* fmt.c: brings file number `i` of the command line into canonical form; with --check, reports that it is not in it. */
int format_file(const struct options *o, int i);

/* doc.c: writes pages for the modules of the command line. */
int document(const struct options *o);

/* compile.c: serves an editor. */
int serve_editor(const struct options *o);

/* import.c: writes the model of a config.json. */
int import_file(const struct options *o);

/* init.c: writes a first spec. */
int init_spec(const struct options *o);

/* export.c: writes the command line of another program, the first word, that runs the deployment of a spec, the second.
 */
int export_spec(const struct options *o);

/* link.c: links object and runtime into an executable at `path` (not renamed or otherwise made atomic). false after a
 * message on stderr. */
bool link_launcher(struct object_code object, const char *path);

/* output.c: a file that appears whole or not at all. path NULL or "-": standard output. */
struct out_file {
	const char *path;
	char *temporary;
	FILE *file;
	struct undo undo;
};
bool output_open(struct arena *arena, struct out_file *o, const char *path);
/* A name beside `path` for another program to write to; no file is held open. Standard output has none. */
bool output_reserve(struct arena *arena, struct out_file *o, const char *path);
/* keep: everything was written, so the file gets its name; otherwise it is removed. false after a message on stderr. */
bool output_close(struct out_file *o, bool keep);
/* From now on, a signal that ends the process removes what output_open and output_reserve have begun. */
void output_guard(void);
#endif
