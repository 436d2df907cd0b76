/* Expressions. How deep they nest was limited when they were read. */
#include "arithmetic.h"
#include "attribute.h"
#include "functions.h"
#include "interpreter.h"
#include "print.h"
#include "sequence.h"

static struct value lookup(struct interpreter *p, struct span name)
{
	for (const struct scope *s = p->scope; s; s = s->parent) {
		const struct value *found = dict_get(p->w, s->names.dict, name);
		if (found)
			return *found;
	}
	const struct builtin *function = builtin_named(all_functions, name);
	return function ? (struct value){.kind = FUNCTION, .function = function} : undefined(name, NO_VARIABLE);
}

static struct value *evaluate_all(struct interpreter *p, const struct nodes *list)
{
	struct value *out = work_alloc(p->w, list->n * sizeof *out);
	for (size_t i = 0; i < list->n; i++)
		out[i] = evaluate(p, list->at[i]);
	return out;
}

static struct arguments evaluate_arguments(struct interpreter *p, const struct argument_nodes *a)
{
	return (struct arguments){.positional = evaluate_all(p, &a->positional),
	                          .named = evaluate_all(p, &a->named),
	                          .names = a->names,
	                          .n = a->positional.n,
	                          .n_named = a->named.n};
}

static struct value make_list(struct interpreter *p, const struct node *n)
{
	struct value out = list_new(p->w, n->kind == N_TUPLE ? TUPLE : LIST);
	for (size_t i = 0; i < n->list.n; i++)
		list_add(p->w, out, evaluate(p, n->list.at[i]));
	return out;
}

static struct value make_dict(struct interpreter *p, const struct node *n)
{
	struct value out = dict_new(p->w, DICT);
	for (size_t i = 0; i < n->list.n; i += 2) {
		struct value key = evaluate(p, n->list.at[i]);
		dict_set(p->w, out.dict, key, evaluate(p, n->list.at[i + 1]));
	}
	return out;
}

static struct value make_slice(struct interpreter *p, const struct node *n)
{
	struct value v = evaluate(p, n->a), bounds[3];
	for (size_t i = 0; i < 3; i++)
		bounds[i] = n->list.at[i] ? evaluate(p, n->list.at[i]) : none();
	return slice(p->w, v, bounds[0], bounds[1], bounds[2]);
}

static struct value concatenate(struct interpreter *p, const struct node *n)
{
	struct text out = {.work = p->w};
	const struct value *v = evaluate_all(p, &n->list);
	for (size_t i = 0; i < n->list.n; i++)
		print_value(&out, v[i]);
	return string(text_end(&out));
}

static bool compare_two(struct work *w, char op, struct value a, struct value b)
{
	switch (op) {
	case OP_EQ:     return values_equal(w, a, b);
	case OP_NE:     return !values_equal(w, a, b);
	case OP_LT:     return is_less(w, a, b);
	case OP_GT:     return is_less(w, b, a);
	case OP_IN:     return contains(w, b, a);
	case OP_NOT_IN: return !contains(w, b, a);
	case OP_LE:     return is_less(w, a, b) || values_equal(w, a, b);
	default:        return is_less(w, b, a) || values_equal(w, a, b);
	}
}

static struct value compare(struct interpreter *p, const struct node *n)
{
	struct value a = evaluate(p, n->a);
	for (size_t i = 0; i < n->list.n; i++) {
		struct value b = evaluate(p, n->list.at[i]);
		if (!compare_two(p->w, n->ops[i], a, b))
			return boolean(false);
		a = b;
	}
	return boolean(true);
}

static struct value call(struct interpreter *p, const struct node *n)
{
	struct value callee = evaluate(p, n->a);
	struct arguments a = evaluate_arguments(p, &n->arguments);
	p->w->line = n->line;
	switch (callee.kind) {
	case FUNCTION:  return call_builtin(p->w, callee.function, none(), &a);
	case METHOD:    return call_builtin(p->w, callee.method->function, callee.method->self, &a);
	case MACRO:     return p->call_macro(p, callee.macro, &a);
	case UNDEFINED: fail_undefined(p->w, callee);
	default:        work_fail(p->w, "%s cannot be called", kind_name(callee));
	}
}

static struct value apply(struct interpreter *p, const struct node *n, struct value in)
{
	struct arguments a = evaluate_arguments(p, &n->arguments);
	p->w->line = n->line;
	return call_builtin(p->w, n->function, in, &a);
}

struct value evaluate_filters(struct interpreter *p, const struct node *n, struct value text)
{
	return n ? apply(p, n, evaluate_filters(p, n->a, text)) : text;
}

static struct value choose(struct interpreter *p, const struct node *n)
{
	if (is_true(evaluate(p, n->a)))
		return evaluate(p, n->b);
	return n->c ? evaluate(p, n->c) : undefined(SPAN("an `if` without `else` has no value"), NO_ELEMENT);
}

static struct value evaluate_binary(struct interpreter *p, const struct node *n)
{
	struct value a = evaluate(p, n->a);
	if (n->kind == N_AND || n->kind == N_OR)
		return is_true(a) == (n->kind == N_AND) ? evaluate(p, n->b) : a;
	struct value b = evaluate(p, n->b);
	p->w->line = n->line;
	return n->kind == N_ITEM ? item(p->w, a, b) : calculate(p->w, n->op, a, b);
}

struct value evaluate(struct interpreter *p, const struct node *n)
{
	work_steps(p->w, 1);
	p->w->line = n->line;
	switch (n->kind) {
	case N_CONST:     return n->value;
	case N_NAME:      return lookup(p, n->name);
	case N_LIST:
	case N_TUPLE:     return make_list(p, n);
	case N_DICT:      return make_dict(p, n);
	case N_ATTRIBUTE: return attribute(p->w, evaluate(p, n->a), n->name);
	case N_SLICE:     return make_slice(p, n);
	case N_CALL:      return call(p, n);
	case N_FILTER:
	case N_TEST:      return apply(p, n, evaluate(p, n->a));
	case N_NEGATIVE:  return negative(p->w, evaluate(p, n->a));
	case N_POSITIVE:  return positive(p->w, evaluate(p, n->a));
	case N_NOT:       return boolean(!is_true(evaluate(p, n->a)));
	case N_AND:
	case N_OR:
	case N_ITEM:
	case N_BINARY:    return evaluate_binary(p, n);
	case N_CONCAT:    return concatenate(p, n);
	case N_COMPARE:   return compare(p, n);
	case N_CHOICE:    return choose(p, n);
	default:          work_fail(p->w, "a statement is not an expression");
	}
}
