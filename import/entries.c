/* The entries of a family's `config` that apply to a file. A `when` takes the branch that the file agrees with; its
 * condition then decides fields. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

const char *node_text(struct import *m, const struct node *e)
{
	return arena_strndup(m->arena, m->sema->sink->sources->files.at[e->span.file].text + e->span.lo,
	                     e->span.hi - e->span.lo);
}

bool is_literal(const struct node *value)
{
	enum node_kind k = value->kind;
	for (int i = 0; k == N_LIST && i < value->list.n; i++)
		if (!is_literal(value->list.at[i]))
			return false;
	return k == N_STR || k == N_TRUE || k == N_FALSE || k == N_NUM || k == N_NONE || k == N_LIST;
}

static bool number_agrees(json_t *v, const struct node *literal)
{
	long long i = 0;
	double f = 0;
	bool is_int = false;
	return json_is_number(v) && number_value(literal->num.text, &i, &f, &is_int)
	       && same_number(json_number_value(v), is_int ? (double)i : f);
}

/* Compares lists element by element; of alternatives for a word, one must agree. */
static bool list_agrees(json_t *v, const struct node *literal)
{
	int agreeing = 0;
	for (int i = 0; i < literal->list.n; i++)
		agreeing += literal_agrees(json_is_string(v) ? v : json_array_get(v, (size_t)i), literal->list.at[i]);
	return json_is_string(v)
	           ? agreeing > 0
	           : json_array_size(v) == (size_t)literal->list.n && agreeing == literal->list.n && json_is_array(v);
}

bool literal_agrees(json_t *v, const struct node *literal)
{
	switch (literal->kind) {
	case N_NONE:  return !v;
	case N_STR:   return json_is_string(v) && !strcmp(json_string_value(v), literal->text);
	case N_TRUE:  return json_is_true(v);
	case N_FALSE: return json_is_false(v);
	case N_LIST:  return list_agrees(v, literal);
	case N_NUM:   return number_agrees(v, literal);
	default:      internal_error("node %d is not a literal", (int)literal->kind);
	}
}

const char *dotted(struct import *m, struct path p)
{
	struct text out = {.arena = m->arena};
	for (int i = 0; i < p.n; i++)
		text_add(&out, "%s%s", i ? "." : "", p.at[i].name);
	return out.at;
}

/* How well a file agrees with the literals of a branch. A name that the file lacks counts only for `none`. */
struct agreement {
	int against, with;
};

static struct agreement agreement_with(struct import *m, struct nodes items)
{
	struct agreement a = {0};
	for (int i = 0; i < items.n; i++) {
		const struct node *item = items.at[i];
		const struct node *value = item->kind == N_SET ? item->set.value : NULL;
		if (!value || !is_literal(value))
			continue;
		json_t *v = json_at(m->root, dotted(m, item->set.path));
		bool agrees = literal_agrees(v, value);
		a.with += agrees;
		a.against += v && !agrees;
	}
	return a;
}

static bool takes_first_branch(struct import *m, const struct node *when)
{
	struct agreement then = agreement_with(m, when->when.then), other = agreement_with(m, when->when.other);
	return then.against < other.against || (then.against == other.against && then.with > other.with);
}

void collect_entries(struct import *m, struct nodes items)
{
	for (int i = 0; i < items.n; i++) {
		const struct node *item = items.at[i];
		if (item->kind == N_SET) {
			const char *name = dotted(m, item->set.path);
			struct entry e = {name, node_text(m, item->set.value), item->set.value, json_at(m->root, name) != NULL,
			                  json_says_null(m->root, name)};
			vec_push(m->arena, &m->entries, e);
		} else if (item->kind == N_WHEN) {
			bool first = takes_first_branch(m, item);
			assume(m, item->when.cond, first);
			collect_entries(m, first ? item->when.then : item->when.other);
		}
	}
}
