/* Nodes, lists and the values of tokens. */
#include "build.h"
#include <string.h>

struct node *node_new(struct parser *p, enum node_kind kind, struct span at)
{
	struct node *x = arena_new(p->arena, struct node);
	x->kind = kind;
	x->span = at;
	return x;
}

void fail_item(struct parser *p, struct span at)
{
	p->item_failed = true;
	p->failed_at = at.lo;
}

struct nodes nodes_of(const struct node_list *list)
{
	return list ? (struct nodes){list->at, list->n} : (struct nodes){NULL, 0};
}

int node_depth(const struct node *x)
{
	return x ? x->depth : 0;
}

int nodes_depth(struct nodes list)
{
	int depth = 0;
	for (int i = 0; i < list.n; i++)
		if (depth < list.at[i]->depth)
			depth = list.at[i]->depth;
	return depth;
}

struct node_list *nodes_add(struct parser *p, struct node_list *list, struct node *x)
{
	if (!list)
		list = arena_new(p->arena, struct node_list);
	vec_push(p->arena, list, x);
	return list;
}

struct ident_list *idents_add(struct parser *p, struct ident_list *list, struct ident x)
{
	if (!list) {
		list = arena_new(p->arena, struct ident_list);
		list->span = x.span;
	}
	vec_push(p->arena, list, x);
	list->span = span_join(list->span, x.span);
	return list;
}

struct path_list *paths_add(struct parser *p, struct path_list *list, struct path x)
{
	if (!list) {
		list = arena_new(p->arena, struct path_list);
		list->span = x.span;
	}
	vec_push(p->arena, list, x);
	list->span = span_join(list->span, x.span);
	return list;
}

struct path_list *paths_of_name(struct parser *p, struct ident name)
{
	return paths_add(p, NULL, path_of(idents_add(p, NULL, name)));
}

struct path path_of(const struct ident_list *names)
{
	return (struct path){names->at, names->n, names->span};
}

/* The character that `\c` stands for, or 0. */
static char escaped(char c)
{
	switch (c) {
	case 'n':  return '\n';
	case 't':  return '\t';
	case '"':  case '\\': return c;
	default:   return 0;
	}
}

const char *string_value(struct parser *p, struct span at, const char *quoted)
{
	size_t end = strlen(quoted), n = 0;
	if (end > 1 && quoted[end - 1] == '"')
		end--;
	char *value = arena_alloc(p->arena, end + 1);
	for (size_t i = 1; i < end; i++) {
		if (quoted[i] != '\\') {
			value[n++] = quoted[i];
			continue;
		}
		uint32_t lo = at.lo + (uint32_t)i++;
		char c = escaped(quoted[i]);
		if (c) {
			value[n++] = c;
		} else if (i < end) {
			struct diag *d = diag_report(p->sink, DIAG_E0005, (struct span){p->file, lo, lo + 2}, "unknown escape `\\%c` in a string", quoted[i]);
			diag_help(p->sink, d, "escapes are `\\\"`, `\\\\`, `\\n` and `\\t`");
			fail_item(p, at);
		}
	}
	return value;
}
