/* What `deployc explain` prints, and docs/errors.md: pages and index of the table of diagnostics. */
#include "diag.h"
#include <string.h>

enum { WIDTH = 100 };

/* The hundreds of a code are its part of the language. */
static const struct {
	const char *prefix, *title;
} chapters[] = {
	{"00", "Text and syntax"}, {"01", "Modules and names"},
	{"02", "Records"},         {"03", "Units"},
	{"04", "Tensor programs"}, {"05", "Meshes, rules and layouts"},
	{"06", "Clusters"},        {"07", "Memory and lengths"},
	{"08", "Requirements"},    {"09", "Limits of this version"},
	{"10", "Other programs"},
};

static const char *severity(enum diag_code c) { return diag_is_error(c) ? "error" : "warning"; }

/* The chapter that starts with this code, or NULL. */
static const char *chapter_at(enum diag_code c)
{
	const char *name = diag_code_name(c);
	if (c > 0 && !strncmp(name + 1, diag_code_name(c - 1) + 1, 2))
		return NULL;
	for (size_t i = 0; i < sizeof chapters / sizeof *chapters; i++)
		if (!strncmp(chapters[i].prefix, name + 1, 2))
			return chapters[i].title;
	internal_error("%s belongs to no chapter", name);
}

/* Words of `text` in lines of at most WIDTH columns. */
static void put_wrapped(const char *text, FILE *out)
{
	int column = 0;
	while (*text) {
		int n = (int)strcspn(text, " ");
		if (column && column + 1 + n > WIDTH) {
			putc('\n', out);
			column = 0;
		}
		fprintf(out, "%s%.*s", column ? " " : "", n, text);
		column += n + (column > 0);
		text += n;
		text += strspn(text, " ");
	}
	putc('\n', out);
}

static void put_indented(const char *text, FILE *out)
{
	for (size_t n; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		fprintf(out, "    %.*s\n", (int)n, text);
	}
}

void explain_code(enum diag_code c, FILE *out)
{
	fprintf(out, "%s[%s]: %s\n\n", severity(c), diag_code_name(c), diag_text(c, TEXT_TITLE));
	put_wrapped(diag_text(c, TEXT_EXPLANATION), out);
	const char *wrong = diag_text(c, TEXT_WRONG), *repaired = diag_text(c, TEXT_REPAIRED);
	if (wrong) {
		fputs("\nWrong:\n\n", out);
		put_indented(wrong, out);
	}
	if (repaired) {
		fputs("\nRepaired:\n\n", out);
		put_indented(repaired, out);
	}
}

void explain_index(FILE *out)
{
	for (int i = 0; i < DIAG_COUNT; i++) {
		const char *chapter = chapter_at((enum diag_code)i);
		if (chapter)
			fprintf(out, "%s%s\n", i ? "\n" : "", chapter);
		fprintf(out, "  %s  %s\n", diag_code_name((enum diag_code)i), diag_text((enum diag_code)i, TEXT_TITLE));
	}
	fputs("\n`deployc explain CODE` explains one.\n", out);
}

static void put_markdown_example(const char *heading, const char *text, FILE *out)
{
	if (text)
		fprintf(out, "\n%s:\n\n```text\n%s\n```\n", heading, text);
}

void explain_markdown(FILE *out)
{
	fputs("# Diagnostics\n\nEvery code that `deployc` reports. This page is written by `deployc explain --markdown` "
	      "(`make docs`) "
	      "from `support/diag.def`;\n`deployc explain CODE` prints one entry of it. Codes that start with E are "
	      "errors, with W warnings.\n",
	      out);
	for (int i = 0; i < DIAG_COUNT; i++) {
		enum diag_code c = (enum diag_code)i;
		const char *chapter = chapter_at(c);
		if (chapter)
			fprintf(out, "\n## %s\n", chapter);
		fprintf(out, "\n### %s: %s\n\n%s\n", diag_code_name(c), diag_text(c, TEXT_TITLE),
		        diag_text(c, TEXT_EXPLANATION));
		put_markdown_example("Wrong", diag_text(c, TEXT_WRONG), out);
		put_markdown_example("Repaired", diag_text(c, TEXT_REPAIRED), out);
	}
}
