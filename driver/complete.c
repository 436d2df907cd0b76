/* deployc completion: scripts that complete the command line in a shell, from its tables. */
#include "driver.h"
#include <string.h>

/* ---- values ---------------------------------------------------------------------------------- */

/* Values of options that are words of a closed list. option: its name, or its letter. */
static const struct {
	const char *option, *values;
} values[] = {
	{"emit", "ast dag dag-local dag-sched llvm asm obj ptx"},
	{"target", "cpu cuda"},
	{"error-format", "text json sarif gcc"},
	{"format", "text json dot html markdown"},
	{"color", "auto always never"},
	{
		"f",
#define FUSION(NAME, name, what) "no-" name " "
#include "../dag/fuse.def"
	},
};

/* NULL: any text. */
static const char *values_of(const struct option_row *o)
{
	const char letter[] = {o->letter, '\0'}, *option = o->name ? o->name : letter;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		if (!strcmp(option, values[i].option))
			return values[i].values;
	return NULL;
}

static bool takes(const struct command_row *c, int option) { return c->options >> option & 1; }

static bool is_named(const struct command_row *c) { return *c->name; }

/* ---- bash ------------------------------------------------------------------------------------ */

static void put_option_words(unsigned set, FILE *out)
{
	for (int i = 0; i < n_option_rows; i++) {
		const struct option_row *o = &option_rows[i];
		if (!(set >> i & 1))
			continue;
		if (o->letter)
			fprintf(out, " -%c", o->letter);
		if (o->name)
			fprintf(out, " --%s%s", o->name, o->argument ? "=" : "");
	}
}

static unsigned options_without_command(void)
{
	unsigned set = 0;
	for (int i = 0; i < n_command_rows; i++)
		set |= is_named(&command_rows[i]) ? 0 : command_rows[i].options;
	for (int i = 0; i < n_option_rows; i++)
		if (option_rows[i].name && (!strcmp(option_rows[i].name, "help") || !strcmp(option_rows[i].name, "version")))
			set |= 1u << i;
	return set;
}

static void put_bash(FILE *out)
{
	fputs("# bash completion of deployc: source it, or put it into ~/.local/share/bash-completion/completions/deployc\n"
	      "_deployc() {\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} words\n"
	      "\tif [ \"$word\" = = ]; then word=; elif [ \"$before\" = = ]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
	      "\tcase $before in\n",
	      out);
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		fprintf(out, "\t%s%s) COMPREPLY=($(compgen -W '%s' -- \"$word\")); return ;;\n",
		        values[i].option[1] ? "--" : "-", values[i].option, values[i].values);
	fputs("\tesac\n\tcase $command in\n", out);
	for (int i = 0; i < n_command_rows; i++)
		if (is_named(&command_rows[i])) {
			fprintf(out, "\t%s) words='", command_rows[i].name);
			put_option_words(command_rows[i].options, out);
			fputs("' ;;\n", out);
		}
	fputs("\t*) words='", out);
	put_option_words(options_without_command(), out);
	fputs("' ;;\n\tesac\n\tif [ \"$COMP_CWORD\" = 1 ] && [ \"${word#-}\" = \"$word\" ]; then words='", out);
	for (int i = 0; i < n_command_rows; i++)
		if (is_named(&command_rows[i]))
			fprintf(out, "%s ", command_rows[i].name);
	fputs("'; fi\n"
	      "\tcase $command in\n"
	      "\tcompletion) words='bash zsh fish' ;;\n"
	      "\tesac\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\") $(compgen -f -X '!*.deploy' -- \"$word\") $(compgen -d "
	      "-- \"$word\"))\n"
	      "\tif [[ ${#COMPREPLY[@]} = 1 && ${COMPREPLY[0]} = *= ]]; then compopt -o nospace; fi\n"
	      "}\n"
	      "complete -o filenames -F _deployc deployc\n",
	      out);
}

/* ---- zsh ------------------------------------------------------------------------------------- */

/* A text within single quotes, and within the brackets of _arguments. */
static void put_quoted(const char *text, FILE *out)
{
	for (; *text; text++)
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr("[]:", *text))
			fprintf(out, "\\%c", *text);
		else
			putc(*text, out);
}

static void put_zsh_option(const struct option_row *o, FILE *out)
{
	const char *all = values_of(o);
	for (int form = 0; form < 2; form++) {
		if (form ? !o->name : !o->letter)
			continue;
		fputs(" '", out);
		if (form)
			fprintf(out, "--%s%s[", o->name, o->argument ? "=" : "");
		else
			fprintf(out, "-%c[", o->letter);
		put_quoted(o->help, out);
		putc(']', out);
		if (o->argument && all)
			fprintf(out, ":%s:(%s)", o->argument, all);
		else if (o->argument)
			fprintf(out, ":%s:_files", o->argument);
		putc('\'', out);
	}
}

static void put_zsh(FILE *out)
{
	fputs("#compdef deployc\n# zsh completion of deployc: a file _deployc in a folder of $fpath\n_deployc() {\n"
	      "\tlocal -a commands=(\n",
	      out);
	for (int i = 0; i < n_command_rows; i++)
		if (is_named(&command_rows[i])) {
			fprintf(out, "\t\t'%s:", command_rows[i].name);
			put_quoted(command_rows[i].help, out);
			fputs("'\n", out);
		}
	fputs("\t)\n\tif (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then _describe command commands; _files -g "
	      "'*.deploy'; return; fi\n"
	      "\tcase $words[2] in\n\tcompletion) _values shell bash zsh fish ;;\n",
	      out);
	for (int i = 0; i < n_command_rows; i++) {
		if (!is_named(&command_rows[i]) || command_rows[i].command == COMMAND_COMPLETION)
			continue;
		fprintf(out, "\t%s) shift words; (( CURRENT-- )); _arguments", command_rows[i].name);
		for (int k = 0; k < n_option_rows; k++)
			if (takes(&command_rows[i], k))
				put_zsh_option(&option_rows[k], out);
		fputs(" '*:file:_files' ;;\n", out);
	}
	fputs("\t*) _arguments", out);
	for (int k = 0; k < n_option_rows; k++)
		if (options_without_command() >> k & 1)
			put_zsh_option(&option_rows[k], out);
	fputs(" '*:file:_files -g \"*.deploy\"' ;;\n\tesac\n}\n_deployc \"$@\"\n", out);
}

/* ---- fish ------------------------------------------------------------------------------------ */

static void put_fish_text(const char *text, FILE *out)
{
	putc('\'', out);
	for (; *text; text++)
		fprintf(out, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
	putc('\'', out);
}

static void put_fish_option(const struct option_row *o, const char *when, FILE *out)
{
	fprintf(out, "complete -c deployc -n '%s'", when);
	if (o->letter)
		fprintf(out, " -s %c", o->letter);
	if (o->name)
		fprintf(out, " -l %s", o->name);
	if (o->argument)
		fputs(" -r", out);
	if (values_of(o))
		fprintf(out, " -f -a '%s'", values_of(o));
	fputs(" -d ", out);
	put_fish_text(o->help, out);
	putc('\n', out);
}

static void put_fish(FILE *out)
{
	fputs("# fish completion of deployc: ~/.config/fish/completions/deployc.fish\n", out);
	for (int i = 0; i < n_command_rows; i++) {
		const struct command_row *c = &command_rows[i];
		char when[64];
		if (!is_named(c))
			continue;
		fprintf(out, "complete -c deployc -n __fish_use_subcommand -a %s -d ", c->name);
		put_fish_text(c->help, out);
		putc('\n', out);
		snprintf(when, sizeof when, "__fish_seen_subcommand_from %s", c->name);
		for (int k = 0; k < n_option_rows; k++)
			if (takes(c, k))
				put_fish_option(&option_rows[k], when, out);
	}
	for (int k = 0; k < n_option_rows; k++)
		if (options_without_command() >> k & 1)
			put_fish_option(&option_rows[k], "__fish_use_subcommand", out);
	fputs("complete -c deployc -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n", out);
}

bool completion_script(const char *shell, FILE *out)
{
	static const struct {
		const char *name;
		void (*put)(FILE *out);
	} shells[] = {{"bash", put_bash}, {"zsh", put_zsh}, {"fish", put_fish}};
	for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
		if (!strcmp(shell, shells[i].name)) {
			shells[i].put(out);
			return true;
		}
	return false;
}
