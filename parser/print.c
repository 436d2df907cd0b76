/* Prints the tree for --emit=ast: one node per line, children indented, no spans, so that it is stable under
 * reformatting. */
#include "parser.h"

struct printer {
	FILE *out;
	int depth;
};

static void print(struct printer *w, const struct node *x);

static const char *kind_name(enum node_kind kind)
{
	static const char *const names[] = {
		[N_USE] = "use",
		[N_USE_FILE] = "use-file",
		[N_SET] = "set",
		[N_FIELD] = "field",
		[N_SUB] = "sub",
		[N_NAMED] = "named",
		[N_RULE] = "rule",
		[N_RETURN] = "return",
		[N_REQUIRE] = "require",
		[N_ASSERT] = "assert",
		[N_PREFER] = "prefer",
		[N_MAXIMIZE] = "maximize",
		[N_MINIMIZE] = "minimize",
		[N_ASSERT_TYPE] = "assert-type",
		[N_WHEN] = "when",
		[N_ERROR] = "error",
		[N_TYPE] = "type",
		[N_AXES] = "axes",
		[N_AX] = "ax",
		[N_AX_AT] = "ax-at",
		[N_AX_REST] = "ax-rest",
		[N_STORED] = "stored",
		[N_PROD] = "product",
		[N_SUM] = "sum",
		[N_PIECE] = "piece",
		[N_PATH] = "path",
		[N_PARAM] = "param",
		[N_NUM] = "number",
		[N_QTY] = "quantity",
		[N_STR] = "string",
		[N_TRUE] = "true",
		[N_FALSE] = "false",
		[N_NONE] = "none",
		[N_AUTO] = "auto",
		[N_ID] = "name",
		[N_DOT] = "dot",
		[N_CALL] = "call",
		[N_INDEX] = "index",
		[N_REFINE] = "refine",
		[N_RECORD] = "record",
		[N_LIST] = "list",
		[N_LABEL] = "label",
		[N_BIN] = "binary",
		[N_CONTRACT] = "contract",
		[N_NOT] = "not",
		[N_NEG] = "negative",
		[N_PER] = "per",
		[N_IF] = "if",
		[N_ARG_NAMED] = "argument",
		[N_ARG_ARROW] = "rename",
	};
	_Static_assert(sizeof names / sizeof *names == N_KINDS, "one name for each kind");
	return names[kind];
}

/* ---- pieces of a line ------------------------------------------------------------------------ */

static void indent(struct printer *w)
{
	for (int i = 0; i < w->depth; i++)
		fputs("  ", w->out);
}

static void print_path(struct printer *w, struct path p)
{
	for (int i = 0; i < p.n; i++)
		fprintf(w->out, "%s%s", i ? "." : " ", p.at[i].name);
}

static void print_product(struct printer *w, const struct path *factors, int n)
{
	for (int i = 0; i < n; i++) {
		if (i)
			fputs(" *", w->out);
		print_path(w, factors[i]);
	}
}

static void print_names(struct printer *w, struct idents names)
{
	for (int i = 0; i < names.n; i++)
		fprintf(w->out, "%s %s", i ? "," : "", names.at[i].name);
}

static void print_text(struct printer *w, const char *text)
{
	fputs(" \"", w->out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(w->out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(w->out, *text == '\n' ? "\\n" : *text == '\t' ? "\\t" : "\\x%02x", (unsigned)*text);
		else
			putc(*text, w->out);
	}
	putc('"', w->out);
}

static void print_place(struct printer *w, const struct place *place)
{
	if (place->kind == PLACE_NONE)
		return;
	fputs(place->kind == PLACE_WITHIN ? " within" : " across", w->out);
	print_path(w, place->level);
}

/* ---- children -------------------------------------------------------------------------------- */

static void child(struct printer *w, const struct node *x)
{
	if (!x)
		return;
	w->depth++;
	print(w, x);
	w->depth--;
}

static void children(struct printer *w, struct nodes list)
{
	for (int i = 0; i < list.n; i++)
		child(w, list.at[i]);
}

/* A heading over children that need one to be distinguished. */
static void under(struct printer *w, const char *heading, struct nodes list)
{
	w->depth++;
	indent(w);
	fprintf(w->out, "%s:\n", heading);
	children(w, list);
	w->depth--;
}

/* ---- nodes: the rest of the line, then the children ------------------------------------------ */

static void print_use(struct printer *w, const struct node *x)
{
	if (x->kind == N_USE_FILE)
		print_text(w, x->use.file);
	print_path(w, x->use.path);
	if (x->use.as.name)
		fprintf(w->out, " as %s", x->use.as.name);
	if (x->use.has_names) {
		fputs(" {", w->out);
		print_names(w, x->use.names);
		fputs(" }", w->out);
	}
	putc('\n', w->out);
}

static void print_named(struct printer *w, const struct node *x)
{
	static const char *const tails[] = {"bare", "more", "like", "is", "typed", "of", "loop", "block", "signature"};
	fprintf(w->out, " %s", x->named.kind.name);
	print_path(w, x->named.name);
	fprintf(w->out, " (%s)", tails[x->named.tail]);
	print_names(w, x->named.more);
	print_path(w, x->named.like);
	if (x->named.loop_name.name)
		fprintf(w->out, " as %s", x->named.loop_name.name);
	print_place(w, &x->named.place);
	putc('\n', w->out);
	children(w, x->named.params);
	child(w, x->named.type);
	child(w, x->named.value);
	if (x->named.from)
		under(w, "from", (struct nodes){(struct node *[]){x->named.from}, 1});
	child(w, x->named.stored);
	if (x->named.has_body)
		under(w, "body", x->named.body);
}

static void print_placement(struct printer *w, const struct placement *to)
{
	print_product(w, to->axes, to->n);
	fputs(to->n ? "" : " none", w->out);
}

static void print_rule(struct printer *w, const struct node *x)
{
	print_product(w, x->rule.lhs, x->rule.n_lhs);
	fputs(" ->", w->out);
	if (x->rule.is_auto)
		fputs(x->rule.n_choices ? " auto in" : " auto", w->out);
	else
		print_placement(w, &x->rule.target);
	for (int i = 0; i < x->rule.n_choices; i++) {
		fputs(i ? "," : "", w->out);
		print_placement(w, &x->rule.choices[i]);
	}
	putc('\n', w->out);
	children(w, x->rule.options);
}

static void print_claim(struct printer *w, const struct node *x)
{
	if (x->claim.message)
		print_text(w, x->claim.message);
	putc('\n', w->out);
	child(w, x->claim.value);
	child(w, x->claim.type);
}

static void print_when(struct printer *w, const struct node *x)
{
	putc('\n', w->out);
	child(w, x->when.cond);
	under(w, "then", x->when.then);
	if (x->when.has_other)
		under(w, "else", x->when.other);
}

static void print_type(struct printer *w, const struct node *x)
{
	print_path(w, x->type.path);
	fprintf(w->out, "%s\n", x->type.opt ? " ?" : "");
	if (x->type.has_args)
		under(w, "arguments", x->type.args);
	child(w, x->type.axes);
}

static void print_axes(struct printer *w, const struct node *x)
{
	for (int i = 0; i < x->axes.n_pending; i++) {
		fprintf(w->out, "%s %s", i ? "," : " |", x->axes.monoid[i]);
		print_path(w, x->axes.pending[i]);
	}
	putc('\n', w->out);
	children(w, x->axes.items);
}

static void print_ax(struct printer *w, const struct node *x)
{
	print_product(w, x->ax.factors, x->ax.n);
	if (x->kind == N_AX_AT) {
		fputs(" @", w->out);
		print_product(w, x->ax.mesh, x->ax.n_mesh);
	}
	if (x->ax.mark)
		fprintf(w->out, " %c", x->ax.mark);
	putc('\n', w->out);
}

static void print_item(struct printer *w, const struct node *x)
{
	switch (x->kind) {
	case N_USE:
	case N_USE_FILE: print_use(w, x); break;
	case N_SET:
		print_path(w, x->set.path);
		print_place(w, &x->set.place);
		putc('\n', w->out);
		child(w, x->set.value);
		break;
	case N_FIELD:
	case N_PARAM:
		print_path(w, x->field.path);
		putc('\n', w->out);
		child(w, x->field.type);
		child(w, x->field.value);
		break;
	case N_SUB:
		print_path(w, x->sub.path);
		putc('\n', w->out);
		children(w, x->sub.body);
		break;
	case N_NAMED: print_named(w, x); break;
	case N_RULE:  print_rule(w, x); break;
	case N_WHEN:  print_when(w, x); break;
	case N_ERROR: putc('\n', w->out); break;
	default:      print_claim(w, x); break;
	}
}

static void print_type_part(struct printer *w, const struct node *x)
{
	switch (x->kind) {
	case N_TYPE:    print_type(w, x); break;
	case N_AXES:    print_axes(w, x); break;
	case N_AX:
	case N_AX_AT:   print_ax(w, x); break;
	case N_AX_REST: fprintf(w->out, " %s\n", x->ident.name); break;
	case N_PIECE:
		fprintf(w->out, "%s\n", x->piece.marked ? " !" : "");
		child(w, x->piece.prod);
		break;
	case N_PATH:
		print_path(w, x->path);
		putc('\n', w->out);
		break;
	default: /* N_STORED, N_PROD, N_SUM */
		putc('\n', w->out);
		children(w, x->list);
		break;
	}
}

static void print_leaf(struct printer *w, const struct node *x)
{
	switch (x->kind) {
	case N_NUM:
	case N_QTY:       fprintf(w->out, " %s", x->num.text); break;
	case N_STR:       print_text(w, x->text); break;
	case N_ID:        fprintf(w->out, " %s", x->ident.name); break;
	case N_ARG_ARROW: fprintf(w->out, " %s -> %s", x->arrow.from.name, x->arrow.to.name); break;
	default:          break; /* true, false, none, auto */
	}
	putc('\n', w->out);
}

static void print_operator(struct printer *w, const struct node *x)
{
	switch (x->kind) {
	case N_BIN:
		fprintf(w->out, " %s\n", bin_op_text(x->bin.op));
		child(w, x->bin.a);
		child(w, x->bin.b);
		break;
	case N_CONTRACT:
		print_names(w, x->contract.over);
		putc('\n', w->out);
		child(w, x->contract.x);
		child(w, x->contract.w);
		break;
	case N_IF:
		putc('\n', w->out);
		child(w, x->cond.c);
		child(w, x->cond.a);
		child(w, x->cond.b);
		break;
	case N_DOT:
	case N_PER:
	case N_ARG_NAMED:
		fprintf(w->out, " %s\n", x->dot.name.name);
		child(w, x->dot.x);
		break;
	default: /* N_NOT, N_NEG */
		putc('\n', w->out);
		child(w, x->one.x);
		break;
	}
}

static void print_postfix(struct printer *w, const struct node *x)
{
	switch (x->kind) {
	case N_REFINE:
		putc('\n', w->out);
		child(w, x->sub2.base);
		under(w, "body", x->sub2.body);
		break;
	case N_LABEL:
		fprintf(w->out, " %s", x->label.name.name);
		if (x->label.prefix)
			print_text(w, x->label.prefix);
		putc('\n', w->out);
		child(w, x->label.call);
		break;
	case N_RECORD:
	case N_LIST:
		putc('\n', w->out);
		children(w, x->list);
		break;
	default: /* N_CALL, N_INDEX */
		putc('\n', w->out);
		child(w, x->call.f);
		under(w, "arguments", x->call.args);
		break;
	}
}

static void print(struct printer *w, const struct node *x)
{
	indent(w);
	fputs(kind_name(x->kind), w->out);
	switch (x->kind) {
	case N_NUM:
	case N_QTY:
	case N_STR:
	case N_TRUE:
	case N_FALSE:
	case N_NONE:
	case N_AUTO:
	case N_ID:
	case N_ARG_ARROW: print_leaf(w, x); break;
	case N_BIN:
	case N_CONTRACT:
	case N_IF:
	case N_DOT:
	case N_PER:
	case N_ARG_NAMED:
	case N_NOT:
	case N_NEG:       print_operator(w, x); break;
	case N_CALL:
	case N_INDEX:
	case N_REFINE:
	case N_RECORD:
	case N_LIST:
	case N_LABEL:     print_postfix(w, x); break;
	case N_TYPE:
	case N_AXES:
	case N_AX:
	case N_AX_AT:
	case N_AX_REST:
	case N_STORED:
	case N_PROD:
	case N_SUM:
	case N_PIECE:
	case N_PATH:      print_type_part(w, x); break;
	default:          print_item(w, x); break;
	}
}

void ast_print(struct nodes items, FILE *out)
{
	struct printer w = {out, 0};
	for (int i = 0; i < items.n; i++)
		print(&w, items.at[i]);
}
