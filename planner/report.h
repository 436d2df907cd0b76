/* Parts of the text of `deployc plan`, at most 100 columns wide but for names that users chose. */
#ifndef DEPLOYC_PLANNER_REPORT_H
#define DEPLOYC_PLANNER_REPORT_H
#include "plan.h"

/* report_grid.c */
/* Ranks on the devices of the cluster: a row has the inner axes of the mesh. Nothing if there is one rank. */
void report_grid(struct text *out, struct arena *arena, const struct deploy *d);
/* One part of a bar of memory. */
struct bar_part {
	const char *name;
	char sign;
	double bytes;
};
/* The bytes that a bar stands for, with a line that says so: what is usable of a device, or, if the fullest rank takes
 * little of it or more than it, the bytes of that rank, whose parts are given. */
double report_scale(struct text *out, struct arena *arena, const struct bar_part *parts, int n, double usable);
void report_bar(struct text *out, const char *label, const struct bar_part *parts, int n, double scale);
/* What was decided of each `require` and `assert`. */
void report_goals(struct text *out, const struct goal_list *goals);
#endif
