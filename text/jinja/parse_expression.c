/* Expressions. Above each function is its rule; what is called a tuple there may be in parentheses or not. */
#include "filters.h"
#include "parse.h"

struct node *new_node(struct parser *p, enum node_kind kind)
{
	struct node *n = work_alloc(p->w, sizeof *n);
	n->kind = kind;
	n->line = p->at->line;
	return n;
}

void add_node(struct parser *p, struct nodes *list, struct node *n)
{
	if ((list->n & (list->n - 1)) == 0)
		list->at = work_grow(p->w, list->at, list->n, list->n ? 2 * list->n : 1, sizeof *list->at);
	list->at[list->n++] = n;
}

static int max_depth(const struct nodes *list, int depth)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->at[i] && list->at[i]->depth > depth)
			depth = list->at[i]->depth;
	return depth;
}

struct node *finish_node(struct parser *p, struct node *n)
{
	struct node *const below[] = {n->a, n->b, n->c, n->target};
	int depth = max_depth(&(struct nodes){(struct node **)(uintptr_t)below, 4}, 0);
	depth = max_depth(&n->list, max_depth(&n->body, max_depth(&n->other, depth)));
	n->depth = 1 + max_depth(&n->arguments.positional, max_depth(&n->arguments.named, depth));
	if (n->depth > p->w->max_depth)
		work_fail(p->w, "is nested too deeply");
	return n;
}

/* ---- tokens ---------------------------------------------------------------------------------------------------- */
bool at_sign(const struct parser *p, const char *sign) { return p->at->kind == T_SIGN && span_is(p->at->text, sign); }
bool at_word(const struct parser *p, const char *word) { return p->at->kind == T_WORD && span_is(p->at->text, word); }

bool at_any_word(const struct parser *p, const char *const *words)
{
	for (; words && *words; words++)
		if (at_word(p, *words))
			return true;
	return false;
}

static void next(struct parser *p)
{
	p->at++;
	p->w->line = p->at->line;
}

bool skip_sign(struct parser *p, const char *sign)
{
	if (!at_sign(p, sign))
		return false;
	next(p);
	return true;
}

bool skip_word(struct parser *p, const char *word)
{
	if (!at_word(p, word))
		return false;
	next(p);
	return true;
}

void fail_unexpected(struct parser *p)
{
	static const char *const names[] = {[T_END] = "the end of the template",
	                                    [T_TEXT] = "text",
	                                    [T_PRINT] = "`{{`",
	                                    [T_PRINT_END] = "`}}`",
	                                    [T_BLOCK] = "`{%`",
	                                    [T_BLOCK_END] = "`%}`",
	                                    [T_LITERAL] = "a literal"};
	if (p->at->kind == T_WORD || p->at->kind == T_SIGN)
		work_fail(p->w, "unexpected `%.*s`", SHOWN(p->at->text));
	work_fail(p->w, "unexpected: %s", names[p->at->kind]);
}

void expect_sign(struct parser *p, const char *sign)
{
	if (!skip_sign(p, sign)) {
		if (p->at->kind == T_WORD || p->at->kind == T_SIGN)
			work_fail(p->w, "expected `%s`, found `%.*s`", sign, SHOWN(p->at->text));
		fail_unexpected(p);
	}
}

struct span expect_word(struct parser *p)
{
	struct span s = p->at->text;
	if (p->at->kind != T_WORD)
		fail_unexpected(p);
	next(p);
	return s;
}

/* ---- arguments ------------------------------------------------------------------------------------------------- */
static void add_named(struct parser *p, struct argument_nodes *a)
{
	size_t n = a->named.n;
	a->names = work_grow(p->w, a->names, n, n + 1, sizeof *a->names);
	a->names[n] = expect_word(p);
	for (size_t i = 0; i < n; i++)
		if (spans_equal(a->names[i], a->names[n]))
			work_fail(p->w, "argument `%.*s` is given twice", SHOWN(a->names[n]));
	expect_sign(p, "=");
	add_node(p, &a->named, parse_expression(p));
}

/* "(" [argument {"," argument} [","]] ")" */
static void parse_arguments(struct parser *p, struct argument_nodes *a)
{
	expect_sign(p, "(");
	while (!at_sign(p, ")")) {
		if (at_sign(p, "*") || at_sign(p, "**"))
			work_fail(p->w, "arguments by `*` are not supported");
		if (p->at->kind == T_WORD && p->at[1].kind == T_SIGN && span_is(p->at[1].text, "="))
			add_named(p, a);
		else if (a->named.n)
			work_fail(p->w, "an argument without a name follows one with a name");
		else
			add_node(p, &a->positional, parse_expression(p));
		if (!skip_sign(p, ","))
			break;
	}
	expect_sign(p, ")");
}

/* A filter or test that can be called by the name in another one: map("upper"). */
static void check_indirect(struct parser *p, const struct node *n)
{
	const struct argument_nodes *a = &n->arguments;
	size_t at = n->function->names_by;
	if (!at || a->positional.n < at || a->positional.at[at - 1]->kind != N_CONST)
		return;
	struct value name = a->positional.at[at - 1]->value;
	if (name.kind == STRING)
		find_builtin(p->w, n->function->names_filter ? FILTERS : TESTS, name.s);
}

static struct node *filter_or_test(struct parser *p, enum node_kind kind, struct node *in)
{
	struct node *n = new_node(p, kind);
	struct span name = expect_word(p);
	n->a = in;
	n->function = find_builtin(p->w, kind == N_FILTER ? FILTERS : TESTS, name);
	return n;
}

/* {"|" name [arguments]} */
struct node *parse_filters(struct parser *p, struct node *in, bool first)
{
	work_enter(p->w);
	while (first || skip_sign(p, "|")) {
		struct node *n = filter_or_test(p, N_FILTER, in);
		if (at_sign(p, "("))
			parse_arguments(p, &n->arguments);
		check_indirect(p, n);
		in = finish_node(p, n);
		first = false;
	}
	work_leave(p->w);
	return in;
}

/* ---- primaries ------------------------------------------------------------------------------------------------- */
static struct node *constant(struct parser *p, struct value v)
{
	struct node *n = new_node(p, N_CONST);
	n->value = v;
	next(p);
	return finish_node(p, n);
}

/* Adjacent strings are one. */
static struct node *parse_literal(struct parser *p)
{
	struct text all = {.work = p->w};
	struct node *n = constant(p, p->at->value);
	if (n->value.kind != STRING || p->at->kind != T_LITERAL || p->at->value.kind != STRING)
		return n;
	for (text_span(&all, n->value.s); p->at->kind == T_LITERAL && p->at->value.kind == STRING; next(p))
		text_span(&all, p->at->value.s);
	n->value = string(text_end(&all));
	return n;
}

/* A name, or a constant by name. */
static struct node *parse_name(struct parser *p)
{
	static const char *const special[] = {"varargs", "kwargs", "caller", NULL};
	static const char *const unsupported[] = {"cycler", "joiner", "lipsum", "self", NULL};
	if (at_word(p, "true") || at_word(p, "True"))
		return constant(p, boolean(true));
	if (at_word(p, "false") || at_word(p, "False"))
		return constant(p, boolean(false));
	if (at_word(p, "none") || at_word(p, "None"))
		return constant(p, none());
	if ((p->in_macro && at_any_word(p, special)) || at_any_word(p, unsupported))
		work_fail(p->w, "`%.*s` is not supported", SHOWN(p->at->text));
	struct node *n = new_node(p, N_NAME);
	n->name = expect_word(p);
	return finish_node(p, n);
}

static struct node *parse_list(struct parser *p)
{
	struct node *n = new_node(p, N_LIST);
	for (expect_sign(p, "["); !at_sign(p, "]");) {
		add_node(p, &n->list, parse_expression(p));
		if (!skip_sign(p, ","))
			break;
	}
	expect_sign(p, "]");
	return finish_node(p, n);
}

static struct node *parse_dict(struct parser *p)
{
	struct node *n = new_node(p, N_DICT);
	for (expect_sign(p, "{"); !at_sign(p, "}");) {
		add_node(p, &n->list, parse_expression(p));
		expect_sign(p, ":");
		add_node(p, &n->list, parse_expression(p));
		if (!skip_sign(p, ","))
			break;
	}
	expect_sign(p, "}");
	return finish_node(p, n);
}

/* name | literal | "(" tuple ")" | list | dict */
static struct node *parse_primary(struct parser *p)
{
	struct node *n;
	if (p->at->kind == T_WORD)
		return parse_name(p);
	if (p->at->kind == T_LITERAL)
		return parse_literal(p);
	if (at_sign(p, "["))
		return parse_list(p);
	if (at_sign(p, "{"))
		return parse_dict(p);
	if (!skip_sign(p, "("))
		fail_unexpected(p);
	if (at_sign(p, ")"))
		n = finish_node(p, new_node(p, N_TUPLE));
	else
		n = parse_tuple(p, true);
	expect_sign(p, ")");
	return n;
}

/* ---- what follows a primary ------------------------------------------------------------------------------------ */
/* [a] ":" [b] [":" [c]], after `first` */
static struct node *parse_slice(struct parser *p, struct node *in, struct node *first)
{
	struct node *n = new_node(p, N_SLICE);
	n->a = in;
	add_node(p, &n->list, first);
	for (int i = 0; i < 2; i++) {
		bool given = i ? skip_sign(p, ":") : true;
		add_node(p, &n->list, !given || at_sign(p, ":") || at_sign(p, "]") ? NULL : parse_expression(p));
	}
	expect_sign(p, "]");
	return finish_node(p, n);
}

static struct node *parse_subscript(struct parser *p, struct node *in)
{
	struct node *first, *n = new_node(p, N_ITEM);
	expect_sign(p, "[");
	first = at_sign(p, ":") ? NULL : parse_expression(p);
	if (skip_sign(p, ":"))
		return parse_slice(p, in, first);
	if (at_sign(p, ","))
		work_fail(p->w, "subscripts with commas are not supported");
	expect_sign(p, "]");
	n->a = in;
	n->b = first;
	return finish_node(p, n);
}

static struct node *parse_attribute(struct parser *p, struct node *in)
{
	struct node *n = new_node(p, N_ATTRIBUTE);
	n->a = in;
	if (p->at->kind == T_LITERAL && p->at->value.kind == INT) {
		n->kind = N_ITEM;
		n->b = parse_literal(p);
		return finish_node(p, n);
	}
	n->name = expect_word(p);
	check_attribute(p->w, n->name, at_sign(p, "("));
	return finish_node(p, n);
}

static struct node *parse_call(struct parser *p, struct node *in)
{
	struct node *n = new_node(p, N_CALL);
	n->a = in;
	parse_arguments(p, &n->arguments);
	return finish_node(p, n);
}

/* {"." name | "[" ... "]" | arguments} */
static struct node *parse_postfix(struct parser *p, struct node *n)
{
	for (;;) {
		if (skip_sign(p, "."))
			n = parse_attribute(p, n);
		else if (at_sign(p, "["))
			n = parse_subscript(p, n);
		else if (at_sign(p, "("))
			n = parse_call(p, n);
		else
			return n;
	}
}

/* "is" ["not"] name [arguments | primary] */
static struct node *parse_test(struct parser *p, struct node *in)
{
	bool negated = skip_word(p, "not");
	struct node *n = filter_or_test(p, N_TEST, in);
	if (at_sign(p, "("))
		parse_arguments(p, &n->arguments);
	else if ((p->at->kind == T_WORD && !at_word(p, "else") && !at_word(p, "or") && !at_word(p, "and"))
	         || p->at->kind == T_LITERAL || at_sign(p, "[") || at_sign(p, "{")) {
		if (at_word(p, "is"))
			work_fail(p->w, "tests cannot be chained by `is`");
		add_node(p, &n->arguments.positional, parse_postfix(p, parse_primary(p)));
	}
	check_indirect(p, n);
	n = finish_node(p, n);
	if (!negated)
		return n;
	struct node *not = new_node(p, N_NOT);
	not->a = n;
	return finish_node(p, not);
}

/* {filter | test | arguments} */
static struct node *parse_filter_expression(struct parser *p, struct node *n)
{
	for (;;) {
		if (at_sign(p, "|"))
			n = parse_filters(p, n, false);
		else if (skip_word(p, "is"))
			n = parse_test(p, n);
		else if (at_sign(p, "("))
			n = parse_call(p, n);
		else
			return n;
	}
}

/* ("-" | "+") unary | primary postfix, and with filters: after the sign, they apply to the result. */
static struct node *parse_unary(struct parser *p, bool filters)
{
	struct node *n;
	work_enter(p->w);
	if (at_sign(p, "-") || at_sign(p, "+")) {
		n = new_node(p, at_sign(p, "-") ? N_NEGATIVE : N_POSITIVE);
		next(p);
		n->a = parse_unary(p, false);
		n = finish_node(p, n);
	} else
		n = parse_primary(p);
	n = parse_postfix(p, n);
	if (filters)
		n = parse_filter_expression(p, n);
	work_leave(p->w);
	return n;
}

/* ---- operators ------------------------------------------------------------------------------------------------- */
static struct node *binary(struct parser *p, enum node_kind kind, char op, struct node *a, struct node *b)
{
	struct node *n = new_node(p, kind);
	n->line = a->line;
	n->op = op;
	n->a = a;
	n->b = b;
	return finish_node(p, n);
}

/* unary {"**" unary} */
static struct node *parse_power(struct parser *p)
{
	struct node *n = parse_unary(p, true);
	while (skip_sign(p, "**"))
		n = binary(p, N_BINARY, 'p', n, parse_unary(p, true));
	return n;
}

/* power {("*" | "/" | "//" | "%") power} */
static struct node *parse_product(struct parser *p)
{
	struct node *n = parse_power(p);
	while (at_sign(p, "*") || at_sign(p, "/") || at_sign(p, "//") || at_sign(p, "%")) {
		char op = p->at->text.n == 2 ? 'd' : *p->at->text.at;
		next(p);
		n = binary(p, N_BINARY, op, n, parse_power(p));
	}
	return n;
}

/* product {"~" product} */
static struct node *parse_concatenation(struct parser *p)
{
	struct node *first = parse_product(p), *n;
	if (!at_sign(p, "~"))
		return first;
	n = new_node(p, N_CONCAT);
	add_node(p, &n->list, first);
	while (skip_sign(p, "~"))
		add_node(p, &n->list, parse_product(p));
	return finish_node(p, n);
}

/* concatenation {("+" | "-") concatenation} */
static struct node *parse_sum(struct parser *p)
{
	struct node *n = parse_concatenation(p);
	while (at_sign(p, "+") || at_sign(p, "-")) {
		char op = *p->at->text.at;
		next(p);
		n = binary(p, N_BINARY, op, n, parse_concatenation(p));
	}
	return n;
}

/* 0: no comparison is here. */
static char skip_comparison(struct parser *p)
{
	static const struct {
		const char *sign;
		char op;
	} signs[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<", OP_LT}, {">", OP_GT}, {"<=", OP_LE}, {">=", OP_GE}};
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (skip_sign(p, signs[i].sign))
			return signs[i].op;
	if (skip_word(p, "in"))
		return OP_IN;
	if (at_word(p, "not") && p->at[1].kind == T_WORD && span_is(p->at[1].text, "in")) {
		next(p);
		next(p);
		return OP_NOT_IN;
	}
	return 0;
}

/* sum {comparison sum} */
static struct node *parse_comparison(struct parser *p)
{
	struct node *first = parse_sum(p), *n = NULL;
	for (char op; (op = skip_comparison(p));) {
		if (!n) {
			n = new_node(p, N_COMPARE);
			n->a = first;
		}
		n->ops = work_grow(p->w, n->ops, n->list.n, n->list.n + 1, 1);
		n->ops[n->list.n] = op;
		add_node(p, &n->list, parse_sum(p));
	}
	return n ? finish_node(p, n) : first;
}

/* "not" negation | comparison */
static struct node *parse_not(struct parser *p)
{
	struct node *n;
	if (!at_word(p, "not"))
		return parse_comparison(p);
	work_enter(p->w);
	n = new_node(p, N_NOT);
	next(p);
	n->a = parse_not(p);
	work_leave(p->w);
	return finish_node(p, n);
}

/* negation {"and" negation} */
static struct node *parse_and(struct parser *p)
{
	struct node *n = parse_not(p);
	while (skip_word(p, "and"))
		n = binary(p, N_AND, 0, n, parse_not(p));
	return n;
}

/* conjunction {"or" conjunction} */
struct node *parse_condition(struct parser *p)
{
	struct node *n = parse_and(p);
	while (skip_word(p, "or"))
		n = binary(p, N_OR, 0, n, parse_and(p));
	return n;
}

/* condition {"if" condition ["else" expression]} */
struct node *parse_expression(struct parser *p)
{
	work_enter(p->w);
	struct node *n = parse_condition(p);
	while (skip_word(p, "if")) {
		struct node *choice = new_node(p, N_CHOICE);
		choice->b = n;
		choice->a = parse_condition(p);
		choice->c = skip_word(p, "else") ? parse_expression(p) : NULL;
		n = finish_node(p, choice);
	}
	work_leave(p->w);
	return n;
}

static bool ends_tuple(const struct parser *p)
{
	return p->at->kind == T_BLOCK_END || p->at->kind == T_PRINT_END || at_sign(p, ")") || at_sign(p, "=")
	       || at_word(p, "in") || at_word(p, "if") || at_word(p, "recursive");
}

/* expression {"," expression} [","] */
struct node *parse_tuple(struct parser *p, bool choice)
{
	struct node *first = choice ? parse_expression(p) : parse_condition(p), *n;
	if (!at_sign(p, ","))
		return first;
	n = new_node(p, N_TUPLE);
	add_node(p, &n->list, first);
	while (skip_sign(p, ",") && !ends_tuple(p))
		add_node(p, &n->list, choice ? parse_expression(p) : parse_condition(p));
	return finish_node(p, n);
}

/* ---- targets --------------------------------------------------------------------------------------------------- */
/* name | name "." name | "(" target ")" */
static struct node *parse_one_target(struct parser *p, bool namespaces)
{
	struct node *n = new_node(p, N_NAME), *attribute;
	if (skip_sign(p, "(")) {
		work_enter(p->w);
		n = parse_target(p, namespaces);
		work_leave(p->w);
		expect_sign(p, ")");
		return n;
	}
	n->name = expect_word(p);
	if (span_is(n->name, "loop") || span_is(n->name, "true") || span_is(n->name, "false") || span_is(n->name, "none")
	    || span_is(n->name, "True") || span_is(n->name, "False") || span_is(n->name, "None"))
		work_fail(p->w, "`%.*s` cannot be assigned to", SHOWN(n->name));
	n = finish_node(p, n);
	if (!namespaces || !skip_sign(p, "."))
		return n;
	attribute = new_node(p, N_ATTRIBUTE);
	attribute->a = n;
	attribute->name = expect_word(p);
	if (*attribute->name.at == '_')
		work_fail(p->w, "attribute `%.*s` of a namespace is forbidden: it begins with an underscore",
		          SHOWN(attribute->name));
	return finish_node(p, attribute);
}

/* target {"," target} [","] */
struct node *parse_target(struct parser *p, bool namespaces)
{
	struct node *first = parse_one_target(p, namespaces), *n;
	if (!at_sign(p, ","))
		return first;
	n = new_node(p, N_TUPLE);
	add_node(p, &n->list, first);
	while (skip_sign(p, ",") && !ends_tuple(p))
		add_node(p, &n->list, parse_one_target(p, namespaces));
	return finish_node(p, n);
}
