/* Renders diagnostics as text: the source lines that they speak of, underlined (language.md section 4). */
#include "diag.h"
#include <stdlib.h>
#include <string.h>

/* Of lines wider than WIDEST, only WINDOW columns are shown, from MARGIN columns before the first mark on. */
enum { TAB = 4, MAX_LABELS_OF_LINE = 16, WIDEST = 200, WINDOW = 160, MARGIN = 40 };

/* One underline to draw. `primary` is drawn with ^, the others with -. */
struct mark { struct span at; const char *text; bool primary; int line; };

struct renderer {
	const struct sink *sink;
	FILE *out;
	int gutter;                     /* width of the line numbers */
	int first, end;                 /* columns of the source line that are shown */
};

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

/* ---- columns of a terminal ---------------------------------------------------------------------------------------- */

/* Decodes one code point of [s, end) and gives its length in bytes; malformed bytes count as one character each. */
static int decode(const char *s, const char *end, uint32_t *point)
{
	unsigned char c = (unsigned char)*s;
	int n = c < 0x80 ? 1 : c >= 0xF0 && c < 0xF5 ? 4 : c >= 0xE0 ? 3 : c >= 0xC2 ? 2 : 1;
	*point = n == 1 ? c : c & (0x7Fu >> n);
	for (int i = 1; i < n; i++) {
		if (s + i >= end || ((unsigned char)s[i] & 0xC0) != 0x80) {
			*point = 0xFFFD;
			return 1;
		}
		*point = *point << 6 | ((unsigned char)s[i] & 0x3F);
	}
	return n;
}

struct interval { uint32_t first, last; };

static bool within(uint32_t point, const struct interval *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (point >= table[i].first && point <= table[i].last)
			return true;
	return false;
}

/* Columns of a code point: combining marks take none, East Asian wide characters and emoji two. */
static int width_of(uint32_t point)
{
	static const struct interval none[] = {{0x300, 0x36F}, {0x483, 0x489}, {0x591, 0x5BD}, {0x200B, 0x200F}, {0x20D0, 0x20F0}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}};
	static const struct interval two[] = {{0x1100, 0x115F}, {0x2E80, 0x303E}, {0x3041, 0xA4CF}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF},
		{0xFE30, 0xFE6F}, {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
	if (point < none[0].first)
		return 1;
	if (within(point, none, sizeof none / sizeof *none))
		return 0;
	return within(point, two, sizeof two / sizeof *two) ? 2 : 1;
}

static bool is_control(const char *s, int n)
{
	unsigned char c = (unsigned char)*s;
	return n == 1 && (c < ' ' || c >= 0x7F);
}

/* Decodes the character at s, which stands in column `column`, and gives its columns: tabs reach to the next stop, other
 * control characters are shown as `?`. */
static int character_width(const char *s, const char *end, int column, int *bytes)
{
	uint32_t point;
	*bytes = decode(s, end, &point);
	if (*s == '\t')
		return TAB - column % TAB;
	return is_control(s, *bytes) ? 1 : width_of(point);
}

/* Columns that the text takes from column `column` on. */
static int text_width(const char *s, const char *end, int column)
{
	int start = column;
	for (int bytes; s < end; s += bytes)
		column += character_width(s, end, column, &bytes);
	return column - start;
}

/* The columns of the text that are shown. */
static void put_text(struct renderer *r, const char *s, const char *end)
{
	int column = 0;
	for (int bytes, width; s < end && column < r->end; s += bytes, column += width) {
		width = character_width(s, end, column, &bytes);
		if (column < r->first)
			continue;
		if (is_control(s, bytes))
			fprintf(r->out, "%*s", width, *s == '\t' ? "" : "?");
		else
			fwrite(s, 1, (size_t)bytes, r->out);
	}
}

/* ---- a source line and its underlines ----------------------------------------------------------------------------- */

static void line_bounds(const struct source *f, int line, const char **start, const char **end)
{
	uint32_t lo = f->lines[line - 1], hi = line < f->n_lines ? f->lines[line] - 1 : f->size;
	if (hi > lo && f->text[hi - 1] == '\r')
		hi--;
	*start = f->text + lo;
	*end = f->text + hi;
}

static void put_repeated(FILE *out, char c, int n)
{
	while (n-- > 0)
		putc(c, out);
}

/* Columns [*from, *to) of the mark in its first line; at least one. Columns outside the window are not counted. */
static void mark_columns(const struct renderer *r, const struct source *f, const struct mark *m, int *from, int *to)
{
	const char *start, *end, *lo = f->text + m->at.lo, *hi = f->text + m->at.hi;
	line_bounds(f, m->line, &start, &end);
	lo = lo > end ? end : lo;
	hi = hi > end ? end : hi;
	*from = text_width(start, lo, 0);
	*to = *from + text_width(lo, hi, *from);
	if (*to <= *from)
		*to = *from + 1;
	*to = *to > r->end ? r->end : *to;
	*from = *from >= r->end ? r->end - 1 : *from;
	*from -= r->first;
	*to -= r->first;
}

static bool has_text(const struct mark *m)
{
	return m->text && *m->text;
}

static void put_gutter(struct renderer *r)
{
	fprintf(r->out, "%*s | ", r->gutter, "");
}

/* The underlines of one row. Only the last can carry its text; the text of others needs a row of its own. */
static void put_marks(struct renderer *r, const struct source *f, const struct mark *marks, int n)
{
	int column = 0;
	put_gutter(r);
	for (int i = 0; i < n; i++) {
		int from, to;
		mark_columns(r, f, &marks[i], &from, &to);
		put_repeated(r->out, ' ', from - column);
		from = from > column ? from : column;
		put_repeated(r->out, marks[i].primary ? '^' : '-', to - from);
		column = to > column ? to : column;
	}
	if (has_text(&marks[n - 1]))
		fprintf(r->out, " %s", marks[n - 1].text);
	putc('\n', r->out);
}

static void put_text_row(struct renderer *r, const struct source *f, const struct mark *m)
{
	int from, to;
	mark_columns(r, f, m, &from, &to);
	put_gutter(r);
	put_repeated(r->out, ' ', from);
	fprintf(r->out, "%s\n", m->text);
}

static int by_column(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	return x->at.lo != y->at.lo ? (x->at.lo < y->at.lo ? -1 : 1) : (x->at.hi > y->at.hi) - (x->at.hi < y->at.hi);
}

/* One source line with all its marks, which are of one file and one line. */
static void put_line(struct renderer *r, struct mark *marks, int n)
{
	const struct source *f = source_of(r, marks[0].at);
	const char *start, *end;
	line_bounds(f, marks[0].line, &start, &end);
	qsort(marks, (size_t)n, sizeof *marks, by_column);
	r->end = text_width(start, end, 0) + 1;
	r->first = 0;
	if (r->end > WIDEST) {
		int column = text_width(start, f->text + marks[0].at.lo, 0);
		r->first = column > MARGIN ? column - MARGIN : 0;
		r->end = r->end > r->first + WINDOW ? r->first + WINDOW : r->end;
	}
	fprintf(r->out, "%*d | ", r->gutter, marks[0].line);
	put_text(r, start, end);
	putc('\n', r->out);
	put_marks(r, f, marks, n);
	for (int i = n - 2; i >= 0; i--)
		if (has_text(&marks[i]))
			put_text_row(r, f, &marks[i]);
}

/* ---- one diagnostic ----------------------------------------------------------------------------------------------- */

static void put_place(struct renderer *r, const char *arrow, struct span at)
{
	int line, column;
	sources_position(r->sink->sources, at, &line, &column);
	fprintf(r->out, "%*s%s %s:%d:%d\n", r->gutter, "", arrow, source_of(r, at)->label, line, column);
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

/* Moves the marks that stand on the line of the first one to the front of [marks, n); gives their number. */
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
	struct mark *marks = calloc((size_t)n, sizeof *marks);
	if (!marks)
		internal_error("no memory for %d labels", n);
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
	free(marks);
}

static void put_diag(struct renderer *r, const struct diag *d)
{
	r->gutter = gutter_of(r, d);
	fprintf(r->out, "%s[%s]: %s\n", diag_is_error(d->code) ? "error" : "warning", diag_code_name(d->code), d->message);
	put_place(r, "-->", d->at);
	put_marked_lines(r, d);
	for (int i = 0; i < d->table.n; i++)
		fprintf(r->out, "%*s |  %s\n", r->gutter, "", d->table.at[i]);
	for (int i = 0; i < d->notes.n; i++)
		fprintf(r->out, "%*s= note: %s\n", r->gutter, "", d->notes.at[i]);
	if (d->help)
		fprintf(r->out, "%*s= help: %s\n", r->gutter, "", d->help);
}

/* ---- all of them -------------------------------------------------------------------------------------------------- */

/* Reports at the same place keep the order in which they were made. */
struct numbered { const struct diag *diag; int number; };

static int by_place(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	struct span s = x->diag->at, t = y->diag->at;
	if (s.file != t.file)
		return s.file < t.file ? -1 : 1;
	if (s.lo != t.lo)
		return s.lo < t.lo ? -1 : 1;
	return x->number - y->number;
}

void diag_print(const struct sink *s, FILE *out)
{
	struct renderer r = {.sink = s, .out = out};
	int n = s->diags.n;
	struct numbered *sorted = calloc((size_t)n + 1, sizeof *sorted);
	if (!sorted)
		internal_error("no memory for %d diagnostics", n);
	for (int i = 0; i < n; i++)
		sorted[i] = (struct numbered){s->diags.at[i], i};
	qsort(sorted, (size_t)n, sizeof *sorted, by_place);
	for (int i = 0; i < n; i++) {
		if (i > 0)
			putc('\n', out);
		put_diag(&r, sorted[i].diag);
	}
	free(sorted);
}
