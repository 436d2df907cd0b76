/* The plans of a search in the page of a plan: throughput of a GPU over the time between tokens, both by factors. */
#include <math.h>
#include "metrics_text.h"
#include "page_html.h"

/* Sizes of the picture, in its own units, and of the margins of its axes. */
enum { WIDTH = 720, HEIGHT = 320, LEFT = 110, BOTTOM = 40, MAX_FRONT = 12 };

/* A scale by factors: from `low` to `high`, both above 0. */
struct scale {
	double low, high;
};

static void include(struct scale *a, double x)
{
	a->low = x < a->low ? x : a->low;
	a->high = x > a->high ? x : a->high;
}

/* 0 to 1, with room at both ends. */
static double along(const struct scale *a, double x)
{
	enum { ROOM = 8 }; /* percent */
	double share = a->high > a->low ? log(x / a->low) / log(a->high / a->low) : 0.5;
	return (ROOM + (100 - 2 * ROOM) * share) / 100;
}

static double x_of(const struct scale *a, double tpot) { return LEFT + along(a, tpot) * (WIDTH - LEFT); }

static double y_of(const struct scale *a, double throughput) { return (1 - along(a, throughput)) * (HEIGHT - BOTTOM); }

static bool is_drawn(const struct page_rival *r) { return r->throughput > 0 && r->tpot > 0; }

/* This plan: its throughput is of all its ranks. */
static struct page_rival own(const struct page *p)
{
	const struct estimate *of = p->plan->metrics.of;
	return (struct page_rival){.ranks = (double)p->plan->deploy->gpus,
	                           .throughput = of[METRIC_THROUGHPUT].value / (double)p->plan->deploy->gpus,
	                           .tpot = of[METRIC_TPOT].value};
}

/* ---- axes ------------------------------------------------------------------------------------ */

/* The n-th of 1, 2, 5, 10, 20, 50 and so on. */
static double round_number(int n)
{
	static const double of[] = {1, 2, 5};
	int decade = n >= 0 ? n / 3 : -((2 - n) / 3);
	return of[n - 3 * decade] * pow(10, decade);
}

/* Labels at round numbers, or, on a short axis, at its ends. */
static void put_ticks(const struct html *h, const struct scale *a, enum metric m,
                      void put(const struct html *h, const struct scale *a, enum metric m, double at))
{
	int first = (int)floor(3 * log10(a->low)) - 1, last = (int)ceil(3 * log10(a->high)) + 1, n = 0;
	for (int i = first; i <= last; i++)
		if (round_number(i) >= a->low && round_number(i) <= a->high)
			n++;
	if (n < 2) {
		put(h, a, m, a->low);
		if (a->high > a->low)
			put(h, a, m, a->high);
		return;
	}
	for (int i = first; i <= last; i++)
		if (round_number(i) >= a->low && round_number(i) <= a->high)
			put(h, a, m, round_number(i));
}

static void put_below(const struct html *h, const struct scale *a, enum metric m, double at)
{
	fprintf(h->out, "<path d=\"M%.1f 0V%d\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", x_of(a, at),
	        HEIGHT - BOTTOM, x_of(a, at), HEIGHT - BOTTOM + 16, metric_text(h->arena, m, at));
}

static void put_left(const struct html *h, const struct scale *a, enum metric m, double at)
{
	fprintf(h->out, "<path d=\"M%d %.1fH%d\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT,
	        y_of(a, at), WIDTH, LEFT - 8, y_of(a, at) + 4, metric_text(h->arena, m, at));
}

/* ---- the plot -------------------------------------------------------------------------------- */

static void put_point(const struct html *h, const struct scale *x, const struct scale *y, int i)
{
	const struct page_rival *r = &h->page->rivals.at[i];
	fprintf(h->out, "<circle class=\"%s\" data-plan=\"search/plans/%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"><title>",
	        r->front ? "front" : "rival", i, x_of(x, r->tpot), y_of(y, r->throughput));
	html_put(h, r->choice);
	fprintf(h->out, ": %s, %s for a GPU</title></circle>\n", metric_text(h->arena, METRIC_TPOT, r->tpot),
	        metric_text(h->arena, METRIC_THROUGHPUT, r->throughput));
}

static void put_plot(const struct html *h, const struct page_rival *self)
{
	struct scale x = {self->tpot, self->tpot}, y = {self->throughput, self->throughput};
	const struct page *p = h->page;
	for (int i = 0; i < p->rivals.n; i++)
		if (is_drawn(&p->rivals.at[i])) {
			include(&x, p->rivals.at[i].tpot);
			include(&y, p->rivals.at[i].throughput);
		}
	fprintf(h->out, "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\">\n", WIDTH, HEIGHT);
	put_ticks(h, &x, METRIC_TPOT, put_below);
	put_ticks(h, &y, METRIC_THROUGHPUT, put_left);
	for (int i = p->rivals.n - 1; i >= 0; i--)
		if (is_drawn(&p->rivals.at[i]))
			put_point(h, &x, &y, i);
	fprintf(h->out,
	        "<rect class=\"own\" x=\"%.1f\" y=\"%.1f\" width=\"16\" height=\"16\"><title>this plan</title></rect>\n",
	        x_of(&x, self->tpot) - 8, y_of(&y, self->throughput) - 8);
	fprintf(h->out, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">time between tokens</text>\n</svg>\n", WIDTH,
	        HEIGHT - 6);
}

static void put_front(const struct html *h)
{
	const struct page *p = h->page;
	fputs("<table>\n<tr><th>no plan is better than these in throughput of a GPU, time between tokens and cost "
	      "together</th><th "
	      "class=\"n\">throughput</th><th class=\"n\">between tokens</th><th class=\"n\">cost of a batch</th></tr>\n",
	      h->out);
	for (int i = 0; i < p->rivals.n && i < MAX_FRONT && p->rivals.at[i].front; i++) {
		const struct page_rival *r = &p->rivals.at[i];
		fputs("<tr><td>", h->out);
		html_name(h, arena_printf(h->arena, "search/plans/%d/choice", i));
		fprintf(h->out, "</td><td class=\"n\">%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n",
		        metric_text(h->arena, METRIC_THROUGHPUT, r->throughput), metric_text(h->arena, METRIC_TPOT, r->tpot),
		        isfinite(r->cost) ? metric_text(h->arena, METRIC_COST, r->cost) : "-");
	}
	fputs("</table>\n", h->out);
}

void html_rivals(const struct html *h)
{
	const struct page *p = h->page;
	const struct page_rival self = own(p);
	int drawn = 0;
	for (int i = 0; i < p->rivals.n; i++)
		drawn += is_drawn(&p->rivals.at[i]);
	if (!is_drawn(&self) || (!drawn && !p->crowded))
		return;
	fputs("<h2>Other plans</h2>\n<p class=\"soft\">", h->out);
	if (p->crowded) {
		fputs("There are too many to try for this page; <code>deployc search</code> tries them.</p>\n", h->out);
		return;
	}
	html_figure(h, AS_WHOLE, "search/tried");
	fprintf(h->out,
	        " plans were tried, %d hold%s: throughput of a GPU over the time between tokens. The square is this plan; "
	        "no plan is "
	        "better than a filled one in both and in cost.</p>\n",
	        p->rivals.n, p->rivals.n == 1 ? "s" : "");
	put_plot(h, &self);
	put_front(h);
}
