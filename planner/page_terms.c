/* Every term of a step in the page of a plan: what its time is made of. */
#include <string.h>
#include "metrics_text.h"
#include "page_html.h"
#include "step_time.h"

static const struct {
	const char *name; /* in the data, and the head of a column */
	size_t at;
} busy[] = {{"compute", offsetof(struct time_parts, compute)},
            {"memory", offsetof(struct time_parts, memory)},
            {"link", offsetof(struct time_parts, link)}};
enum { BUSY = sizeof busy / sizeof *busy };

static double busy_part(const struct time_parts *p, int i) { return *(const double *)((const char *)p + busy[i].at); }

/* "launch + max(compute, memory)": parts that are 0 are left out. */
static const char *formula(struct arena *a, const struct time_parts *p)
{
	struct text names = {.arena = a}, t = {.arena = a};
	int n = 0;
	for (int i = 0; i < BUSY; i++)
		if (busy_part(p, i) > 0)
			text_add(&names, "%s%s%s", n++ ? p->smooth ? " + " : ", " : "", busy[i].name, p->smooth ? "\u2074" : "");
	if (p->launch > 0)
		text_add(&t, "launch");
	if (n)
		text_add(&t, "%s%s%s%s", t.n ? " + " : "", n > 1 ? p->smooth ? "(" : "max(" : "",
		         n > 1 || !p->smooth ? names.at : busy[0].name, n > 1 ? p->smooth ? ")^\u00bc" : ")" : "");
	if (p->more > 0)
		text_add(&t, "%smore", t.n ? " + " : "");
	return t.n ? t.at : "0";
}

static void put_cell(const struct html *h, const char *term, const char *part, double value)
{
	fputs("<td class=\"n\">", h->out);
	if (value > 0)
		html_figure(h, AS_SECONDS, "%s/parts/%s", term, part);
	fputs("</td>", h->out);
}

static void put_term(const struct html *h, const char *path, const struct term *t)
{
	const struct time_parts *p = &t->parts;
	fputs("<tr><td>", h->out);
	html_name(h, arena_printf(h->arena, "%s/what", path));
	fprintf(h->out, "</td><td>%s</td><td class=\"n\" data-sum=\"%s\">%s</td><td>%s</td>", term_kind_name(t->kind), path,
	        t->seconds > 0 ? metric_seconds(h->arena, t->seconds) : "0 s", formula(h->arena, p));
	put_cell(h, path, "launch", p->launch);
	for (int i = 0; i < BUSY; i++)
		put_cell(h, path, busy[i].name, busy_part(p, i));
	put_cell(h, path, "more", p->more);
	fputs("</tr>\n", h->out);
}

void html_terms(const struct html *h, int step, const struct step_time *t)
{
	fputs("<details><summary>Every term, and its formula</summary>\n<p class=\"soft\">Compute is operations over the "
	      "share "
	      "of the peak that a kernel reaches, in waves of tiles where it has tiles; memory is bytes over the share of "
	      "the "
	      "bandwidth; link is what a rank sends over the share of the slowest link; launch is what a kernel, or a "
	      "protocol, "
	      "needs to begin; more is what nothing hides. <code>docs/planner.md</code> has each in full.</p>\n"
	      "<table>\n<tr><th>what</th><th>kind</th><th class=\"n\">time</th><th>is</th><th class=\"n\">launch</th><th "
	      "class=\"n\">compute</th><th class=\"n\">memory</th><th class=\"n\">link</th><th "
	      "class=\"n\">more</th></tr>\n",
	      h->out);
	for (int list = 0; list < t->n_lists; list++)
		for (int i = 0, term = 0; i < t->list[list].list->n; i++) {
			enum instr_kind kind = t->list[list].list->at[i].kind;
			if (kind == INSTR_ROUNDS_BEGIN || kind == INSTR_ROUNDS_END)
				continue;
			const char *path = arena_printf(h->arena, "plan/times/steps/%d/lists/%d/terms/%d", step, list, term++);
			put_term(h, path, &t->list[list].at[i].term);
		}
	fputs("</table>\n</details>\n", h->out);
}
