/* deployc: the command line. */
#include "driver.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../parser/language.h"

/* The case of letters does not matter. */
static bool find_code(const char *text, enum diag_code *code)
{
	char name[16];
	size_t n = strlen(text);
	for (size_t i = 0; i < sizeof name; i++)
		name[i] = (char)(i < n ? toupper((unsigned char)text[i]) : 0);
	return n < sizeof name && diag_find(name, code);
}

static int explain(const struct options *o)
{
	int status = EXIT_OK;
	if (o->markdown)
		explain_markdown(stdout);
	else if (o->changes)
		explain_changes(stdout, DEPLOYC_VERSION, LANGUAGE_VERSION);
	else if (!o->n_specs)
		explain_index(stdout);
	for (int i = 0; i < o->n_specs; i++) {
		enum diag_code code;
		if (find_code(o->specs[i], &code)) {
			fputs(i ? "\n" : "", stdout);
			explain_code(code, stdout);
		} else if (diag_retired(o->specs[i])) {
			complain("the code `%s` is retired: %s", o->specs[i], diag_retired(o->specs[i]));
			status = EXIT_USAGE;
		} else {
			complain("no diagnostic has the code `%s`; `deployc explain` lists them", o->specs[i]);
			status = EXIT_USAGE;
		}
	}
	return status;
}

static int complete_shell(const struct options *o)
{
	if (completion_script(o->specs[0], stdout))
		return EXIT_OK;
	complain("`%s` is not a shell that can be completed in: there are bash, zsh and fish", o->specs[0]);
	return EXIT_USAGE;
}

/* Runs `each` over the files of the command line. */
static int run_specs(const struct options *o, int (*each)(const struct options *, int))
{
	int worst = EXIT_OK;
	if (o->error_form == ERRORS_SARIF)
		sarif_begin(stderr);
	for (int i = 0; i < o->n_specs; i++) {
		int status = each(o, i);
		if (status >= EXIT_INTERNAL)
			return status;
		worst = status > worst ? status : worst;
	}
	if (o->error_form == ERRORS_SARIF)
		sarif_end(stderr);
	return worst;
}

/* Runs a command that looks at its files together. */
static int run_together(const struct options *o, int (*all)(const struct options *))
{
	if (o->error_form == ERRORS_SARIF)
		sarif_begin(stderr);
	int status = all(o);
	if (o->error_form == ERRORS_SARIF && status < EXIT_INTERNAL)
		sarif_end(stderr);
	return status;
}

static int run(const struct options *o)
{
	if (o->command == COMMAND_HELP) {
		options_help(o->about, stdout);
		return EXIT_OK;
	}
	if (o->command == COMMAND_VERSION) {
		puts("deployc " DEPLOYC_VERSION);
		return EXIT_OK;
	}
	if (o->command == COMMAND_EXPLAIN)
		return explain(o);
	if (o->command == COMMAND_IMPORT)
		return run_together(o, import_file);
	if (o->command == COMMAND_EXPORT)
		return run_together(o, export_spec);
	if (o->command == COMMAND_MAN) {
		man_page(stdout);
		return EXIT_OK;
	}
	if (o->command == COMMAND_COMPLETION)
		return complete_shell(o);
	if (o->command == COMMAND_LSP)
		return serve_editor(o);
	if (o->command == COMMAND_DOC)
		return document(o);
	if (o->command == COMMAND_DIFF)
		return run_together(o, diff_specs);
	if (o->command == COMMAND_WHAT_IF)
		return run_together(o, what_if_spec);
	if (o->command == COMMAND_INIT)
		return init_spec(o);
	if (o->command == COMMAND_SEARCH)
		return run_together(o, search_spec);
	if (o->command == COMMAND_FMT)
		return run_specs(o, format_file);
	if (o->command == COMMAND_CPUS)
		return codegen_cpus() ? EXIT_OK : EXIT_ERRORS;
	return run_specs(o, compile);
}

/* Opens /dev/null for each standard file that is closed. Else a file that is opened later would get its number, and the
 * text meant for it. */
static void occupy_standard_files(void)
{
	static const int useless[] = {O_WRONLY, O_RDONLY, O_RDONLY};
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", useless[fd]);
}

struct command_line {
	struct heap heap;
	int argc;
	char **argv;
};

static int run_line(void *context)
{
	struct command_line *line = context;
	struct arena arena = {.heap = &line->heap};
	struct options o;
	return options_parse(&arena, line->argc, line->argv, &o) ? run(&o) : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	occupy_standard_files();
	output_guard();
	json_set_alloc_funcs(heap_malloc, heap_free);
	struct command_line line = {.heap.apart = getenv("DEPLOYC_APART") != NULL, .argc = argc, .argv = argv};
	int status = heap_run(&line.heap, run_line, &line);
	if (status == EXIT_MEMORY)
		_exit(status); /* without flushing standard output: the text in its buffer is incomplete */
	if ((fflush(stdout) || ferror(stdout)) && status == EXIT_OK) {
		complain("cannot write standard output: %s", strerror(errno));
		return EXIT_ERRORS;
	}
	return status;
}
