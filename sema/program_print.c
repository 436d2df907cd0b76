/* The text dump of a program (--emit=dag): one line for each axis, param, state, value and output. */
#include "../support/escape.h"
#include "walk.h"
#include <inttypes.h>

void print_axes(const struct program *p, const int *axes, int n, FILE *out)
{
	fputc('[', out);
	for (int i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? ", " : "", p->axes.at[axes[i]].name);
	fputc(']', out);
}

void print_value_type(const struct program *p, const struct value *v, FILE *out)
{
	switch (v->type) {
	case TYPE_FLOAT:   fputs(dtype_name(v->dtype), out); break;
	case TYPE_INT:     fputs("Int", out); break;
	case TYPE_INDEX:   fprintf(out, "index(%s)", p->axes.at[v->index_of].name); break;
	case TYPE_ROUTING: fprintf(out, "Routing(%s, %s)", p->axes.at[v->index_of].name, p->axes.at[v->slot].name); break;
	}
	print_axes(p, v->axes, v->n_axes, out);
}

static void print_region(const struct program *p, int region, FILE *out)
{
	if (p->regions.at[region].parent > 0) {
		print_region(p, p->regions.at[region].parent, out);
		fputc('.', out);
	}
	fputs(p->regions.at[region].name, out);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static void print_one(const struct program *p, const char *label, int axis, FILE *out)
{
	if (axis >= 0)
		fprintf(out, " %s %s", label, p->axes.at[axis].name);
}

static void print_list(const struct program *p, const char *label, const int *axes, int n, FILE *out)
{
	fprintf(out, " %s ", label);
	print_axes(p, axes, n, out);
}

static void print_attend(const struct program *p, const struct value *v, FILE *out)
{
	print_list(p, "heads", v->attend.h, v->attend.n_h, out);
	print_list(p, "group", v->attend.r, v->attend.n_r, out);
	print_one(p, "dot", v->attend.dot, out);
	print_one(p, "width", v->attend.w, out);
	print_one(p, "over", v->attend.over, out);
	fprintf(out, " scale %.9g%s", v->attend.scale, v->attend.causal ? " causal" : "");
	if (v->attend.window)
		fprintf(out, " window %" PRId64, v->attend.window);
}

static void print_route(const struct program *p, const struct value *v, FILE *out)
{
	print_one(p, "over", v->route.over, out);
	print_one(p, "to", v->route.expert, out);
	print_one(p, "slot", v->route.slot, out);
	fprintf(out, " top %" PRId64 " groups %" PRId64 " of %" PRId64 "%s factor %.9g", v->route.top, v->route.top_groups,
	        v->route.groups, v->route.renormalize ? " renormalize" : "", v->route.factor);
}

static void print_attributes(const struct program *p, const struct value *v, FILE *out)
{
	switch (v->op) {
	case OP_CONST:  fprintf(out, " %.17g", v->number); break;
	case OP_PARAM:  fprintf(out, " %s", p->params.at[v->param].path); break;
	case OP_APPEND: fprintf(out, " state %s", p->states.at[v->state].path); break;
	case OP_ATTEND: print_attend(p, v, out); break;
	case OP_ROUTE:  print_route(p, v, out); break;
	case OP_ROTATE:
		print_one(p, "over", v->f, out);
		fputs(v->interleaved ? " interleaved" : " halves", out);
		break;
	case OP_CARRY: fprintf(out, " next %%%d", v->next); break;
	default:       break;
	}
	if (v->n_over)
		print_list(p, "over", v->over, v->n_over, out);
	print_one(p, "from", v->from, out);
	print_one(p, "to", v->to, out);
	print_one(p, "over", v->v, out);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void print_value(const struct program *p, int i, FILE *out)
{
	const struct value *v = &p->values.at[i];
	bool inside = p->has_loop && i >= p->loop.begin && i < p->loop.end;
	fprintf(out, "%s%%%d = %s", inside ? "  " : "", i, op_name(v->op));
	if (v->n_args) {
		for (int k = 0; k < v->n_args; k++) {
			fputs(k ? ", " : "(", out);
			if (v->args[k] < 0)
				fputs("none", out);
			else
				fprintf(out, "%%%d", v->args[k]);
		}
		fputc(')', out);
	}
	print_attributes(p, v, out);
	fputs(" : ", out);
	print_value_type(p, v, out);
	if (v->region) {
		fputs("  @", out);
		print_region(p, v->region, out);
	}
	if (v->call >= 0)
		fprintf(out, "  in %s#%d", p->calls.at[v->call].name, v->call);
	if (v->name)
		fprintf(out, "  // %s", v->name);
	fputc('\n', out);
}

static void print_axis(const struct program *p, const struct axis *a, FILE *out)
{
	fprintf(out, "axis %s", a->name);
	if (a->extent)
		fprintf(out, " = %" PRId64, a->extent);
	if (a->like >= 0)
		fprintf(out, " like %s", p->axes.at[a->like].name);
	else if (a->kind == AXIS_DYNAMIC)
		fputs(" dynamic", out);
	else if (a->kind == AXIS_RAGGED)
		fprintf(out, " ragged(%s)", p->axes.at[a->of].name);
	else if (a->kind == AXIS_CONCAT)
		print_list(p, "concat", a->part, a->n_parts, out);
	fputc('\n', out);
}

static void print_param(const struct program *p, const struct param *q, FILE *out)
{
	fprintf(out, "param %s : %s", q->path, dtype_name(q->dtype));
	print_axes(p, q->axes, q->n_axes, out);
	print_escaped(out, " from \"%s\" as [", q->key);
	for (int i = 0; i < q->stored.n_dims; i++)
		fprintf(out, "%s%" PRId64, i ? ", " : "", q->stored.dim[i]);
	fprintf(out, "] base %" PRId64 " stride [", q->stored.base);
	for (int i = 0; i < q->n_axes; i++)
		fprintf(out, "%s%" PRId64, i ? ", " : "", q->stored.stride[i]);
	fprintf(out, "]%s%s\n", q->in_loop ? " each turn" : "", q->contracted ? " contracted" : "");
}

static void print_config(const struct config_entry *c, FILE *out)
{
	fprintf(out, "config %s = ", c->name);
	switch (c->type) {
	case CONFIG_NONE:   fputs("none", out); break;
	case CONFIG_BOOL:   fputs(c->b ? "true" : "false", out); break;
	case CONFIG_INT:    fprintf(out, "%" PRId64, c->i); break;
	case CONFIG_FLOAT:  fprintf(out, "%.17g", c->f); break;
	case CONFIG_STRING: fprintf(out, "\"%s\"", c->s); break;
	case CONFIG_LIST:   fputs(c->s, out); break;
	case CONFIG_ONE_OF: fprintf(out, "one of %s", c->s); break;
	}
	if (c->absent)
		fprintf(out, " absent %s", c->absent);
	fputc('\n', out);
}

static void print_names(const char *what, struct name_list names, FILE *out)
{
	fputs(what, out);
	for (int i = 0; i < names.n; i++)
		fprintf(out, " \"%s\"", names.at[i]);
	fputc('\n', out);
}

static void print_tables(const struct program *p, FILE *out)
{
	for (int i = 0; i < p->axes.n; i++)
		print_axis(p, &p->axes.at[i], out);
	for (int i = 0; i < p->config.n; i++)
		print_config(&p->config.at[i], out);
	if (p->harmless.n)
		print_names("harmless", p->harmless, out);
	if (p->unused.n)
		print_names("unused", p->unused, out);
	for (int i = 0; i < p->copies.n; i++)
		print_names("copies", p->copies.at[i], out);
	for (int i = 0; i < p->params.n; i++)
		print_param(p, &p->params.at[i], out);
	for (int i = 0; i < p->states.n; i++) {
		const struct state *s = &p->states.at[i];
		fprintf(out, "state %s : %s", s->path, dtype_name(s->dtype));
		print_axes(p, s->axes, s->n_axes, out);
		fprintf(out, "%s\n", s->in_loop ? " each turn" : "");
	}
	for (int i = 0; i < p->calls.n; i++) {
		const struct op_call *c = &p->calls.at[i];
		fprintf(out, "call %s#%d %%%d..%%%d", c->name, i, c->first, c->last);
		print_list(p, "whole", c->whole, c->n_whole, out);
		fputc('\n', out);
	}
}

void program_print(const struct program *p, FILE *out)
{
	fprintf(out, "program %s\n", p->model);
	print_tables(p, out);
	for (int i = 0; i <= p->values.n; i++) {
		for (int b = 0; b < p->loop.n_bodies; b++) {
			if (i == p->loop.bodies[b].end)
				fputs("}\n", out);
			if (i == p->loop.bodies[b].begin)
				fprintf(out, "repeat %s as %s, %lld turns {\n", p->axes.at[p->loop.axis].name, p->loop.index,
				        (long long)p->loop.bodies[b].turns);
		}
		if (i < p->values.n)
			print_value(p, i, out);
	}
	for (int i = 0; i < p->outputs.n; i++)
		fprintf(out, "output %s = %%%d\n", p->outputs.at[i].name, p->outputs.at[i].value);
}
