/* Statements. */
#include "filters.h"
#include "parse.h"

static struct nodes parse_body(struct parser *p, const char *const *ends);

static void expect(struct parser *p, enum token_kind kind)
{
	if (p->at->kind != kind)
		fail_unexpected(p);
	p->at++;
	p->w->line = p->at->line;
}

/* The statements up to `{% end %}`, whose word is skipped. */
static struct nodes body_until(struct parser *p, const char *end)
{
	expect(p, T_BLOCK_END);
	struct nodes body = parse_body(p, (const char *const[]){end, NULL});
	skip_word(p, end);
	return body;
}

/* "if" condition, body, {"elif" condition, body} ["else" body] "endif" */
static struct node *parse_if(struct parser *p)
{
	struct nodes links = {0};
	for (;;) {
		struct node *n = new_node(p, N_IF);
		n->a = parse_tuple(p, false);
		expect(p, T_BLOCK_END);
		n->body = parse_body(p, (const char *const[]){"elif", "else", "endif", NULL});
		add_node(p, &links, n);
		if (!skip_word(p, "elif"))
			break;
	}
	struct node *last = links.at[links.n - 1];
	if (skip_word(p, "else"))
		last->other = body_until(p, "endif");
	else
		skip_word(p, "endif");
	/* The last condition is the innermost. */
	for (size_t i = links.n; i-- > 0;) {
		if (i + 1 < links.n)
			add_node(p, &links.at[i]->other, links.at[i + 1]);
		finish_node(p, links.at[i]);
	}
	return links.at[0];
}

/* "for" target "in" tuple ["if" expression], body, ["else" body] "endfor" */
static struct node *parse_for(struct parser *p)
{
	struct node *n = new_node(p, N_FOR);
	n->target = parse_target(p, false);
	if (!skip_word(p, "in"))
		fail_unexpected(p);
	n->a = parse_tuple(p, false);
	if (skip_word(p, "if"))
		n->b = parse_expression(p);
	if (at_word(p, "recursive"))
		work_fail(p->w, "recursive loops are not supported");
	expect(p, T_BLOCK_END);
	p->loops++;
	n->body = parse_body(p, (const char *const[]){"else", "endfor", NULL});
	p->loops--;
	if (skip_word(p, "else"))
		n->other = body_until(p, "endfor");
	else
		skip_word(p, "endfor");
	return finish_node(p, n);
}

/* "set" target "=" tuple | "set" target [filters], body, "endset" */
static struct node *parse_set(struct parser *p)
{
	struct node *n = new_node(p, N_SET);
	n->target = parse_target(p, true);
	if (skip_sign(p, "="))
		n->a = parse_tuple(p, true);
	else {
		n->kind = N_SET_TEXT;
		n->b = at_sign(p, "|") ? parse_filters(p, NULL, false) : NULL;
		n->body = body_until(p, "endset");
	}
	return finish_node(p, n);
}

/* A body that Jinja2 compiles as a function of its own. */
static struct nodes function_body(struct parser *p, const char *end, bool macro)
{
	int loops = p->loops;
	bool in_macro = p->in_macro;
	p->loops = 0;
	p->in_macro = macro || in_macro;
	struct nodes body = body_until(p, end);
	p->loops = loops;
	p->in_macro = in_macro;
	return body;
}

/* "macro" name "(" [name ["=" expression] {"," ...}] ")", body, "endmacro" */
static struct node *parse_macro(struct parser *p)
{
	struct node *n = new_node(p, N_MACRO);
	n->name = expect_word(p);
	for (expect_sign(p, "("); !at_sign(p, ")");) {
		struct node *parameter = new_node(p, N_NAME);
		parameter->name = expect_word(p);
		for (size_t i = 0; i < n->list.n; i++)
			if (spans_equal(n->list.at[i]->name, parameter->name))
				work_fail(p->w, "parameter `%.*s` appears twice", SHOWN(parameter->name));
		if (skip_sign(p, "="))
			parameter->a = parse_expression(p);
		else if (n->list.n && n->list.at[n->list.n - 1]->a)
			work_fail(p->w, "a parameter without a default follows one with a default");
		add_node(p, &n->list, finish_node(p, parameter));
		if (!skip_sign(p, ","))
			break;
	}
	expect_sign(p, ")");
	n->body = function_body(p, "endmacro", true);
	return finish_node(p, n);
}

static struct node *parse_filtered(struct parser *p)
{
	struct node *n = new_node(p, N_FILTERED);
	n->b = parse_filters(p, NULL, true);
	n->body = body_until(p, "endfilter");
	return finish_node(p, n);
}

/* {% generation %} marks what the model says; it prints its body. */
static struct node *parse_generation(struct parser *p)
{
	struct node *n = new_node(p, N_SCOPE);
	n->body = function_body(p, "endgeneration", false);
	return finish_node(p, n);
}

static struct node *parse_leave(struct parser *p, enum node_kind kind, const char *word)
{
	if (!p->loops)
		work_fail(p->w, "`%s` outside a loop", word);
	return finish_node(p, new_node(p, kind));
}

static struct node *parse_statement(struct parser *p)
{
	struct span tag = expect_word(p);
	if (span_is(tag, "if"))
		return parse_if(p);
	if (span_is(tag, "for"))
		return parse_for(p);
	if (span_is(tag, "set"))
		return parse_set(p);
	if (span_is(tag, "macro"))
		return parse_macro(p);
	if (span_is(tag, "filter"))
		return parse_filtered(p);
	if (span_is(tag, "generation"))
		return parse_generation(p);
	if (span_is(tag, "break"))
		return parse_leave(p, N_BREAK, "break");
	if (span_is(tag, "continue"))
		return parse_leave(p, N_CONTINUE, "continue");
	work_fail(p->w, "tag `%.*s` is not supported", SHOWN(tag));
}

static struct node *parse_print(struct parser *p)
{
	struct node *n = new_node(p, N_PRINT);
	n->a = parse_tuple(p, true);
	return finish_node(p, n);
}

static _Noreturn void fail_open(struct parser *p, const char *const *ends)
{
	while (ends[1])
		ends++;
	work_fail(p->w, "the template ends without `%s`", *ends);
}

/* Up to a block that begins with one of these words, which is the next token then; NULL: to the end. */
static struct nodes parse_body(struct parser *p, const char *const *ends)
{
	struct nodes body = {0};
	work_enter(p->w);
	for (;;) {
		if (p->at->kind == T_END && !ends)
			break;
		if (p->at->kind == T_TEXT) {
			struct node *n = new_node(p, N_TEXT);
			n->name = p->at->text;
			expect(p, T_TEXT);
			add_node(p, &body, finish_node(p, n));
		} else if (p->at->kind == T_PRINT) {
			expect(p, T_PRINT);
			add_node(p, &body, parse_print(p));
			expect(p, T_PRINT_END);
		} else if (p->at->kind == T_BLOCK) {
			expect(p, T_BLOCK);
			if (at_any_word(p, ends))
				break;
			add_node(p, &body, parse_statement(p));
			expect(p, T_BLOCK_END);
		} else
			fail_open(p, ends);
	}
	work_leave(p->w);
	return body;
}

struct nodes parse_template(struct work *w, struct span source)
{
	struct parser p = {.w = w};
	w->line = 1;
	lex_template(w, source, &p.tokens);
	p.at = p.tokens.at;
	w->line = p.at->line;
	return parse_body(&p, NULL);
}
