/* A graph as a picture: a box for each stage, in it the groups of ranks, and what they exchange.
 *
 * The innermost axis that is shown makes the cells of a row, the others make the rows. Each axis has a colour: in the
 * list of what goes over it, and at the coordinates of the ranks that exchange. */
#include "graph.h"
#include <math.h>
#include <string.h>
#include "metrics_text.h"

struct dot {
	struct arena *arena;
	const struct graph *g;
	FILE *out;
	const char *prefix; /* of the names of nodes */
	int first;          /* number of its first box */
	int cells;          /* axis of the cells; -1: none is shown */
};

static const char *name_of(const struct dot *d, const struct graph_node *n)
{
	return arena_printf(d->arena, "%s%s", d->prefix, graph_name(d->arena, d->g, n));
}

static void put_escaped(const char *text, FILE *out)
{
	for (; *text; text++)
		switch (*text) {
		case '&': fputs("&amp;", out); break;
		case '<': fputs("&lt;", out); break;
		case '>': fputs("&gt;", out); break;
		case '"': fputs("&quot;", out); break;
		default:  putc(*text, out);
		}
}

/* The colour of the axis that has an atom of this stride; the pipeline's is that of the edges. */
#define PIPELINE_COLOR "#2f5d8a"
static const char *color_at(const struct dot *d, int64_t stride)
{
	static const char *const colors[] = {"#b3541e", "#1b7f5c", "#7a3e9d", "#a8327a", "#8a6d00", "#0a7d8c"};
	for (int i = 0; i < d->g->axes.n; i++) {
		const struct graph_axis *a = &d->g->axes.at[d->g->axes.n - 1 - i];
		if (stride >= a->stride && stride < a->stride * a->size)
			return colors[i % (int)(sizeof colors / sizeof *colors)];
	}
	return PIPELINE_COLOR;
}

/* ---- what a stage exchanges ------------------------------------------------------------------ */

/* Collectives of a stage over one group, for the units of one kind, as often as each other. */
struct traffic {
	int group;
	enum plan_often often;
	enum plan_unit unit;
};

/* Does a collective count here? Receives are the other end of sends. */
static bool is_of(const struct plan_collective *c, const struct traffic *t)
{
	return c->of->group == t->group && c->often == t->often && c->unit == t->unit && c->of->kind != DR_RECV;
}

/* "2.5 KiB / token in 4": what a rank contributes to so many runs in a layer or a step; "": none. */
static const char *amount(const struct dot *d, int stage, int program, const struct traffic *t)
{
	const struct plan *p = d->g->plan;
	const struct stage *s = &p->schedule->stages.at[stage];
	double bytes = 0, runs = 0, layers = (double)(s->layer_end - s->layer_begin);
	for (int i = 0; i < p->collectives.n; i++) {
		const struct plan_collective *c = &p->collectives.at[i];
		if (c->of->program != program || !is_of(c, t))
			continue;
		double times = (double)graph_times(d->g, stage, i) / (t->often == OFTEN_LAYER ? layers : 1);
		runs += times;
		bytes += times * c->bytes;
	}
	static const char *const of[PLAN_UNITS] = {[UNIT_TOKEN] = " / token",
	                                           [UNIT_ROW] = " / row",
	                                           [UNIT_PAGE] = " / page",
	                                           [UNIT_ROUND] = " / round",
	                                           [UNIT_CALL] = ""};
	return runs > 0 ? arena_printf(d->arena, "%s%s in %.3g", planner_bytes(d->arena, bytes), of[t->unit], runs) : "";
}

static const char *kinds_of(const struct dot *d, int stage, const struct traffic *t)
{
	const struct plan *p = d->g->plan;
	struct text text = {.arena = d->arena};
	for (int kind = 0; kind <= DR_SEND; kind++)
		for (int i = 0; i < p->collectives.n; i++)
			if ((int)p->collectives.at[i].of->kind == kind && is_of(&p->collectives.at[i], t)
			    && graph_times(d->g, stage, i)) {
				text_add(&text, "%s%s", text.n ? ", " : "", collective_name((enum dr_collective_kind)kind));
				break;
			}
	return text.at;
}

static void put_traffic_line(const struct dot *d, int stage, const struct plan_collective *c)
{
	static const char *const often[] = {
		[OFTEN_ONCE] = "once a step", [OFTEN_LAYER] = "each layer", [OFTEN_CUT] = "to the next stage"};
	const struct traffic t = {c->of->group, c->often, c->unit};
	const struct group *over = &d->g->plan->schedule->groups.at[c->of->group];
	const struct machine *m = &d->g->plan->deploy->machine;
	fputs("<TR><TD ALIGN=\"LEFT\"><B>", d->out);
	for (int i = 0; i < over->n; i++) {
		const struct atom *a = &d->g->plan->schedule->atoms.at[over->atom[i]];
		fprintf(d->out, "%s<FONT COLOR=\"%s\">%s</FONT>", i ? ", " : "", color_at(d, a->stride), a->name);
	}
	fprintf(d->out, "</B> &#215;%lld", (long long)over->size);
	fprintf(d->out, "</TD><TD ALIGN=\"LEFT\">%s</TD><TD ALIGN=\"LEFT\">%s</TD><TD ALIGN=\"LEFT\">",
	        kinds_of(d, stage, &t), often[c->often]);
	if (c->level >= 0)
		put_escaped(m->levels.at[c->level].name, d->out);
	for (int i = 0; i < d->g->plan->schedule->programs.n; i++)
		fprintf(d->out, "</TD><TD ALIGN=\"RIGHT\">%s", amount(d, stage, i, &t));
	fputs("</TD></TR>\n", d->out);
}

/* A line for each group, unit and frequency, in the order of layers, steps and cuts. */
static void put_traffic(const struct dot *d, int stage)
{
	static const enum plan_often order[] = {OFTEN_LAYER, OFTEN_ONCE, OFTEN_CUT};
	const struct plan *p = d->g->plan;
	for (int o = 0; o < 3; o++)
		for (int i = 0; i < p->collectives.n; i++) {
			const struct plan_collective *c = &p->collectives.at[i];
			const struct traffic t = {c->of->group, c->often, c->unit};
			bool first = c->often == order[o] && c->of->kind != DR_RECV && graph_times(d->g, stage, i);
			for (int k = 0; k < i && first; k++)
				first = !is_of(&p->collectives.at[k], &t) || !graph_times(d->g, stage, k);
			if (first)
				put_traffic_line(d, stage, c);
		}
}

/* ---- stages ---------------------------------------------------------------------------------- */

static void put_stage_times(const struct dot *d, int stage)
{
	const struct schedule *s = d->g->plan->schedule;
	struct text t = {.arena = d->arena};
	for (int i = 0; i < s->programs.n; i++) {
		double seconds = graph_stage_seconds(d->g, stage, i);
		if (isfinite(seconds))
			text_add(&t, "%s%s %s", t.n ? ", " : "", s->programs.at[i].name, metric_seconds(d->arena, seconds));
	}
	if (t.n)
		fprintf(d->out, "<TR><TD ALIGN=\"LEFT\" COLSPAN=\"6\">a microbatch: %s</TD></TR>\n", t.at);
}

static void put_stage_label(const struct dot *d, int run)
{
	const struct schedule *s = d->g->plan->schedule;
	struct stage_range r = d->g->runs.at[run];
	const struct stage *first = &s->stages.at[r.begin];
	struct memory m = planner_stage_memory(s, r.begin);
	bool one = r.end - r.begin == 1;
	fprintf(d->out, "    label=<<TABLE BORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"4\">\n"
	                "<TR><TD ALIGN=\"LEFT\" COLSPAN=\"6\"><FONT POINT-SIZE=\"16\"><B>");
	if (one)
		fprintf(d->out, "stage %d</B></FONT> &#160; layers %lld to %lld", r.begin, (long long)first->layer_begin,
		        (long long)first->layer_end - 1);
	else
		fprintf(d->out, "stages %d to %d</B></FONT> &#160; %d equal stages of %lld layers, one after another", r.begin,
		        r.end - 1, r.end - r.begin, (long long)(first->layer_end - first->layer_begin));
	fprintf(d->out,
	        "</TD></TR>\n<TR><TD ALIGN=\"LEFT\" COLSPAN=\"6\">a rank: %s = weights %s + cache %s + activations %s "
	        "+ communication %s</TD></TR>\n",
	        planner_bytes(d->arena, m.peak), planner_bytes(d->arena, m.weights), planner_bytes(d->arena, m.kv),
	        planner_bytes(d->arena, m.activations), planner_bytes(d->arena, m.comm));
	put_stage_times(d, r.begin);
	fputs("<TR><TD ALIGN=\"LEFT\"><FONT COLOR=\"#666666\">over</FONT></TD><TD></TD><TD></TD><TD></TD>", d->out);
	for (int i = 0; i < s->programs.n; i++)
		fprintf(d->out, "<TD ALIGN=\"RIGHT\"><FONT COLOR=\"#666666\">%s</FONT></TD>", s->programs.at[i].name);
	fputs("</TR>\n", d->out);
	put_traffic(d, r.begin);
	fputs("</TABLE>>;\n", d->out);
}

/* "ep 3", or "every rank of the stage". */
static const char *row_title(const struct dot *d, const struct graph_node *n)
{
	struct text t = {.arena = d->arena};
	for (int i = 0; i < d->g->axes.n; i++) {
		const struct graph_axis *a = &d->g->axes.at[i];
		if (a->shown && i != d->cells)
			text_add(&t, "%s<FONT COLOR=\"%s\">%s %lld</FONT>", t.n ? " &#183; " : "", color_at(d, a->stride), a->name,
			         (long long)n->coordinate[i]);
	}
	for (int i = 0; i < d->g->axes.n; i++)
		if (!d->g->axes.at[i].shown)
			text_add(&t, "%s<FONT COLOR=\"%s\">%s 0..%lld</FONT>", t.n ? " &#183; " : "",
			         color_at(d, d->g->axes.at[i].stride), d->g->axes.at[i].name, (long long)d->g->axes.at[i].size - 1);
	return t.at;
}

static void put_cell(const struct dot *d, const struct graph_node *n)
{
	int64_t all = d->g->ranks;
	fputs("<TD BORDER=\"1\" BGCOLOR=\"white\" WIDTH=\"64\">", d->out);
	if (d->cells >= 0)
		fprintf(d->out, "<FONT COLOR=\"%s\" POINT-SIZE=\"9\">%s %lld</FONT><BR/>",
		        color_at(d, d->g->axes.at[d->cells].stride), d->g->axes.at[d->cells].name,
		        (long long)n->coordinate[d->cells]);
	if (all == 1)
		fprintf(d->out, "rank %lld", (long long)n->rank);
	else
		fprintf(d->out, "%lld ranks<BR/><FONT POINT-SIZE=\"9\">first: %lld</FONT>", (long long)all, (long long)n->rank);
	fputs("</TD>", d->out);
}

/* A row of nodes that differ in the axis of the cells only. `first`: index of its first node. */
static void put_row(const struct dot *d, int first, int cells)
{
	const struct graph_node *n = &d->g->nodes.at[first];
	const char *title = row_title(d, n);
	fprintf(d->out, "    \"%s\" [label=<<TABLE BORDER=\"0\" CELLSPACING=\"2\" CELLPADDING=\"4\"><TR>", name_of(d, n));
	if (title)
		fprintf(d->out, "<TD ALIGN=\"RIGHT\" WIDTH=\"70\"><B>%s</B></TD>", title);
	for (int i = 0; i < cells; i++)
		put_cell(d, n + i);
	fputs("</TR></TABLE>>];\n", d->out);
}

static int cells_of(const struct dot *d) { return d->cells < 0 ? 1 : (int)d->g->axes.at[d->cells].size; }

/* The innermost axis of the rows over which a collective goes; NULL: there is none. */
static const struct graph_axis *rows_axis(const struct dot *d)
{
	const struct graph_axis *found = NULL;
	for (int i = 0; i < d->g->axes.n; i++)
		if (d->g->axes.at[i].shown && i != d->cells && d->g->axes.at[i].exchanges)
			found = &d->g->axes.at[i];
	return found;
}

/* Joins neighbouring rows that exchange with each other. */
static void put_exchanges(const struct dot *d, int run)
{
	const struct graph_axis *axis = rows_axis(d);
	const struct graph_node *nodes = &d->g->nodes.at[run * d->g->nodes_of_run];
	int cells = cells_of(d);
	for (int i = cells; axis && i < d->g->nodes_of_run; i += cells)
		if (nodes[i].rank - nodes[i - cells].rank == axis->stride
		    && nodes[i].rank / axis->stride % axis->size == nodes[i - cells].rank / axis->stride % axis->size + 1)
			fprintf(d->out, "    \"%s\" -> \"%s\" [dir=both, arrowsize=0.6, constraint=false, color=\"%s\"];\n",
			        name_of(d, &nodes[i - cells]), name_of(d, &nodes[i]), color_at(d, axis->stride));
}

static void put_run(const struct dot *d, int run)
{
	fprintf(d->out, "  subgraph cluster_%d {\n", d->first + run);
	put_stage_label(d, run);
	for (int i = 0; i < d->g->nodes_of_run; i += cells_of(d))
		put_row(d, run * d->g->nodes_of_run + i, cells_of(d));
	put_exchanges(d, run);
	fputs("  }\n", d->out);
}

/* ---- the pipeline ---------------------------------------------------------------------------- */

/* Rows send to those of the same coordinates; the bytes are written at the middle one. */
static void put_messages(const struct dot *d, int run)
{
	const struct plan *p = d->g->plan;
	struct text label = {.arena = d->arena};
	for (int i = 0; i < p->collectives.n; i++) {
		const struct plan_collective *c = &p->collectives.at[i];
		double seconds = graph_seconds(d->g, i);
		if (c->of->kind == DR_SEND && graph_times(d->g, d->g->runs.at[run].begin, i)) {
			text_add(&label, "%s%s: %s a %s", label.n ? "\\n" : "", p->schedule->programs.at[c->of->program].name,
			         planner_bytes(d->arena, c->bytes), plan_unit_name(c->unit));
			if (isfinite(seconds))
				text_add(&label, ", %s", metric_seconds(d->arena, seconds));
		}
	}
	int cells = cells_of(d), rows = d->g->nodes_of_run / cells;
	for (int i = 0; i < rows; i++) {
		const struct graph_node *from = &d->g->nodes.at[run * d->g->nodes_of_run + i * cells];
		fprintf(d->out, "  \"%s\" -> \"%s\"", name_of(d, from), name_of(d, from + d->g->nodes_of_run));
		fprintf(d->out, i == (rows - 1) / 2 && label.n ? " [label=\"%s\"];\n" : ";\n", label.at);
	}
}

static struct dot dot_of(struct arena *arena, const struct graph *g, const char *prefix, int first, FILE *out)
{
	struct dot d = {arena, g, out, prefix, first, -1};
	for (int i = 0; i < g->axes.n; i++)
		if (g->axes.at[i].shown)
			d.cells = i;
	return d;
}

static void put_title(const char *name, int64_t units, int64_t ranks, FILE *out)
{
	fputs("  label=<<FONT POINT-SIZE=\"18\"><B>", out);
	put_escaped(name, out);
	fputs("</B></FONT> &#160; ", out);
	if (units > 1)
		fprintf(out, "%lld units of ", (long long)units);
	fprintf(out, "%lld rank%s>;\n", (long long)ranks, plural(ranks));
}

static void put_head(const char *name, FILE *out)
{
	fprintf(out, "digraph \"%s\" {\n  rankdir=LR; ranksep=1.2; nodesep=0.1; compound=true;\n", name);
	fputs("  fontname=\"Helvetica\"; fontsize=11; labelloc=t;\n"
	      "  node [shape=plain, fontname=\"Helvetica\", fontsize=11];\n"
	      "  edge [fontname=\"Helvetica\", fontsize=10, color=\"" PIPELINE_COLOR "\", fontcolor=\"" PIPELINE_COLOR
	      "\"];\n"
	      "  graph [style=\"rounded,filled\", fillcolor=\"#eef2f6\", color=\"#8899aa\", labeljust=l];\n",
	      out);
}

static void put_graph(const struct dot *d)
{
	for (int run = 0; run < d->g->runs.n; run++)
		put_run(d, run);
	for (int run = 0; run + 1 < d->g->runs.n; run++)
		put_messages(d, run);
}

void graph_dot(struct arena *arena, const struct graph *g, FILE *out)
{
	struct dot d = dot_of(arena, g, "", 0, out);
	put_head(g->plan->deploy->name, out);
	put_title(g->plan->deploy->name, 1, g->plan->deploy->gpus, out);
	put_graph(&d);
	fputs("}\n", out);
}

/* ---- deployments together -------------------------------------------------------------------- */

/* From the box of one deployment to that of the next, whatever stages send and receive. */
static void put_handover(struct arena *arena, const struct graph_joint *j, FILE *out)
{
	struct dot from = dot_of(arena, j->of[0], arena_printf(arena, "%s.", j->of[0]->plan->deploy->name), 0, out);
	struct dot to = dot_of(arena, j->of[1], arena_printf(arena, "%s.", j->of[1]->plan->deploy->name), 0, out);
	int last = (j->of[0]->runs.n - 1) * j->of[0]->nodes_of_run;
	fprintf(out, "  \"%s\" -> \"%s\" [ltail=cluster_0, lhead=cluster_%d, label=\"cache of a longest prompt: %s",
	        name_of(&from, &j->of[0]->nodes.at[last]), name_of(&to, &j->of[1]->nodes.at[0]), 1 + j->of[0]->runs.n,
	        planner_bytes(arena, j->bytes));
	if (isfinite(j->seconds))
		fprintf(out, ", %s", metric_seconds(arena, j->seconds));
	fputs("\"];\n", out);
}

void graph_joint_dot(struct arena *arena, const struct graph_joint *j, FILE *out)
{
	put_head(j->name, out);
	fputs("  label=<<FONT POINT-SIZE=\"18\"><B>", out);
	put_escaped(j->name, out);
	fputs("</B></FONT>>;\n", out);
	for (int i = 0, first = 0; i < j->n; first += 1 + j->of[i]->runs.n, i++) {
		const struct deploy *of = j->of[i]->plan->deploy;
		struct dot d = dot_of(arena, j->of[i], arena_printf(arena, "%s.", of->name), first + 1, out);
		fprintf(out, "  subgraph cluster_%d {\n  fillcolor=\"#ffffff\";\n", first);
		put_title(of->name, j->units[i], of->gpus, out);
		put_graph(&d);
		fputs("  }\n", out);
	}
	if (j->bytes > 0)
		put_handover(arena, j, out);
	fputs("}\n", out);
}
