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
	fprintf(out, " scale %.17g%s", v->attend.scale, v->attend.causal ? " causal" : "");
	if (v->attend.window)
		fprintf(out, " window %" PRId64, v->attend.window);
	if (v->attend.chunk)
		fprintf(out, " chunk %" PRId64, v->attend.chunk);
	if (v->attend.cap != 0)
		fprintf(out, " cap %.17g", v->attend.cap);
}

static void print_route(const struct program *p, const struct value *v, FILE *out)
{
	print_one(p, "over", v->route.over, out);
	print_one(p, "to", v->route.expert, out);
	print_one(p, "slot", v->route.slot, out);
	fprintf(out, " top %" PRId64 " groups %" PRId64 " of %" PRId64 "%s%s factor %.17g", v->route.top,
	        v->route.top_groups, v->route.groups, v->route.by_best ? " by best" : "",
	        v->route.renormalize ? " renormalize" : "", v->route.factor);
}

static void print_list_value(const struct program *p, const struct value *v, FILE *out)
{
	for (int64_t i = 0; i < p->axes.at[v->axes[0]].extent; i++)
		fprintf(out, " %.17g", v->numbers[i]);
}

static void print_attributes(const struct program *p, const struct value *v, FILE *out)
{
	static const char *const inputs[] = {[INPUT_IDS] = "ids", [INPUT_POS] = "pos", [INPUT_WANT] = "want"};
	switch (v->op) {
	case OP_INPUT: fprintf(out, " %s", inputs[v->input]); break;
	case OP_CONST: fprintf(out, " %.17g", v->number); break;
	case OP_LIST:  print_list_value(p, v, out); break;
	case OP_PARAM: fprintf(out, " %s", p->params.at[v->param].path); break;
	case OP_APPEND:
		fprintf(out, " state %s", p->states.at[v->append.state].path);
		print_one(p, "from", v->append.from, out);
		print_one(p, "to", v->append.to, out);
		break;
	case OP_RENAME:
	case OP_PIECE:
		print_one(p, "from", v->view.from, out);
		print_one(p, "to", v->view.to, out);
		break;
	case OP_EMBED:
	case OP_SAMPLE: print_one(p, "over", v->v, out); break;
	case OP_JOIN:   print_one(p, "to", v->into, out); break;
	case OP_ATTEND: print_attend(p, v, out); break;
	case OP_ROUTE:  print_route(p, v, out); break;
	case OP_ROTATE:
		print_one(p, "over", v->rotate.f, out);
		fputs(v->rotate.interleaved ? " interleaved" : " halves", out);
		break;
	case OP_CARRY: fprintf(out, " next %%%d", v->next); break;
	default:
		if (value_reduced(v).n)
			print_list(p, "over", v->reduce.over, v->reduce.n_over, out);
	}
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void print_value(const struct program *p, int i, FILE *out)
{
	const struct value *v = &p->values.at[i];
	fprintf(out, "%s%%%d = %s", program_loop(p, i) >= 0 ? "  " : "", i, op_name(v->op));
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

static void print_numbers(const char *label, const int64_t *at, int n, FILE *out)
{
	fprintf(out, " %s [", label);
	for (int i = 0; i < n; i++)
		fprintf(out, "%s%" PRId64, i ? ", " : "", at[i]);
	fputc(']', out);
}

/* Does the stored tensor have scales? */
static bool has_block(const struct param *q)
{
	for (int i = 0; i < q->stored.n_dims; i++)
		if (q->stored.block[i])
			return true;
	return false;
}

/* ` each turn of body 1`: one for each turn with this body. */
static void print_body(bool in_loop, int body, FILE *out)
{
	if (in_loop)
		fprintf(out, " each turn of body %d", body);
}

static void print_param(const struct program *p, const struct param *q, FILE *out)
{
	fprintf(out, "param %s : %s", q->path, dtype_name(q->dtype));
	print_axes(p, q->axes, q->n_axes, out);
	print_escaped(out, " from \"%s\"", q->key);
	print_numbers("as", q->stored.dim, q->stored.n_dims, out);
	fprintf(out, " base %" PRId64, q->stored.base);
	print_numbers("stride", q->stored.stride, q->n_axes, out);
	if (has_block(q))
		print_numbers("block", q->stored.block, q->stored.n_dims, out);
	print_body(q->in_loop, q->body, out);
	fprintf(out, "%s\n", q->contracted ? " contracted" : "");
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
	if (c->null_differs)
		fputs(" null differs", out);
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
		print_body(s->in_loop, s->body, out);
		fputc('\n', out);
	}
	for (int i = 0; i < p->calls.n; i++) {
		const struct op_call *c = &p->calls.at[i];
		fprintf(out, "call %s#%d %%%d..%%%d", c->name, i, c->first, c->last);
		print_list(p, "whole", c->whole, c->n_whole, out);
		fputc('\n', out);
	}
}

/* `repeat layers as layer, 3 turns: 0..1 3 {`: the number and the list of the loop's turns with this body. */
static void print_begin(const struct program *p, int body, FILE *out)
{
	const struct loop *l = &p->loops.at[p->bodies.at[body].loop];
	const int *body_of = p->body_of.at + l->first_turn;
	fprintf(out, "repeat %s as %s, %" PRId64 " turns:", p->axes.at[l->axis].name, l->index, p->bodies.at[body].turns);
	for (int64_t i = 0, end; i < l->turns; i = end) {
		for (end = i; end < l->turns && body_of[end] == body_of[i]; end++)
			;
		if (body_of[i] != body)
			continue;
		fprintf(out, " %" PRId64, i);
		if (end - i > 1)
			fprintf(out, "..%" PRId64, end - 1);
	}
	fputs(" {\n", out);
}

void program_print(const struct program *p, FILE *out)
{
	fprintf(out, "program %s max_ctx %" PRId64 "\n", p->model, p->max_ctx);
	print_tables(p, out);
	for (int i = 0; i <= p->values.n; i++) {
		for (int b = 0; b < p->bodies.n; b++) {
			if (i == p->bodies.at[b].end)
				fputs("}\n", out);
			if (i == p->bodies.at[b].begin)
				print_begin(p, b, out);
		}
		if (i < p->values.n)
			print_value(p, i, out);
	}
	for (int i = 0; i < p->outputs.n; i++)
		fprintf(out, "output %s = %%%d\n", p->outputs.at[i].name, p->outputs.at[i].value);
}
