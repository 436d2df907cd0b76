/* Nodes, lists and the values of tokens. */
#include "build.h"
#include <stddef.h>
#include <string.h>

enum { FIRST_NODES = 2 }; /* room in a new list; lists of names start with room for one */

/* Bytes of a node of the kind: the union's large members belong to items, but most nodes are expressions. */
static size_t node_bytes(enum node_kind kind)
{
#define UP_TO(member) (offsetof(struct node, member) + sizeof((struct node *)NULL)->member)
	switch (kind) {
	case N_NUM:
	case N_QTY:       return UP_TO(num);
	case N_ID:
	case N_AX_REST:   return UP_TO(ident);
	case N_STR:       return UP_TO(text);
	case N_TRUE:
	case N_FALSE:
	case N_NONE:
	case N_AUTO:      return UP_TO(depth);
	case N_DOT:
	case N_PER:
	case N_ARG_NAMED: return UP_TO(dot);
	case N_CALL:
	case N_INDEX:     return UP_TO(call);
	case N_BIN:       return UP_TO(bin);
	case N_NOT:
	case N_NEG:       return UP_TO(one);
	case N_LIST:
	case N_RECORD:
	case N_STORED:
	case N_PROD:
	case N_SUM:       return UP_TO(list);
	case N_SET:       return UP_TO(set);
	case N_FIELD:
	case N_PARAM:     return UP_TO(field);
	case N_TYPE:      return UP_TO(type);
	default:          return sizeof(struct node);
	}
#undef UP_TO
}

struct node *node_new(struct parser *p, enum node_kind kind, struct span at)
{
	struct node *x = arena_alloc(p->arena, node_bytes(kind));
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

int node_depth(const struct node *x) { return x ? x->depth : 0; }

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
	if (!list) {
		list = arena_new(p->arena, struct node_list);
		list->at = arena_array(p->arena, struct node *, list->cap = FIRST_NODES);
	}
	vec_push(p->arena, list, x);
	return list;
}

struct ident_list *idents_add(struct parser *p, struct ident_list *list, struct ident x)
{
	if (!list) {
		list = arena_new(p->arena, struct ident_list);
		list->at = arena_array(p->arena, struct ident, list->cap = 1);
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
		list->at = arena_array(p->arena, struct path, list->cap = 1);
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

struct path path_of(const struct ident_list *names) { return (struct path){names->at, names->n, names->span}; }

/* The character that `\c` stands for, or 0. */
static char escaped(char c)
{
	switch (c) {
	case 'n':  return '\n';
	case 't':  return '\t';
	case '"':
	case '\\': return c;
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
			struct diag *d = diag_report(p->sink, DIAG_E0005, (struct span){p->file, lo, lo + 2},
			                             "unknown escape `\\%c` in a string", quoted[i]);
			diag_help(p->sink, d, "escapes are `\\\"`, `\\\\`, `\\n` and `\\t`");
			fail_item(p, at);
		}
	}
	return value;
}
