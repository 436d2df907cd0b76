/* Pictures of `deployc plan` in text: ranks on the devices of the cluster, and bars of memory. */
#include <stdlib.h>
#include <string.h>
#include "report.h"

enum { MAX_COLUMNS = 16, MAX_ROWS = 8, BAR = 60 };

/* ---- ranks ----------------------------------------------------------------------------------- */

struct grid {
	const struct deploy *d;
	int64_t columns, unit; /* unit: devices of the innermost level of the cluster; 0: there is none */
	int width;             /* of a cell */
};

static int64_t stride_of(const struct deploy *d, int axis)
{
	int64_t stride = 1;
	for (int i = d->mesh.n - 1; i > axis; i--)
		stride *= d->mesh.at[i].size;
	return stride;
}

static int64_t coordinate(const struct deploy *d, int axis, int64_t rank)
{
	return rank / stride_of(d, axis) % d->mesh.at[axis].size;
}

/* A row has whole inner axes, as many as fit; of one that is too long, a part. */
static int64_t columns_of(const struct deploy *d, int64_t unit)
{
	int64_t n = 1, most = unit && unit < MAX_COLUMNS ? unit : MAX_COLUMNS;
	for (int i = d->mesh.n - 1; i >= 0; i--) {
		int64_t longer = n * d->mesh.at[i].size;
		if (longer > most)
			break;
		n = longer;
	}
	return n > 1 || d->gpus == 1 ? n : most < d->gpus ? most : d->gpus;
}

static bool varies_inside(const struct grid *g, int axis)
{
	return g->d->mesh.at[axis].size > 1 && stride_of(g->d, axis) < g->columns;
}

static bool varies_outside(const struct grid *g, int axis)
{
	const struct mesh_axis *m = &g->d->mesh.at[axis];
	return m->size > 1 && stride_of(g->d, axis) * m->size > g->columns;
}

/* "nvlink 3  pp 1 ep 0": where a row of ranks is. "tp 8+": a part of an axis, which the columns count on from there. */
static const char *row_label(const struct grid *g, struct arena *arena, int64_t first)
{
	struct text t = {.arena = arena};
	if (g->unit && g->unit < g->d->gpus)
		text_add(&t, "%s %lld ", g->d->machine.levels.at[0].name, (long long)(first / g->unit));
	for (int i = 0; i < g->d->mesh.n; i++)
		if (varies_outside(g, i))
			text_add(&t, " %s %lld%s", g->d->mesh.at[i].name, (long long)coordinate(g->d, i, first),
			         varies_inside(g, i) ? "+" : "");
	return t.n ? t.at : "";
}

static void print_row(struct text *out, const struct grid *g, struct arena *arena, int label, int64_t first)
{
	text_add(out, "    %-*s |", label, row_label(g, arena, first));
	for (int64_t c = 0; c < g->columns && first + c < g->d->gpus; c++)
		text_add(out, " %*lld", g->width, (long long)(first + c));
	text_add(out, "\n");
}

/* The coordinates of the columns, one line for each axis. */
static void print_columns(struct text *out, const struct grid *g, int label)
{
	for (int i = 0; i < g->d->mesh.n; i++) {
		if (!varies_inside(g, i))
			continue;
		int64_t stride = stride_of(g->d, i);
		text_add(out, "    %*s  ", label, g->d->mesh.at[i].name);
		for (int64_t c = 0; c < g->columns; c++)
			if (c % stride == 0)
				text_add(out, " %*lld", g->width, (long long)coordinate(g->d, i, c));
			else
				text_add(out, " %*s", g->width, "");
		while (out->n && out->at[out->n - 1] == ' ')
			out->at[--out->n] = 0;
		text_add(out, "\n");
	}
}

/* "8 devices of nvlink, 4 of fabric": the levels, inside out. */
static void print_levels(struct text *out, const struct deploy *d)
{
	const struct machine *m = &d->machine;
	text_add(out, "\n  ranks on %s", m->name ? m->name : "the cluster");
	for (int i = 0; i < m->levels.n; i++)
		text_add(out, "%s %lld to a `%s`", i ? "," : ":", (long long)m->levels.at[i].count, m->levels.at[i].name);
	text_add(out, "\n");
}

void report_grid(struct text *out, struct arena *arena, const struct deploy *d)
{
	struct grid g = {.d = d, .unit = d->machine.levels.n ? d->machine.levels.at[0].count : 0};
	if (!d->mesh.n || d->gpus < 2)
		return;
	g.columns = columns_of(d, g.unit);
	g.width = snprintf(NULL, 0, "%lld", (long long)d->gpus - 1);
	int64_t rows = (d->gpus + g.columns - 1) / g.columns, shown = rows > MAX_ROWS ? MAX_ROWS - 1 : rows;
	int label = (int)strlen(row_label(&g, arena, (rows - 1) * g.columns));
	for (int i = 0; i < d->mesh.n; i++)
		if (varies_inside(&g, i) && (int)strlen(d->mesh.at[i].name) > label)
			label = (int)strlen(d->mesh.at[i].name);
	print_levels(out, d);
	print_columns(out, &g, label);
	for (int64_t r = 0; r < shown; r++)
		print_row(out, &g, arena, label, r * g.columns);
	if (shown < rows) {
		text_add(out, "    ... %lld rows like these ...\n", (long long)(rows - shown - 1));
		print_row(out, &g, arena, label, (rows - 1) * g.columns);
	}
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* As many signs of a bar as a share of it rounds to, counted from its start so that parts add up. */
static int signs(double bytes, double scale) { return (int)(BAR * bytes / scale + 0.5); }

void report_bar(struct text *out, const char *label, const struct bar_part *parts, int n, double scale)
{
	char bar[BAR + 1];
	double sum = 0;
	int at = 0;
	for (int i = 0; i < n; i++) {
		sum += parts[i].bytes;
		for (int end = signs(sum, scale); at < end && at < BAR; at++)
			bar[at] = parts[i].sign;
	}
	for (; at < BAR; at++)
		bar[at] = '.';
	bar[BAR] = 0;
	text_add(out, "    %-16s %s %5.1f%%\n", label, bar, 100 * sum / scale);
}

double report_scale(struct text *out, struct arena *arena, const struct bar_part *parts, int n, double usable)
{
	double peak = 0;
	for (int i = 0; i < n; i++)
		peak += parts[i].bytes;
	bool whole = usable > 0 && peak >= usable / 50 && peak <= usable;
	text_add(out, "    a bar is %s%s: ", planner_bytes(arena, whole ? usable : peak),
	         whole ? ", what is usable" : ", the fullest rank");
	for (int i = 0; i < n; i++)
		text_add(out, "%s%c %s", i ? ", " : "", parts[i].sign, parts[i].name);
	text_add(out, "\n");
	return whole ? usable : peak;
}

/* ---- goals ----------------------------------------------------------------------------------- */

enum { GOAL_WIDTH = 74 };

void report_goals(struct text *out, const struct goal_list *goals)
{
	if (goals->n)
		text_add(out, "\n  goals\n");
	for (int i = 0; i < goals->n; i++) {
		const struct judged_goal *g = &goals->at[i];
		bool cut = (int)strlen(g->text) > GOAL_WIDTH;
		text_add(out, "    %-10s %s %.*s%s\n", goal_verdict_name(g->verdict), g->required ? "require" : "assert ",
		         cut ? GOAL_WIDTH - 3 : GOAL_WIDTH, g->text, cut ? "..." : "");
	}
}
