/* Diagnostics as gcc writes them, for editors that read its messages; edits as its -fdiagnostics-parseable-fixits. */
#include "diag.h"
#include "escape.h"

static const struct source *source_of(const struct sink *s, struct span at) { return &s->sources->files.at[at.file]; }

static void put_line(const struct sink *s, FILE *out, struct span at, const char *kind, const char *text)
{
	int line, column;
	sources_position(s->sources, at, &line, &column);
	put_escaped(out, source_of(s, at)->label);
	fprintf(out, ":%d:%d: %s: ", line, column, kind);
	put_escaped(out, text);
}

/* Parseable edits count columns in bytes. */
static void put_byte_position(const struct sink *s, FILE *out, uint32_t file, uint32_t offset)
{
	int line, column;
	sources_position(s->sources, (struct span){file, offset, offset}, &line, &column);
	fprintf(out, "%d:%u", line, (unsigned)(offset - s->sources->files.at[file].lines[line - 1]) + 1);
}

/* As in gcc: characters that would control a terminal are written in octal. */
static void put_quoted(FILE *out, const char *text)
{
	putc('"', out);
	for (; *text; text++)
		if (*text == '\n')
			fputs("\\n", out);
		else if ((unsigned char)*text < ' ' || (unsigned char)*text >= 0x7F)
			fprintf(out, "\\%03o", (unsigned char)*text);
		else
			fprintf(out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	putc('"', out);
}

static void put_fix(const struct sink *s, FILE *out, const struct diag *d)
{
	fputs("fix-it:", out);
	put_quoted(out, source_of(s, d->fix_at)->label);
	fputs(":{", out);
	put_byte_position(s, out, d->fix_at.file, d->fix_at.lo);
	putc('-', out);
	put_byte_position(s, out, d->fix_at.file, d->fix_at.hi);
	fputs("}:", out);
	put_quoted(out, d->fix);
	putc('\n', out);
}

static void put_diag(const struct sink *s, FILE *out, const struct diag *d)
{
	put_line(s, out, d->at, diag_is_error(d->code) ? "error" : "warning", d->message);
	if (d->label && *d->label)
		print_escaped(out, " (%s)", d->label);
	fprintf(out, " [%s]\n", diag_code_name(d->code));
	for (int i = 0; i < d->related.n; i++) {
		const char *text = d->related.at[i].text;
		put_line(s, out, d->related.at[i].at, "note", *text ? text : "see here");
		putc('\n', out);
	}
	for (int i = 0; i < d->notes.n; i++) {
		put_line(s, out, d->at, "note", d->notes.at[i]);
		putc('\n', out);
	}
	if (d->help) {
		put_line(s, out, d->at, "note", "help: ");
		put_escaped(out, d->help);
		putc('\n', out);
	}
	if (d->fix)
		put_fix(s, out, d);
}

void diag_print_gcc(const struct sink *s, FILE *out)
{
	struct diag *const *sorted = diag_sorted(s);
	for (int i = 0; i < s->diags.n; i++)
		if (!sorted[i]->allowed)
			put_diag(s, out, sorted[i]);
}
