/* deployc man: the page deployc(1), from the tables of the command line. */
#include "driver.h"
#include <string.h>

/* A text of the tables: what is between back-quotes is set in bold. */
static void put_text(const char *text, FILE *out)
{
	bool bold = false;
	if (*text == '.' || *text == '\'')
		fputs("\\&", out);
	for (; *text; text++)
		if (*text == '`')
			fputs((bold = !bold) ? "\\fB" : "\\fR", out);
		else if (*text == '-')
			fputs("\\-", out);
		else if (*text == '\\')
			fputs("\\e", out);
		else
			putc(*text, out);
	putc('\n', out);
}

static void put_command(const struct command_row *c, FILE *out)
{
	fprintf(out, ".TP\n.B deployc %s", c->name);
	fputs(*c->name ? " " : "", out);
	put_text(c->arguments, out);
	put_text(c->help, out);
	bool first = true;
	for (int i = 0; i < n_option_rows; i++) {
		const struct option_row *o = &option_rows[i];
		if (!(c->options >> i & 1))
			continue;
		fputs(first ? ".br\nOptions: " : ", ", out);
		fputs("\\fB", out);
		if (o->name)
			fprintf(out, "\\-\\-%s", o->name);
		else
			fprintf(out, "\\-%c", o->letter);
		fputs("\\fR", out);
		first = false;
	}
	fputs(first ? "" : ".\n", out);
}

static void put_option(const struct option_row *o, FILE *out)
{
	fputs(".TP\n.B ", out);
	if (o->letter)
		fprintf(out, "\\-%c%s", o->letter, o->name ? ", " : "");
	if (o->name)
		fprintf(out, "\\-\\-%s", o->name);
	if (o->argument)
		fprintf(out, "%s\\fI%s\\fR", o->name ? "=" : " ", o->argument);
	putc('\n', out);
	put_text(o->help, out);
}

void man_page(FILE *out)
{
	fprintf(out, ".TH DEPLOYC 1 \"\" \"deployc %s\" \"User Commands\"\n", DEPLOYC_VERSION);
	fputs(".SH NAME\ndeployc \\- checks, plans and compiles deployments of language models\n"
	      ".SH SYNOPSIS\n.B deployc\n.I SPEC\n.B \\-o\n.I LAUNCHER\n.br\n.B deployc\n.I COMMAND\n.RI [ OPTION "
	      "...]\n.RI [ FILE ...]\n"
	      ".SH DESCRIPTION\nA \\fI.deploy\\fR file describes a model, the machines it runs on, its work, and how it is "
	      "split over "
	      "ranks. deployc checks it, says what it takes and how long, and compiles it to one launcher.\n"
	      ".SH COMMANDS\n",
	      out);
	for (int i = 0; i < n_command_rows; i++)
		put_command(&command_rows[i], out);
	fputs(".SH OPTIONS\n", out);
	for (int i = 0; i < n_option_rows; i++)
		put_option(&option_rows[i], out);
	fputs(".SH EXIT STATUS\n0; 1 for errors in the spec, or around it; 2 for errors in the command line; 70 for a bug "
	      "in deployc; 71 for "
	      "lack of memory.\n"
	      ".SH ENVIRONMENT\n.TP\n.B CC\nthe compiler that links launchers, with options.\n.TP\n.B NO_COLOR\nno "
	      "colours, unless it is "
	      "empty.\n.TP\n.B TMPDIR\nwhere the linker's input is written.\n",
	      out);
}
