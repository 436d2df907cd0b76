/* Documentation as Markdown: a page for each module, and README.md, which lists them. */
#include "doc.h"
#include <string.h>

/* The text of a comment; indented lines are preformatted. */
static void put_text(const char *text, FILE *out)
{
	bool code = false;
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		bool indented = !strncmp(line, "  ", 2);
		if (indented != code)
			fputs(indented ? "\n```text\n" : "```\n\n", out);
		code = indented;
		fprintf(out, "%.*s\n", (int)strcspn(line, "\n"), line);
	}
	fputs(code ? "```\n\n" : *text ? "\n" : "", out);
}

/* Text in a cell of a table. */
static void put_cell_text(const char *text, FILE *out)
{
	for (; *text; text++)
		fprintf(out, *text == '|' ? "\\%c" : "%c", *text == '\n' ? ' ' : *text);
}

/* Joins several lines of code: items are separated by `;`, as in the language. */
static void put_cell_code(const char *code, FILE *out)
{
	if (!*code)
		return;
	fputs("`", out);
	for (char before = '{'; *code;) {
		if (*code == '\n') {
			code += strspn(code, " \t\n");
			fputs(strchr("{[(,", before) || strchr("}])", *code) ? " " : "; ", out);
		} else {
			before = *code++;
			fprintf(out, before == '|' ? "\\%c" : "%c", before);
		}
	}
	fputs("`", out);
}

static void put_link(const struct docs *d, const struct doc_module *m, const struct doc_item *to, FILE *out)
{
	bool here = to->module == m;
	fprintf(out, "[%s](%s%s#%s)", to->name, here ? "" : to->module->name, here ? "" : ".md", doc_anchor(d->arena, to));
}

/* Code cannot contain a link: only a type that is a single name, optional or not, becomes one. */
static void put_type(const struct docs *d, const struct doc_module *m, const char *type, FILE *out)
{
	size_t n;
	const struct doc_item *item = docs_find(d, m, type, &n);
	bool optional = item && !strcmp(type + n, "?");
	if (item && (optional || !type[n])) {
		put_link(d, m, item, out);
		fputs(optional ? "?" : "", out);
	} else {
		put_cell_code(type, out);
	}
}

static void put_fields(const struct docs *d, const struct doc_module *m, const struct doc_item *item, FILE *out)
{
	if (!item->fields.n)
		return;
	fputs("| field | type | value | |\n|---|---|---|---|\n", out);
	for (int i = 0; i < item->fields.n; i++) {
		const struct doc_field *f = &item->fields.at[i];
		fputs("| ", out);
		put_cell_code(f->name, out);
		fputs(" | ", out);
		put_type(d, m, f->type, out);
		fputs(" | ", out);
		put_cell_code(f->value, out);
		fputs(" | ", out);
		put_cell_text(f->text, out);
		fputs(" |\n", out);
	}
	fputs("\n", out);
}

static void put_uses(const struct docs *d, const struct doc_module *m, const struct doc_item *item, FILE *out)
{
	for (int i = 0; i < item->uses.n; i++) {
		fputs(i ? ", " : "Uses ", out);
		put_link(d, m, item->uses.at[i], out);
	}
	fputs(item->uses.n ? ".\n\n" : "", out);
}

static void put_module(const struct docs *d, const struct doc_module *m, FILE *out)
{
	fprintf(out, "# %s\n\n", m->name);
	put_text(m->text, out);
	for (int i = 0; i < m->items.n; i++) {
		const struct doc_item *item = m->items.at[i];
		fprintf(out, "## %s %s\n\n", item->kind, item->name);
		put_text(item->text, out);
		if (*item->code)
			fprintf(out, "```deploy\n%s\n```\n\n", item->code);
		put_fields(d, m, item, out);
		if (item->sized)
			fprintf(out, "%s\n\n", doc_size_text(d->arena, item));
		put_uses(d, m, item, out);
	}
	fputs("Written by `deployc doc`.\n", out);
}

static void put_index(const struct docs *d, FILE *out)
{
	fputs("# Modules\n\n| module | | declares |\n|---|---|---|\n", out);
	for (int i = 0; i < d->modules.n; i++) {
		const struct doc_module *m = d->modules.at[i];
		fprintf(out, "| [%s](%s.md) | ", m->name, m->name);
		put_cell_text(doc_first_sentence(d->arena, m->text), out);
		fputs(" | ", out);
		for (int k = 0; k < m->items.n; k++)
			fprintf(out, "%s[%s](%s.md#%s)", k ? ", " : "", m->items.at[k]->name, m->name,
			        doc_anchor(d->arena, m->items.at[k]));
		fputs(" |\n", out);
	}
	fputs("\nWritten by `deployc doc`.\n", out);
}

const struct doc_form doc_markdown = {".md", "README", put_module, put_index};
