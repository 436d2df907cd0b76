/* Statements. */
#include "interpreter.h"
#include "loop.h"
#include "print.h"
#include "sequence.h"

/* How a body ended. */
enum outcome { TO_THE_END, BY_BREAK, BY_CONTINUE };

static enum outcome execute(struct interpreter *p, const struct nodes *body);

/* ---- names ----------------------------------------------------------------------------------------------------- */
static struct scope *new_scope(struct work *w, struct scope *parent)
{
	struct scope *s = work_alloc(w, sizeof *s);
	s->parent = parent;
	s->names = dict_new(w, DICT);
	return s;
}

/* The scope without its names, or another one if they are still needed. */
static struct scope *cleared(struct work *w, struct scope *s)
{
	struct dict *d = s->names.dict;
	if (s->kept)
		return new_scope(w, s->parent);
	d->n = 0;
	if (d->slot)
		memset(d->slot, 0, d->slots * sizeof *d->slot);
	return s;
}

static void hide(struct interpreter *p, const struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		dict_set(p->w, p->scope->names.dict, string(names->at[i]), undefined(names->at[i], NO_VARIABLE));
}

static void assign_attribute(struct interpreter *p, const struct node *target, struct value v)
{
	struct value space = evaluate(p, target->a);
	if (space.kind != NAMESPACE)
		work_fail(p->w, "`%.*s` is not a namespace: its attribute `%.*s` cannot be assigned to", SHOWN(target->a->name),
		          SHOWN(target->name));
	dict_set(p->w, space.dict, string(target->name), v);
}

static void assign(struct interpreter *p, const struct node *target, struct value v)
{
	if (target->kind == N_NAME) {
		dict_set(p->w, p->scope->names.dict, string(target->name), v);
		return;
	}
	if (target->kind == N_ATTRIBUTE) {
		assign_attribute(p, target, v);
		return;
	}
	const struct list *l = elements(p->w, v);
	if (l->n != target->list.n)
		work_fail(p->w, "%zu values for %zu names", l->n, target->list.n);
	for (size_t i = 0; i < l->n; i++)
		assign(p, target->list.at[i], l->at[i]);
}

/* ---- text ------------------------------------------------------------------------------------------------------ */
/* A body whose text does not go to the output. */
static struct value captured(struct interpreter *p, const struct node *n, enum outcome *how)
{
	struct text text = {.work = p->w}, *out = p->out;
	p->out = &text;
	hide(p, &n->hidden);
	*how = execute(p, &n->body);
	p->out = out;
	return string(text_end(&text));
}

static enum outcome set_text(struct interpreter *p, const struct node *n)
{
	struct scope *outer = p->scope;
	enum outcome how;
	p->scope = new_scope(p->w, outer);
	struct value v = captured(p, n, &how);
	if (how == TO_THE_END)
		v = evaluate_filters(p, n->b, v);
	p->scope = outer;
	if (how == TO_THE_END)
		assign(p, n->target, v);
	return how;
}

static enum outcome print_filtered(struct interpreter *p, const struct node *n)
{
	struct scope *outer = p->scope;
	enum outcome how;
	p->scope = new_scope(p->w, outer);
	struct value v = captured(p, n, &how);
	if (how == TO_THE_END)
		print_value(p->out, evaluate_filters(p, n->b, v));
	p->scope = outer;
	return how;
}

static enum outcome execute_scope(struct interpreter *p, const struct node *n)
{
	p->scope = new_scope(p->w, p->scope);
	hide(p, &n->hidden);
	enum outcome how = execute(p, &n->body);
	p->scope = p->scope->parent;
	return how;
}

/* ---- loops ----------------------------------------------------------------------------------------------------- */
struct condition {
	struct interpreter *p;
	const struct node *loop;
	struct scope *outer; /* of the loop */
};

/* The condition of a loop, which sees its targets and what is outside. */
static bool passes(void *context, struct value v)
{
	struct condition *c = context;
	struct interpreter *p = c->p;
	struct scope *scope = p->scope;
	int line = p->w->line;
	p->scope = new_scope(p->w, c->outer);
	assign(p, c->loop->target, v);
	bool out = is_true(evaluate(p, c->loop->b));
	p->scope = scope;
	p->w->line = line;
	return out;
}

static enum outcome execute_for(struct interpreter *p, const struct node *n)
{
	struct scope *outer = p->scope;
	struct value source = evaluate(p, n->a);
	struct condition *c = work_alloc(p->w, sizeof *c);
	struct loop *l = work_alloc(p->w, sizeof *l);
	enum outcome how = TO_THE_END;
	*c = (struct condition){p, n, outer};
	*l = (struct loop){.work = p->w, .source = elements(p->w, source), .passed = list_new(p->w, LIST)};
	if (n->b) {
		l->passes = passes;
		l->context = c;
	} else {
		*l->passed.list = (struct list){.at = l->source->at, .n = l->source->n};
		l->taken = l->source->n;
	}
	p->scope = new_scope(p->w, outer);
	for (; how != BY_BREAK && loop_has(l, l->at); l->at++) {
		p->scope = cleared(p->w, p->scope);
		hide(p, &n->hidden);
		assign(p, n->target, l->passed.list->at[l->at]);
		dict_set(p->w, p->scope->names.dict, string(SPAN("loop")), (struct value){.kind = LOOP, .loop = l});
		how = execute(p, &n->body);
	}
	p->scope = outer;
	if (l->passed.list->n)
		return TO_THE_END;
	p->scope = new_scope(p->w, outer);
	hide(p, &n->hidden_other);
	how = execute(p, &n->other);
	p->scope = outer;
	return how;
}

/* ---- macros ---------------------------------------------------------------------------------------------------- */
static void define_macro(struct interpreter *p, const struct node *n)
{
	struct macro *m = work_alloc(p->w, sizeof *m);
	*m = (struct macro){n, p->scope};
	for (struct scope *s = p->scope; s; s = s->parent)
		s->kept = true;
	dict_set(p->w, p->scope->names.dict, string(n->name), (struct value){.kind = MACRO, .macro = m});
}

/* The argument for a parameter; ABSENT: none is given. */
static struct value argument_for(struct work *w, const struct node *macro, size_t i, const struct arguments *a,
                                 size_t *used)
{
	struct span name = macro->list.at[i]->name;
	for (size_t j = 0; j < a->n_named; j++) {
		if (!spans_equal(a->names[j], name))
			continue;
		if (i < a->n)
			work_fail(w, "parameter `%.*s` of macro `%.*s` is given twice", SHOWN(name), SHOWN(macro->name));
		++*used;
		return a->named[j];
	}
	return i < a->n ? a->positional[i] : (struct value){.kind = ABSENT};
}

/* Defaults see the parameters before them. */
static void bind_arguments(struct interpreter *p, const struct node *macro, const struct arguments *a)
{
	size_t used = 0;
	if (a->n > macro->list.n)
		work_fail(p->w, "macro `%.*s` takes at most %zu arguments", SHOWN(macro->name), macro->list.n);
	for (size_t i = 0; i < macro->list.n; i++) {
		const struct node *parameter = macro->list.at[i];
		struct value v = argument_for(p->w, macro, i, a, &used);
		if (v.kind == ABSENT)
			v = parameter->a ? evaluate(p, parameter->a) : undefined(parameter->name, NO_ARGUMENT);
		dict_set(p->w, p->scope->names.dict, string(parameter->name), v);
	}
	if (used < a->n_named)
		work_fail(p->w, "macro `%.*s` has no parameter of one of the names it is called with", SHOWN(macro->name));
}

static struct value call_macro(struct interpreter *p, const struct macro *m, const struct arguments *a)
{
	struct scope *outer = p->scope;
	enum outcome how;
	p->w->depth += m->node->depth;
	work_enter(p->w);
	p->scope = new_scope(p->w, m->scope);
	bind_arguments(p, m->node, a);
	struct value v = captured(p, m->node, &how);
	p->scope = outer;
	work_leave(p->w);
	p->w->depth -= m->node->depth;
	return v;
}

/* ---- statements ------------------------------------------------------------------------------------------------ */
static enum outcome execute_one(struct interpreter *p, const struct node *n)
{
	switch (n->kind) {
	case N_TEXT:     text_span(p->out, n->name); break;
	case N_PRINT:    print_value(p->out, evaluate(p, n->a)); break;
	case N_IF:       return execute(p, is_true(evaluate(p, n->a)) ? &n->body : &n->other);
	case N_FOR:      return execute_for(p, n);
	case N_SET:      assign(p, n->target, evaluate(p, n->a)); break;
	case N_SET_TEXT: return set_text(p, n);
	case N_FILTERED: return print_filtered(p, n);
	case N_SCOPE:    return execute_scope(p, n);
	case N_MACRO:    define_macro(p, n); break;
	case N_BREAK:    return BY_BREAK;
	case N_CONTINUE: return BY_CONTINUE;
	default:         work_fail(p->w, "an expression is not a statement");
	}
	return TO_THE_END;
}

static enum outcome execute(struct interpreter *p, const struct nodes *body)
{
	for (size_t i = 0; i < body->n; i++) {
		work_steps(p->w, 1);
		p->w->line = body->at[i]->line;
		enum outcome how = execute_one(p, body->at[i]);
		if (how != TO_THE_END)
			return how;
	}
	return TO_THE_END;
}

void execute_template(struct interpreter *p, const struct nodes *body, const struct names *hidden)
{
	hide(p, hidden);
	p->call_macro = call_macro;
	execute(p, body);
}
