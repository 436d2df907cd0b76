/* Constructors of items and of the tails of `kind name tail`. */
#include "build.h"
#include "parser/grammar.tab.h"
#include <string.h>

/* ---- items that did not parse ---------------------------------------------------------------- */

/* The first token at or after the offset. */
static int token_at(const struct parser *p, uint32_t offset)
{
	int lo = 0, hi = p->tokens.n - 1;
	while (lo < hi) {
		int mid = lo + (hi - lo) / 2;
		if (p->tokens.at[mid].lo < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct ident ident_at(struct parser *p, int index)
{
	const struct token *t = &p->tokens.at[index];
	return (struct ident){names_intern(p->names, p->text + t->lo, t->hi - t->lo), token_span(p, t)};
}

/* Reads `a.b.c` from token *index on, and moves *index past it. n 0: there is no path. */
static struct path path_at(struct parser *p, int *index)
{
	struct ident_list *names = NULL;
	const struct token *t = p->tokens.at;
	while (t[*index].kind == TOK_IDENT) {
		names = idents_add(p, names, ident_at(p, *index));
		*index += 1;
		if (t[*index].kind != '.')
			break;
		*index += 1;
	}
	return names ? path_of(names) : (struct path){0};
}

/* Records what the item would have declared or set, so that its absence is not reported too. */
struct node *item_error(struct parser *p, struct span at)
{
	struct node *x = node_new(p, N_ERROR, at);
	int index = token_at(p, at.lo);
	struct path first = path_at(p, &index), second = path_at(p, &index);
	x->error.path = second.n ? second : first;
	if (second.n)
		x->error.kind = first.at[0];
	return x;
}

static int item_depth(const struct node *x)
{
	switch (x->kind) {
	case N_SET:         return node_depth(x->set.value);
	case N_FIELD:       return node_depth(x->field.value);
	case N_SUB:         return nodes_depth(x->sub.body);
	case N_RULE:        return nodes_depth(x->rule.options);
	case N_NAMED:       return node_depth(x->named.value) + node_depth(x->named.from) + nodes_depth(x->named.body);
	case N_WHEN:        return node_depth(x->when.cond) + nodes_depth(x->when.then) + nodes_depth(x->when.other);
	case N_RETURN:
	case N_REQUIRE:
	case N_ASSERT:
	case N_PREFER:
	case N_MAXIMIZE:
	case N_MINIMIZE:
	case N_ASSERT_TYPE: return node_depth(x->claim.value);
	default:            return 0;
	}
}

static bool is_too_deep(struct parser *p, struct node *item)
{
	item->depth = 1 + item_depth(item);
	if (item->depth <= MAX_OPERATORS)
		return false;
	if (!p->item_failed)
		diag_report(p->sink, DIAG_E0007, item->span, "item is nested more than %d deep", MAX_OPERATORS);
	return true;
}

/* `items` NULL: a new list. `item` NULL: nothing to add. */
struct node_list *items_add(struct parser *p, struct node_list *items, struct node *item)
{
	if (!items)
		items = arena_new(p->arena, struct node_list);
	if (!item)
		return items;
	bool failed = p->item_failed && item->span.lo <= p->failed_at && p->failed_at < item->span.hi;
	if (is_too_deep(p, item) || failed)
		item = item_error(p, item->span);
	if (failed)
		p->item_failed = false;
	return nodes_add(p, items, item);
}

/* ---- items ----------------------------------------------------------------------------------- */

static struct idents idents_of(const struct ident_list *list) { return (struct idents){list->at, list->n}; }

struct node *use_as(struct parser *p, struct span at, struct ident as)
{
	struct node *x = node_new(p, N_USE, at);
	x->use.as = as;
	return x;
}

struct node *use_names(struct parser *p, struct span at, struct ident_list *names)
{
	struct node *x = node_new(p, N_USE, at);
	x->use.names = idents_of(names);
	x->use.has_names = true;
	return x;
}

struct node *use_damaged(struct parser *p, struct span at)
{
	struct ident_list *names = arena_new(p->arena, struct ident_list);
	for (int i = token_at(p, at.lo); p->tokens.at[i].kind && p->tokens.at[i].hi <= at.hi; i++)
		if (p->tokens.at[i].kind == TOK_IDENT && p->text[p->tokens.at[i].hi] != '-'
		    && p->text[p->tokens.at[i].hi] != '.')
			names = idents_add(p, names, ident_at(p, i));
	return use_names(p, at, names);
}

/* `tail` is the N_USE of what follows the path, or NULL. */
struct node *item_use(struct parser *p, struct span at, struct path path, struct node *tail)
{
	struct node *x = tail ? tail : node_new(p, N_USE, at);
	x->span = at;
	x->use.path = path;
	return x;
}

struct node *item_use_file(struct parser *p, struct span at, const char *file, struct ident as)
{
	struct node *x = node_new(p, N_USE_FILE, at);
	x->use.file = file;
	x->use.as = as;
	return x;
}

struct node *item_set(struct parser *p, struct span at, struct path path, struct node *value, struct place place)
{
	struct node *x = node_new(p, N_SET, at);
	x->set.path = path;
	x->set.value = value;
	x->set.place = place;
	return x;
}

struct node *item_field(struct parser *p, struct span at, struct path path, struct node *type, struct init init)
{
	struct node *x = node_new(p, N_FIELD, at);
	x->field.path = path;
	x->field.type = type;
	x->field.value = init.value;
	if (init.from) {
		struct diag *d = diag_report(p->sink, DIAG_E0005, init.span, "only a `param` is read `from` a checkpoint");
		diag_help(p->sink, d, "write `param` before the name");
		fail_item(p, init.span);
	}
	return x;
}

struct node *item_sub(struct parser *p, struct span at, struct path path, struct span braces, struct node_list *body)
{
	struct node *x = node_new(p, N_SUB, at);
	x->sub.path = path;
	x->sub.body = nodes_of(body);
	x->sub.braces = braces;
	return x;
}

/* `tail` is an N_NAMED that holds all but kind and name. */
struct node *item_named(struct parser *p, struct span at, struct ident kind, struct path name, struct node *tail)
{
	(void)p;
	tail->named.tail_span = tail->span;
	tail->span = at;
	tail->named.kind = kind;
	tail->named.name = name;
	return tail;
}

static struct placement placement_of(struct target t)
{
	return t.paths ? (struct placement){t.paths->at, t.paths->n, t.span} : (struct placement){NULL, 0, t.span};
}

struct node *item_rule(struct parser *p, struct span at, struct path_list *lhs, struct target to,
                       struct node_list *options)
{
	struct node *x = node_new(p, N_RULE, at);
	x->rule.lhs = lhs->at;
	x->rule.n_lhs = lhs->n;
	x->rule.lhs_span = lhs->span;
	x->rule.target = placement_of(to);
	x->rule.is_auto = to.is_auto;
	if (to.choices) {
		x->rule.choices = to.choices->at;
		x->rule.n_choices = to.choices->n;
	}
	x->rule.options = nodes_of(options);
	return x;
}

struct node *item_claim(struct parser *p, struct span at, enum node_kind kind, struct node *value, struct message m)
{
	struct node *x = node_new(p, kind, at);
	x->claim.value = value;
	x->claim.message = m.text;
	return x;
}

struct node *item_assert_type(struct parser *p, struct span at, struct node *value, struct node *type)
{
	struct node *x = node_new(p, N_ASSERT_TYPE, at);
	x->claim.value = value;
	x->claim.type = type;
	return x;
}

/* `other` NULL: no else. */
struct node *item_when(struct parser *p, struct span at, struct node *cond, struct node_list *then,
                       struct node_list *other)
{
	struct node *x = node_new(p, N_WHEN, at);
	x->when.cond = cond;
	x->when.then = nodes_of(then);
	x->when.other = nodes_of(other);
	x->when.has_other = other != NULL;
	return x;
}

/* ---- tails: an N_NAMED without kind and name ------------------------------------------------- */

static struct node *tail_new(struct parser *p, struct span at, enum tail tail)
{
	struct node *x = node_new(p, N_NAMED, at);
	x->named.tail = tail;
	return x;
}

static void set_body(struct node *x, const struct node_list *body)
{
	x->named.body = nodes_of(body);
	x->named.has_body = body != NULL;
}

struct node *tail_bare(struct parser *p, struct span at) { return tail_new(p, at, TAIL_BARE); }

struct node *tail_more(struct parser *p, struct span at, struct ident_list *more)
{
	struct node *x = tail_new(p, at, TAIL_MORE);
	x->named.more = idents_of(more);
	return x;
}

struct node *tail_like(struct parser *p, struct span at, struct path like)
{
	struct node *x = tail_new(p, at, TAIL_LIKE);
	x->named.like = like;
	return x;
}

struct node *tail_is(struct parser *p, struct span at, struct node *value, struct place place)
{
	struct node *x = tail_new(p, at, TAIL_IS);
	x->named.value = value;
	x->named.place = place;
	return x;
}

struct node *tail_typed(struct parser *p, struct span at, struct node *type, struct init init)
{
	struct node *x = tail_new(p, at, TAIL_TYPED);
	x->named.type = type;
	x->named.value = init.value;
	x->named.from = init.from;
	x->named.stored = init.stored;
	return x;
}

struct node *tail_of(struct parser *p, struct span at, struct node *type, struct node_list *body)
{
	struct node *x = tail_new(p, at, TAIL_OF);
	x->named.type = type;
	set_body(x, body);
	return x;
}

struct node *tail_loop(struct parser *p, struct span at, struct ident name, struct node *from, struct node_list *body)
{
	struct node *x = tail_new(p, at, TAIL_LOOP);
	x->named.loop_name = name;
	x->named.from = from;
	set_body(x, body);
	return x;
}

struct node *tail_block(struct parser *p, struct span at, struct node_list *body)
{
	struct node *x = tail_new(p, at, TAIL_BLOCK);
	set_body(x, body);
	return x;
}

struct node *tail_sig(struct parser *p, struct span at, struct node_list *params, struct node *ret,
                      struct node_list *body)
{
	struct node *x = tail_new(p, at, TAIL_SIG);
	x->named.params = nodes_of(params);
	x->named.type = ret;
	set_body(x, body);
	return x;
}

struct place place_of(enum place_kind kind, struct path level, struct span at)
{
	return (struct place){kind, level, at};
}

struct target target_of(struct path_list *paths, struct span at) { return (struct target){.paths = paths, .span = at}; }

struct target target_auto(struct target_list *choices, struct span at)
{
	return (struct target){.is_auto = true, .choices = choices, .span = at};
}

struct target_list *targets_add(struct parser *p, struct target_list *list, struct target one)
{
	if (!list)
		list = arena_new(p->arena, struct target_list);
	vec_push(p->arena, list, placement_of(one));
	return list;
}
