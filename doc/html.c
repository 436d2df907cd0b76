/* Documentation as HTML: a page for each module, and index.html, which lists them. Names in code are links. */
#include "doc.h"
#include <string.h>

static const char head[] =
	"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
	"content=\"width=device-width\">\n"
	"<title>%s</title>\n<style>\n"
	"body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif; }\n"
	"pre { padding: .7rem; overflow-x: auto; background: #f4f4f4; }\n"
	"code, pre { font: 14px/1.45 ui-monospace, monospace; }\n"
	"table { border-collapse: collapse; }\n"
	"td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #ddd; }\n"
	"h2 { margin-top: 2.5rem; }\n"
	"</style>\n</head>\n<body>\n";
static const char foot[] = "<p>Written by <code>deployc doc</code>.</p>\n</body>\n</html>\n";

static void put_char(char c, FILE *out)
{
	const char *name = c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : NULL;
	if (name)
		fputs(name, out);
	else
		putc(c, out);
}

static void put_escaped(const char *text, size_t n, FILE *out)
{
	for (size_t i = 0; i < n; i++)
		put_char(text[i], out);
}

static void put_start_of_link(const struct docs *d, const struct doc_module *m, const struct doc_item *to, FILE *out)
{
	bool here = to->module == m;
	fprintf(out, "<a href=\"%s%s#%s\">", here ? "" : to->module->name, here ? "" : ".html", doc_anchor(d->arena, to));
}

static void put_code(const struct docs *d, const struct doc_module *m, const char *code, const struct doc_item *self,
                     FILE *out)
{
	for (size_t n; *code; code += n) {
		n = doc_opaque(code);
		const struct doc_item *item = n ? NULL : docs_find(d, m, code, &n);
		n += n == 0;
		if (item && item != self)
			put_start_of_link(d, m, item, out);
		put_escaped(code, n, out);
		fputs(item && item != self ? "</a>" : "", out);
	}
}

/* One line of a comment's text, with `code` marked. */
static void put_line(const char *text, size_t n, FILE *out)
{
	bool code = false;
	for (size_t i = 0; i < n; i++) {
		bool closes = text[i] == '`' && (code || memchr(text + i + 1, '`', n - i - 1));
		if (closes) {
			fputs(code ? "</code>" : "<code>", out);
			code = !code;
		} else {
			put_char(text[i], out);
		}
	}
}

/* The text of a comment; indented lines are preformatted. */
static void put_text(const char *text, FILE *out)
{
	const char *open = "";
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *wanted = !strncmp(line, "  ", 2) ? "pre" : "p";
		if (strcmp(open, wanted) != 0) {
			if (*open)
				fprintf(out, "</%s>\n", open);
			fprintf(out, "<%s>", wanted);
		}
		open = wanted;
		put_line(line, strcspn(line, "\n"), out);
		putc('\n', out);
	}
	if (*open)
		fprintf(out, "</%s>\n", open);
}

static void put_fields(const struct docs *d, const struct doc_module *m, const struct doc_item *item, FILE *out)
{
	if (!item->fields.n)
		return;
	fputs("<table>\n<tr><th>field</th><th>type</th><th>value</th><th></th></tr>\n", out);
	for (int i = 0; i < item->fields.n; i++) {
		const struct doc_field *f = &item->fields.at[i];
		const char *const cells[] = {f->name, f->type, f->value};
		fputs("<tr>", out);
		for (int k = 0; k < 3; k++) {
			fputs("<td><code>", out);
			put_code(d, m, k ? cells[k] : "", item, out);
			put_escaped(k ? "" : cells[k], k ? 0 : strlen(cells[k]), out);
			fputs("</code></td>", out);
		}
		fputs("<td>", out);
		put_line(f->text, strlen(f->text), out);
		fputs("</td></tr>\n", out);
	}
	fputs("</table>\n", out);
}

static void put_item(const struct docs *d, const struct doc_module *m, const struct doc_item *item, FILE *out)
{
	fprintf(out, "<h2 id=\"%s\">%s %s</h2>\n", doc_anchor(d->arena, item), item->kind, item->name);
	put_text(item->text, out);
	if (*item->code) {
		fputs("<pre>", out);
		put_code(d, m, item->code, item, out);
		fputs("</pre>\n", out);
	}
	put_fields(d, m, item, out);
	if (item->sized)
		fprintf(out, "<p>%s</p>\n", doc_size_text(d->arena, item));
}

static void put_module(const struct docs *d, const struct doc_module *m, FILE *out)
{
	fprintf(out, head, m->name);
	fprintf(out, "<p><a href=\"index.html\">modules</a></p>\n<h1>%s</h1>\n", m->name);
	put_text(m->text, out);
	for (int i = 0; i < m->items.n; i++)
		put_item(d, m, m->items.at[i], out);
	fputs(foot, out);
}

static void put_index(const struct docs *d, FILE *out)
{
	fprintf(out, head, "Modules");
	fputs("<h1>Modules</h1>\n<table>\n", out);
	for (int i = 0; i < d->modules.n; i++) {
		const struct doc_module *m = d->modules.at[i];
		const char *sentence = doc_first_sentence(d->arena, m->text);
		fprintf(out, "<tr><td><a href=\"%s.html\">%s</a></td><td>", m->name, m->name);
		put_line(sentence, strlen(sentence), out);
		fputs("</td><td>", out);
		for (int k = 0; k < m->items.n; k++)
			fprintf(out, "%s<a href=\"%s.html#%s\">%s</a>", k ? ", " : "", m->name,
			        doc_anchor(d->arena, m->items.at[k]), m->items.at[k]->name);
		fputs("</td></tr>\n", out);
	}
	fputs("</table>\n", out);
	fputs(foot, out);
}

const struct doc_form doc_html = {".html", "index", put_module, put_index};
