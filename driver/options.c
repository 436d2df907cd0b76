/* The command line, from the one table of options. */
#include "driver.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../dag/dag.h"
#include "../support/escape.h"
#include "../support/names.h"

enum option_id {
#define X(id, letter, name, argument, help) OPTION_##id,
#include "options.def"
#undef X
	OPTIONS
};
const struct option_row option_rows[] = {
#define X(id, letter, name, argument, help) {letter, name, argument, help},
#include "options.def"
#undef X
};
const int n_option_rows = OPTIONS;
_Static_assert(OPTIONS <= 32, "sets of options are words of 32 bits");

/* The options that a command takes, as a set. */
#define OF(id)      (1u << OPTION_##id)
#define OF_MISTAKES (OF(ERRORS) | OF(COLOR))
#define OF_SPECS    (OF(DEPLOY) | OF(SET) | OF(INCLUDE) | OF(CPU) | OF(FUSE) | OF(GOALS) | OF_MISTAKES)
const struct command_row command_rows[] = {
#define X(id, name, arguments, help, options) {COMMAND_##id, name, arguments, help, options},
#include "commands.def"
#undef X
};
enum { COMMANDS = sizeof command_rows / sizeof *command_rows };
const int n_command_rows = COMMANDS;

static const struct {
	const char *name;
	enum emit form;
} forms[] = {
	{"ast", EMIT_AST},
	{"dag", EMIT_DAG},
	{"dag-local", EMIT_DAG_LOCAL},
	{"dag-sched", EMIT_DAG_SCHED},
	{"llvm", EMIT_LLVM},
	{"asm", EMIT_ASM},
	{"obj", EMIT_OBJ},
	{"ptx", EMIT_PTX},
};
enum { FORMS = sizeof forms / sizeof *forms };

static const char *const output_forms[OUTPUT_FORMS] = {
	[FORM_TEXT] = "text", [FORM_JSON] = "json", [FORM_MARKDOWN] = "markdown", [FORM_HTML] = "html", [FORM_DOT] = "dot"};
/* The forms of what a command prints. */
static const struct {
	enum command command;
	enum output_form forms[2];
} formats[] = {
	{COMMAND_PLAN, {FORM_TEXT, FORM_JSON}}, /* the first is the default */
	{COMMAND_DIFF, {FORM_TEXT, FORM_JSON}},   {COMMAND_WHAT_IF, {FORM_TEXT, FORM_JSON}},
	{COMMAND_GRAPH, {FORM_DOT, FORM_JSON}},   {COMMAND_REPORT, {FORM_HTML, FORM_JSON}},
	{COMMAND_SEARCH, {FORM_TEXT, FORM_JSON}}, {COMMAND_DOC, {FORM_MARKDOWN, FORM_HTML}},
};

static const struct {
	enum command command;
	const char *line, *help;
} examples[] = {
#define X(id, line, help) {COMMAND_##id, line, help},
#include "examples.def"
#undef X
};

struct parsing {
	struct arena *arena;
	struct options *out;
	const char *format;      /* of --format; NULL: the default */
	VEC(const char *) words; /* arguments that are not options */
	VEC(const char *) include;
	unsigned given; /* a set of options */
};

/* ---- messages -------------------------------------------------------------------------------- */

static bool __attribute__((format(printf, 1, 2))) usage(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("deployc: ", stderr);
	vprint_escaped(stderr, fmt, args);
	fputs("\nTry `deployc --help`.\n", stderr);
	va_end(args);
	return false;
}

static bool unknown_option(const char *name)
{
	const char *all[OPTIONS];
	int n = 0;
	for (int i = 0; i < OPTIONS; i++)
		if (option_rows[i].name)
			all[n++] = option_rows[i].name;
	const char *near = nearest_name(name, all, n);
	return near ? usage("unknown option `--%s`, did you mean `--%s`?", name, near)
	            : usage("unknown option `--%s`", name);
}

static void put_option(const struct option_row *o, FILE *out)
{
	char text[64] = "";
	if (o->letter)
		snprintf(text, sizeof text, "-%c%s%s", o->letter, o->name ? ", --" : "", o->name ? o->name : "");
	else
		snprintf(text, sizeof text, "--%s", o->name);
	size_t n = strlen(text);
	if (o->argument)
		snprintf(text + n, sizeof text - n, "%s%s", o->name ? "=" : " ", o->argument);
	fprintf(out, "  %-21s %s\n", text, o->help);
}

/* Prints the lines of one command, or of all. Returns the set of options that they take. */
static unsigned put_commands(const enum command *about, FILE *out)
{
	unsigned options_of = 0;
	for (int i = 0; i < COMMANDS; i++) {
		const struct command_row *c = &command_rows[i];
		char text[64];
		if (about && c->command != *about)
			continue;
		snprintf(text, sizeof text, "deployc %s%s%s", c->name, *c->name ? " " : "", c->arguments);
		fprintf(out, "  %-31s %s\n", text, c->help);
		options_of |= c->options;
	}
	return options_of;
}

static void put_examples(enum command about, FILE *out)
{
	for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
		if (examples[i].command == about)
			fprintf(out, "Example: %s\n  %s\n\n", examples[i].line, examples[i].help);
}

void options_help(const enum command *about, FILE *out)
{
	if (!about)
		fputs("deployc: compiles a .deploy spec to a launcher\n\n", out);
	unsigned shown = put_commands(about, out);
	if (!about)
		shown = ~0u;
	if (shown)
		putc('\n', out);
	for (int i = 0; i < OPTIONS; i++)
		if (shown >> i & 1)
			put_option(&option_rows[i], out);
	if (shown)
		putc('\n', out);
	if (about)
		put_examples(*about, out);
	if (shown & OF(DEPLOY) && (!about || *about != COMMAND_LSP))
		fputs("SPEC is a file, or `-` for standard input.\n", out);
	fputs("Exit status: 0; 1 for errors in the spec; 2 for errors in the command line; 70 for a bug in deployc; 71 "
	      "for lack of memory.\n",
	      out);
}

/* ---- values of options ----------------------------------------------------------------------- */

static bool set_emit(struct options *o, const char *value)
{
	const char *names[FORMS];
	for (int i = 0; i < FORMS; i++) {
		names[i] = forms[i].name;
		if (!strcmp(value, names[i])) {
			o->emit = forms[i].form;
			return true;
		}
	}
	const char *near = nearest_name(value, names, FORMS);
	return usage("unknown form `%s`%s%s%s", value, near ? ", did you mean `" : "", near ? near : "", near ? "`?" : "");
}

static bool set_error_format(struct options *o, const char *value)
{
	static const char *const names[] = {
		[ERRORS_TEXT] = "text", [ERRORS_JSON] = "json", [ERRORS_SARIF] = "sarif", [ERRORS_GCC] = "gcc"};
	for (int i = 0; i < ERROR_FORMS; i++)
		if (!strcmp(value, names[i])) {
			o->error_form = (enum error_form)i;
			return true;
		}
	return usage("unknown form of diagnostics `%s`: there are text, json, sarif and gcc", value);
}

/* NO_COLOR (no-color.org), unless it is empty, overrides the value. */
static bool set_color(struct options *o, const char *value)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
	bool shows = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
	if (strcmp(value, "auto") != 0 && strcmp(value, "always") != 0 && strcmp(value, "never") != 0)
		return usage("--color must be auto, always or never, not `%s`", value);
	o->color = !(no_color && *no_color) && value[0] != 'n' && (shows || value[1] == 'l');
	return true;
}

static bool is_path(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bool starts = i == 0 || s[i - 1] == '.';
		if (s[i] == '.' ? starts
		    : starts    ? !(isalpha((unsigned char)s[i]) || s[i] == '_')
		                : !(isalnum((unsigned char)s[i]) || s[i] == '_'))
			return false;
	}
	return n && s[n - 1] != '.';
}

/* `plan.rule expert at moe`: where a rule of the plan places its axes. */
static bool is_rule_path(const char *s, size_t n)
{
	static const char word[] = ".rule ";
	const char *at = strstr(s, word);
	if (!at || (size_t)(at - s) + strlen(word) >= n || !is_path(s, (size_t)(at - s)))
		return false;
	for (const char *c = at + strlen(word); c < s + n; c++)
		if (!isalnum((unsigned char)*c) && !strchr("_ *", *c))
			return false;
	return true;
}

/* PATH=VALUE; sema.set grows by one. */
static bool set_field(struct parsing *p, const char *value)
{
	struct sema_options *sema = &p->out->sema;
	const char *equals = strchr(value, '=');
	size_t length = equals ? (size_t)(equals - value) : 0;
	if (!equals || !equals[1] || (!is_path(value, length) && !is_rule_path(value, length)))
		return usage("-D expects PATH=VALUE, such as `-D plan.tp=2`, found `%s`", value);
	void *grown = arena_alloc(p->arena, sizeof *sema->set * (size_t)(sema->n_set + 1));
	if (sema->n_set)
		memcpy(grown, sema->set, sizeof *sema->set * (size_t)sema->n_set);
	sema->set = grown;
	sema->set[sema->n_set].path = arena_strndup(p->arena, value, (size_t)(equals - value));
	sema->set[sema->n_set++].value = equals + 1;
	return true;
}

/* `no-rows`: adds to the set of fusions that are switched off. */
static bool set_fusion(struct parsing *p, const char *value)
{
	struct text all = {.arena = p->arena};
	for (int i = 0; i < FUSIONS; i++) {
		const char *name = arena_printf(p->arena, "no-%s", fusion_name((enum fusion)i));
		text_add(&all, "%s`%s`", i ? ", " : "", name);
		if (strcmp(value, name) != 0)
			continue;
		p->out->unfused |= 1u << i;
		return true;
	}
	return usage("-f takes one of %s, found `%s`", all.at, value);
}

static bool apply(struct parsing *p, enum option_id id, const char *value)
{
	struct options *o = p->out;
	switch (id) {
	case OPTION_OUTPUT:  o->output = value; return true;
	case OPTION_DEPLOY:  o->deploy = value; return true;
	case OPTION_SET:     return set_field(p, value);
	case OPTION_INCLUDE: vec_push(p->arena, &p->include, value); return true;
	case OPTION_EMIT:    return set_emit(o, value);
	case OPTION_CPU:
		o->cpu = value;
		if (!strcmp(value, "help"))
			o->command = COMMAND_CPUS;
		return true;
	case OPTION_FUSE:    return set_fusion(p, value);
	case OPTION_CHECK:   o->only_check = true; return true;
	case OPTION_UPGRADE: o->upgrade = true; return true;
	case OPTION_CHANGES: o->changes = true; return true;
	case OPTION_FORMAT:  p->format = value; return true;
	case OPTION_QUIET:   o->quiet = true; return true;
	case OPTION_GOALS:   o->no_goals = true; return true;
	case OPTION_LOCKED:  o->locked = true; return true;
	case OPTION_KERNELS: o->kernels = true; return true;
	case OPTION_MODEL:   o->model = value; return true;
	case OPTION_DEVICE:  o->device = value; return true;
	case OPTION_GPUS:    o->gpus = value; return true;
	case OPTION_HERE:    o->here = value; return true;
	case OPTION_FROM:    o->from = value; return true;
	case OPTION_CLUSTER: o->cluster = value; return true;
	case OPTION_HELP:    o->command = COMMAND_HELP; return true;
	case OPTION_VERSION: o->command = COMMAND_VERSION; return true;
	case OPTION_LEVEL:
		if (strlen(value) != 1 || value[0] < '0' || value[0] > '3')
			return usage("-O expects a level from 0 to 3, found `%s`", value);
		o->level = value[0] - '0';
		return true;
	case OPTION_ERRORS:   return set_error_format(o, value);
	case OPTION_COLOR:    return set_color(o, value);
	case OPTION_MARKDOWN: o->markdown = true; return true;
	case OPTION_TARGET:
		o->cuda = !strcmp(value, "cuda");
		return o->cuda || !strcmp(value, "cpu") || usage("unknown target `%s`: there are cpu and cuda", value);
	case OPTIONS: break;
	}
	internal_error("option %d has no meaning", (int)id);
}

/* ---- words ----------------------------------------------------------------------------------- */

static int find_option(const char *word)
{
	size_t n = strcspn(word + 2, "=");
	for (int i = 0; i < OPTIONS; i++) {
		const struct option_row *o = &option_rows[i];
		if (word[1] == '-' ? o->name && strlen(o->name) == n && !strncmp(o->name, word + 2, n)
		                   : o->letter && o->letter == word[1])
			return i;
	}
	return -1;
}

/* argv[*i] starts with `-`. Its value is attached (`-O2`, `--cpu=native`) or is the next word, to which *i moves. */
static bool parse_option(struct parsing *p, int argc, char **argv, int *i)
{
	const char *word = argv[*i];
	bool is_long = word[1] == '-';
	int id = find_option(word);
	if (id < 0)
		return is_long ? unknown_option(arena_strndup(p->arena, word + 2, strcspn(word + 2, "=")))
		               : usage("unknown option `%s`", word);
	p->given |= 1u << id;
	const char *attached = is_long ? strchr(word, '=') : word[2] ? word + 2 : NULL;
	const char *value = attached && is_long ? attached + 1 : attached;
	if (!option_rows[id].argument)
		return value ? usage("`%s` takes no value", word) : apply(p, (enum option_id)id, NULL);
	if (!value && *i + 1 < argc)
		value = argv[++*i];
	return value && *value ? apply(p, (enum option_id)id, value)
	                       : usage("`%s` needs a value: %s", word, option_rows[id].argument);
}

/* The form of what the command prints. */
static bool set_format(struct options *o, const char *name)
{
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
		enum output_form usual = formats[i].forms[0], other = formats[i].forms[1];
		if (formats[i].command != o->command)
			continue;
		o->format = name && !strcmp(name, output_forms[other]) ? other : usual;
		return !name || !strcmp(name, output_forms[o->format])
		       || usage("unknown form `%s`: there are %s and %s", name, output_forms[usual], output_forms[other]);
	}
	return !name || usage("this command has one form: leave out --format");
}

static bool check_operands(const struct options *o)
{
	if (o->n_specs > 2)
		return usage("`diff` compares two deployments, %d are given", o->n_specs);
	if (o->n_specs == 1 && !o->sema.n_set)
		return usage("nothing to compare: give a second spec, or values for this one with -D");
	if (o->n_specs == 2 && !strcmp(o->specs[0], "-") && !strcmp(o->specs[1], "-"))
		return usage("standard input can be read once: only one of the two can be `-`");
	return true;
}

static bool check_import(const struct options *o)
{
	if (o->cluster && !o->from)
		return usage("`--cluster` is for `deployc import --from`");
	if (o->emit != EMIT_LAUNCHER || o->n_specs > 1 || (!o->n_specs && !o->from))
		return usage("`import` takes one config.json, or the folder of one, or `--from`, and -o");
	return true;
}

static bool check_form(const struct options *o)
{
	if (o->command == COMMAND_HELP || o->command == COMMAND_VERSION || o->command == COMMAND_CPUS)
		return true;
	if (o->command == COMMAND_EXPLAIN)
		return true;
	if (o->changes)
		return usage("`--changes` is for `deployc explain`");
	if (o->markdown)
		return usage("`--markdown` is for `deployc explain`");
	if (o->command == COMMAND_FMT)
		return !o->output && o->emit == EMIT_LAUNCHER
		           ? true
		           : usage("`fmt` writes to the files themselves: leave out -o and --emit");
	if (o->command == COMMAND_INIT)
		return !o->n_specs || usage("`init` takes no spec; name the file with -o: `-o %s`", o->specs[0]);
	if (o->upgrade)
		return usage("`--upgrade` is for `deployc fmt`");
	if (o->command == COMMAND_IMPORT)
		return check_import(o);
	if (o->command == COMMAND_EXPORT)
		return o->n_specs == 2 && o->emit == EMIT_LAUNCHER
		           ? true
		           : usage("`export` takes a program, vllm, sglang, megatron or torchtitan, and a spec");
	if (o->command == COMMAND_MAN)
		return !o->n_specs || usage("`man` prints one page: leave out `%s`", o->specs[0]);
	if (o->command == COMMAND_COMPLETION)
		return o->n_specs == 1 || usage("`completion` takes a shell: bash, zsh or fish");
	if (o->command == COMMAND_LSP)
		return !o->n_specs && !o->output && o->emit == EMIT_LAUNCHER
		           ? true
		           : usage("`lsp` serves an editor, which opens specs itself: leave out SPEC, -o and --emit");
	if (o->command == COMMAND_DOC)
		return o->n_specs && o->output && o->emit == EMIT_LAUNCHER
		           ? true
		           : usage("`doc` takes modules, or `std`, and a folder for the pages: -o DIR");
	if (o->only_check)
		return usage("`--check` is for `deployc fmt`; `deployc check SPEC` checks a spec");
	if (o->quiet && o->command != COMMAND_CHECK)
		return usage("`--quiet` is for `deployc check`");
	if (o->locked && o->command != COMMAND_CHECK)
		return usage("`--locked` is for `deployc check`");
	if (!o->n_specs)
		return usage("no spec given");
	if (o->command == COMMAND_CHECK)
		return !o->output && o->emit == EMIT_LAUNCHER ? true : usage("`check` writes nothing: leave out -o and --emit");
	bool compares = o->command == COMMAND_DIFF || o->command == COMMAND_WHAT_IF;
	if (compares && (o->output || o->emit != EMIT_LAUNCHER))
		return usage("`diff` and `what-if` print to standard output: leave out -o and --emit");
	if (o->command == COMMAND_DIFF)
		return check_operands(o);
	if (o->command == COMMAND_WHAT_IF && !o->sema.n_set)
		return usage("`what-if` needs values to try: -D plan.tp=1,2,4");
	if (o->n_specs > 1)
		return usage("one spec at a time: `%s` and `%s` are given", o->specs[0], o->specs[1]);
	if (o->command == COMMAND_PLAN && (o->output || o->emit != EMIT_LAUNCHER))
		return usage("`plan` prints to standard output: leave out -o and --emit");
	if (o->command == COMMAND_REPORT && o->emit != EMIT_LAUNCHER)
		return usage("`report` writes a page: leave out --emit");
	if (o->command == COMMAND_REPORT && !o->output && o->format == FORM_HTML)
		return usage("say where to put the page: -o FILE.html");
	if (o->command == COMMAND_SEARCH && (o->output || o->emit != EMIT_LAUNCHER))
		return usage("`search` prints to standard output: leave out -o and --emit");
	if (o->command == COMMAND_TRACE && (o->emit != EMIT_LAUNCHER || !o->output))
		return usage("`trace` writes a file: say where, -o FILE.json, and leave out --emit");
	if (o->command == COMMAND_GRAPH && o->emit != EMIT_LAUNCHER)
		return usage("`graph` prints a form of its own: leave out --emit");
	if (o->kernels && (o->command != COMMAND_PLAN || !o->cuda))
		return usage("`--kernels` lists the kernels of a GPU: `deployc plan SPEC --target=cuda --kernels`");
	if (o->kernels && o->format != FORM_TEXT)
		return usage("`--kernels` is a text: leave out --format");
	if (o->emit == EMIT_PTX && !o->cuda)
		return usage("`--emit=ptx` prints the kernels of a GPU: it needs --target=cuda");
	if (o->command == COMMAND_BUILD && !o->output && o->emit == EMIT_LAUNCHER)
		return usage("say where to put the launcher, `-o FILE`, or what to print, `--emit=FORM`");
	return true;
}

static unsigned options_of(enum command command)
{
	unsigned all = OF(HELP) | OF(VERSION);
	for (int i = 0; i < COMMANDS; i++)
		all |= command_rows[i].command == command ? command_rows[i].options : 0;
	return all;
}

static const char *command_name(enum command command)
{
	for (int i = 0; i < COMMANDS; i++)
		if (command_rows[i].command == command)
			return command_rows[i].name;
	return "";
}

/* An option that has no meaning for the command: names those that take it. */
static bool takes_option(struct parsing *p, int option)
{
	const struct option_row *row = &option_rows[option];
	const char *name =
		row->name ? arena_printf(p->arena, "--%s", row->name) : arena_printf(p->arena, "-%c", row->letter);
	struct text takers = {.arena = p->arena};
	if (options_of(p->out->command) >> option & 1)
		return true;
	for (int i = 0; i < COMMANDS; i++)
		if (command_rows[i].options >> option & 1 && *command_rows[i].name)
			text_add(&takers, "%s`%s`", takers.n ? ", " : "", command_rows[i].name);
	const char *command = command_name(p->out->command);
	return usage("%s does not take `%s`; %s%s", *command ? arena_printf(p->arena, "`%s`", command) : "a build", name,
	             takers.n ? takers.at : "only a build", takers.n && strchr(takers.at, ',') ? " do" : " does");
}

static bool check_options(struct parsing *p)
{
	enum command command = p->out->command;
	if (command == COMMAND_HELP || command == COMMAND_VERSION || command == COMMAND_CPUS)
		return true;
	for (int i = 0; i < OPTIONS; i++)
		if (p->given >> i & 1 && !takes_option(p, i))
			return false;
	return true;
}

static void set_standard_input(struct parsing *p)
{
	vec_push(p->arena, &p->words, "-");
	p->out->specs = &p->words.at[p->words.n - 1];
	p->out->n_specs = 1;
}

/* NULL: no command has this name. */
static const enum command *find_command(const char *word)
{
	for (int i = 0; i < COMMANDS; i++)
		if (*word && !strcmp(word, command_rows[i].name))
			return &command_rows[i].command;
	return NULL;
}

/* A first word that does not name a file is taken for a misspelt command. */
static bool unknown_command(const char *word)
{
	const char *all[COMMANDS];
	int n = 0;
	for (int i = 0; i < COMMANDS; i++)
		if (*command_rows[i].name)
			all[n++] = command_rows[i].name;
	const char *near = nearest_name(word, all, n);
	return near ? usage("unknown command `%s`, did you mean `%s`?", word, near)
	            : usage("`%s` is neither a command nor a file", word);
}

static bool is_file(const char *word) { return !strcmp(word, "-") || strpbrk(word, "./") || !access(word, F_OK); }

/* Divides the words into a command and its arguments. */
static bool read_words(struct parsing *p)
{
	struct options *o = p->out;
	const enum command *named = p->words.n ? find_command(p->words.at[0]) : NULL;
	bool asks_help = o->command == COMMAND_HELP || (named && *named == COMMAND_HELP);
	o->specs = p->words.at + (named ? 1 : 0);
	o->n_specs = p->words.n - (named ? 1 : 0);
	if (asks_help) {
		bool about_other = named && *named == COMMAND_HELP && o->n_specs;
		o->command = COMMAND_HELP;
		o->about = about_other ? find_command(o->specs[0]) : named && *named != COMMAND_HELP ? named : NULL;
		return !about_other || o->about || unknown_command(o->specs[0]);
	}
	if (o->command != COMMAND_BUILD)
		return true;
	if (named)
		o->command = *named;
	else if (o->n_specs && !is_file(o->specs[0]))
		return unknown_command(o->specs[0]);
	return true;
}

bool options_parse(struct arena *arena, int argc, char **argv, struct options *out)
{
	*out = (struct options){.level = 2, .heap = arena->heap};
	set_color(out, "auto");
	struct parsing p = {.arena = arena, .out = out};
	bool only_words = false;
	for (int i = 1; i < argc; i++) {
		if (!only_words && !strcmp(argv[i], "--"))
			only_words = true;
		else if (!only_words && argv[i][0] == '-' && argv[i][1]) {
			if (!parse_option(&p, argc, argv, &i))
				return false;
		} else
			vec_push(arena, &p.words, argv[i]);
	}
	if (!read_words(&p))
		return false;
	if (out->command == COMMAND_FMT && !out->n_specs)
		set_standard_input(&p);
	out->sema.include = p.include.at;
	out->sema.n_include = p.include.n;
	return (out->command == COMMAND_HELP || set_format(out, p.format)) && check_form(out) && check_options(&p);
}
