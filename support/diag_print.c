/* Renders diagnostics as text, with the source lines that they refer to, underlined. */
#include "diag.h"
#include "columns.h"
#include "escape.h"
#include <stdlib.h>
#include <string.h>

/* Of lines wider than MAX_WIDTH, only WINDOW columns are shown, from MARGIN columns before the first mark on. Columns
 * are counted only within AROUND bytes of it: a line may have megabytes, and a mark at each word. */
enum { MAX_LABELS_OF_LINE = 16, MAX_WIDTH = 200, WINDOW = 160, MARGIN = 40, AROUND = 4096 };

/* One underline to draw. The primary one is drawn with ^, the others with -. */
struct mark {
	struct span at;
	const char *text;
	bool primary;
	int line;
};

struct renderer {
	const struct sink *sink;
	FILE *out;
	bool color;
	const struct diag *diag;     /* the one being printed: its severity colours the primary marks */
	int gutter;                  /* width of the line numbers */
	const char *line, *line_end; /* the source line, or the part of it near the marks */
	int first, end;              /* the columns that are shown */
};

/* ---- colours: attributes of ECMA-48 (SGR) ---------------------------------------------------- */

enum paint { PLAIN, BOLD, ERROR, WARNING, FRAME, NOTE, HELP };

static void paint(const struct renderer *r, enum paint p)
{
	static const char *const attributes[] = {[PLAIN] = "0",    [BOLD] = "1",    [ERROR] = "1;31", [WARNING] = "1;33",
	                                         [FRAME] = "1;34", [NOTE] = "1;36", [HELP] = "1;32"};
	if (r->color)
		fprintf(r->out, "\033[%sm", attributes[p]);
}

static void put_painted(const struct renderer *r, enum paint p, const char *text)
{
	paint(r, p);
	put_escaped(r->out, text);
	paint(r, PLAIN);
}

static enum paint severity_paint(const struct renderer *r) { return diag_is_error(r->diag->code) ? ERROR : WARNING; }

/* ---- places ---------------------------------------------------------------------------------- */

static const struct source *source_of(const struct renderer *r, struct span at)
{
	return &r->sink->sources->files.at[at.file];
}

static int line_of(const struct renderer *r, struct span at)
{
	int line, column;
	sources_position(r->sink->sources, at, &line, &column);
	return line;
}

/* ---- columns of a terminal ------------------------------------------------------------------- */

/* The visible columns of the text. */
static void put_text(struct renderer *r, const char *s, const char *end)
{
	int column = 0;
	for (int bytes, width; s < end && column < r->end; s += bytes, column += width) {
		uint32_t point;
		width = character_columns(s, end, column, &bytes);
		if (column < r->first)
			continue;
		decode_utf8(s, end, &point);
		if (is_control(point))
			fprintf(r->out, "%*s", width, *s == '\t' ? "" : "?");
		else
			fwrite(s, 1, (size_t)bytes, r->out);
	}
}

/* ---- a source line and its underlines -------------------------------------------------------- */

/* The line of a mark: its first one. */
static void find_line(struct renderer *r, const struct source *f, const struct mark *m)
{
	uint32_t lo = f->lines[m->line - 1], hi = m->line < f->n_lines ? f->lines[m->line] - 1 : f->size;
	if (hi > lo && f->text[hi - 1] == '\r')
		hi--;
	if (m->at.lo > lo + AROUND)
		for (lo = m->at.lo - AROUND; (f->text[lo] & 0xC0) == 0x80;)
			lo++;
	if (hi > m->at.lo + AROUND)
		for (hi = m->at.lo + AROUND; (f->text[hi] & 0xC0) == 0x80;)
			hi--;
	r->line = f->text + lo;
	r->line_end = f->text + hi;
}

static void put_repeated(FILE *out, char c, int n)
{
	while (n-- > 0)
		putc(c, out);
}

/* Columns [*from, *to) of the mark on its first line; at least one. Columns outside the window are not counted. */
static void mark_columns(const struct renderer *r, const struct source *f, const struct mark *m, int *from, int *to)
{
	const char *end = r->line_end, *lo = f->text + m->at.lo, *hi = f->text + m->at.hi;
	lo = lo > end ? end : lo;
	hi = hi > end ? end : hi;
	*from = text_columns(r->line, lo, 0);
	*to = *from + text_columns(lo, hi, *from);
	if (*to <= *from)
		*to = *from + 1;
	*to = *to > r->end ? r->end : *to;
	*from = *from >= r->end ? r->end - 1 : *from;
	*from -= r->first;
	*to -= r->first;
}

static bool has_text(const struct mark *m) { return m->text && *m->text; }

static void put_gutter(struct renderer *r)
{
	paint(r, FRAME);
	fprintf(r->out, "%*s | ", r->gutter, "");
	paint(r, PLAIN);
}

/* The underlines of one row. Only the last one can have its text beside it; each other text needs its own row. */
static void put_marks(struct renderer *r, const struct source *f, const struct mark *marks, int n)
{
	int column = 0;
	put_gutter(r);
	for (int i = 0; i < n; i++) {
		int from, to;
		mark_columns(r, f, &marks[i], &from, &to);
		put_repeated(r->out, ' ', from - column);
		from = from > column ? from : column;
		paint(r, marks[i].primary ? severity_paint(r) : FRAME);
		put_repeated(r->out, marks[i].primary ? '^' : '-', to - from);
		paint(r, PLAIN);
		column = to > column ? to : column;
	}
	if (has_text(&marks[n - 1])) {
		putc(' ', r->out);
		put_painted(r, marks[n - 1].primary ? severity_paint(r) : FRAME, marks[n - 1].text);
	}
	putc('\n', r->out);
}

static void put_text_row(struct renderer *r, const struct source *f, const struct mark *m)
{
	int from, to;
	mark_columns(r, f, m, &from, &to);
	put_gutter(r);
	put_repeated(r->out, ' ', from);
	put_painted(r, m->primary ? severity_paint(r) : FRAME, m->text);
	putc('\n', r->out);
}

static int by_column(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	return x->at.lo != y->at.lo ? (x->at.lo < y->at.lo ? -1 : 1) : (x->at.hi > y->at.hi) - (x->at.hi < y->at.hi);
}

/* One source line with all its marks. */
static void put_line(struct renderer *r, struct mark *marks, int n)
{
	const struct source *f = source_of(r, marks[0].at);
	qsort(marks, (size_t)n, sizeof *marks, by_column);
	find_line(r, f, &marks[0]);
	r->end = text_columns(r->line, r->line_end, 0) + 1;
	r->first = 0;
	if (r->end > MAX_WIDTH) {
		int column = text_columns(r->line, f->text + marks[0].at.lo, 0);
		r->first = column > MARGIN ? column - MARGIN : 0;
		r->end = r->end > r->first + WINDOW ? r->first + WINDOW : r->end;
	}
	paint(r, FRAME);
	fprintf(r->out, "%*d | ", r->gutter, marks[0].line);
	paint(r, PLAIN);
	put_text(r, r->line, r->line_end);
	putc('\n', r->out);
	put_marks(r, f, marks, n);
	for (int i = n - 2; i >= 0; i--)
		if (has_text(&marks[i]))
			put_text_row(r, f, &marks[i]);
}

/* ---- one diagnostic -------------------------------------------------------------------------- */

static void put_place(struct renderer *r, const char *arrow, struct span at)
{
	int line, column;
	sources_position(r->sink->sources, at, &line, &column);
	fprintf(r->out, "%*s", r->gutter, "");
	put_painted(r, FRAME, arrow);
	putc(' ', r->out);
	put_escaped(r->out, source_of(r, at)->label);
	fprintf(r->out, ":%d:%d\n", line, column);
}

static int digits_of(int n)
{
	int digits = 1;
	while (n /= 10)
		digits++;
	return digits;
}

/* Line numbers of one diagnostic share the width of the widest. */
static int gutter_of(struct renderer *r, const struct diag *d)
{
	int widest = line_of(r, d->at);
	for (int i = 0; i < d->related.n; i++) {
		int line = line_of(r, d->related.at[i].at);
		widest = line > widest ? line : widest;
	}
	return digits_of(widest) < 2 ? 2 : digits_of(widest);
}

/* Moves the marks on the line of the first one to the front of [marks, n); returns their number. */
static int take_line(struct mark *marks, int n)
{
	int taken = 1;
	for (int i = 1; i < n && taken < MAX_LABELS_OF_LINE; i++)
		if (marks[i].at.file == marks[0].at.file && marks[i].line == marks[0].line) {
			struct mark m = marks[i];
			memmove(&marks[taken + 1], &marks[taken], sizeof m * (size_t)(i - taken));
			marks[taken++] = m;
		}
	return taken;
}

/* The marked lines in the order of the report: the primary one, then each related place under its own `:::`. */
static void put_marked_lines(struct renderer *r, const struct diag *d)
{
	int n = d->related.n + 1;
	struct mark *marks = arena_array(r->sink->arena, struct mark, n);
	marks[0] = (struct mark){d->at, d->label, true, line_of(r, d->at)};
	for (int i = 1; i < n; i++) {
		struct diag_label label = d->related.at[i - 1];
		marks[i] = (struct mark){label.at, label.text, false, line_of(r, label.at)};
	}
	for (int i = 0, taken; i < n; i += taken) {
		if (i > 0)
			put_place(r, ":::", marks[i].at);
		taken = take_line(marks + i, n - i);
		put_line(r, marks + i, taken);
	}
}

static void put_heading(const struct renderer *r, const struct diag *d)
{
	paint(r, severity_paint(r));
	fprintf(r->out, "%s[%s]", diag_is_error(d->code) ? "error" : "warning", diag_code_name(d->code));
	paint(r, PLAIN);
	paint(r, BOLD);
	fputs(": ", r->out);
	put_escaped(r->out, d->message);
	paint(r, PLAIN);
	putc('\n', r->out);
}

/* `   = note: text` */
static void put_remark(const struct renderer *r, enum paint p, const char *kind, const char *text)
{
	paint(r, FRAME);
	fprintf(r->out, "%*s= ", r->gutter, "");
	paint(r, PLAIN);
	put_painted(r, p, kind);
	fputs(": ", r->out);
	put_escaped(r->out, text);
	putc('\n', r->out);
}

static void put_diag(struct renderer *r, const struct diag *d)
{
	r->diag = d;
	r->gutter = gutter_of(r, d);
	put_heading(r, d);
	put_place(r, "-->", d->at);
	put_marked_lines(r, d);
	for (int i = 0; i < d->table.n; i++) {
		put_gutter(r);
		putc(' ', r->out);
		put_escaped(r->out, d->table.at[i]);
		putc('\n', r->out);
	}
	for (int i = 0; i < d->notes.n; i++)
		put_remark(r, NOTE, "note", d->notes.at[i]);
	if (d->help)
		put_remark(r, HELP, "help", d->help);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void print(const struct sink *s, FILE *out, bool color)
{
	struct renderer r = {.sink = s, .out = out, .color = color};
	struct diag *const *sorted = diag_sorted(s);
	const char *gap = "";
	for (int i = 0; i < s->diags.n; i++) {
		if (sorted[i]->allowed)
			continue;
		fputs(gap, out);
		put_diag(&r, sorted[i]);
		gap = "\n";
	}
}

void diag_print(const struct sink *s, FILE *out) { print(s, out, false); }

void diag_print_colored(const struct sink *s, FILE *out) { print(s, out, true); }
