/* Constructors of types, axes, signatures' parameters and stored layouts. */
#include "build.h"

struct node *type_named(struct parser *p, struct span at, struct path path, struct node_list *args, struct node *axes)
{
	struct node *x = node_new(p, N_TYPE, at);
	x->type.path = path;
	x->type.has_path = true;
	x->type.args = nodes_of(args);
	x->type.has_args = args != NULL;
	x->type.axes = axes;
	return x;
}

struct node *type_axes(struct parser *p, struct span at, struct node *axes)
{
	struct node *x = node_new(p, N_TYPE, at);
	x->type.axes = axes;
	return x;
}

struct node *type_optional(struct node *type, struct span at)
{
	type->span = at;
	type->type.opt = true;
	return type;
}

/* `items` NULL: the scalar `[]`. */
struct node *axes_of(struct parser *p, struct span at, struct node_list *items, struct pending_list *pending)
{
	struct node *x = node_new(p, N_AXES, at);
	x->axes.items = nodes_of(items);
	if (pending) {
		x->axes.pending = pending->path;
		x->axes.monoid = pending->monoid;
		x->axes.n_pending = pending->n;
	}
	return x;
}

struct pending_list *pending_add(struct parser *p, struct pending_list *list, const char *monoid, struct path path)
{
	if (!list)
		list = arena_new(p->arena, struct pending_list);
	vec_room(p->arena, (void **)&list->path, &list->cap, list->n, sizeof *list->path);
	vec_room(p->arena, (void **)&list->monoid, &list->cap_monoid, list->n, sizeof *list->monoid);
	list->path[list->n] = path;
	list->monoid[list->n++] = monoid;
	return list;
}

struct node *ax_product(struct parser *p, struct span at, struct path_list *factors)
{
	struct node *x = node_new(p, N_AX, at);
	x->ax.factors = factors->at;
	x->ax.n = factors->n;
	return x;
}

struct node *ax_marked(struct parser *p, struct span at, struct path path, char mark)
{
	struct node *x = ax_product(p, at, paths_add(p, NULL, path));
	x->ax.mark = mark;
	return x;
}

struct node *ax_placed(struct parser *p, struct span at, struct path path, struct path_list *mesh)
{
	struct node *x = ax_product(p, at, paths_add(p, NULL, path));
	x->kind = N_AX_AT;
	x->ax.mesh = mesh->at;
	x->ax.n_mesh = mesh->n;
	return x;
}

struct node *ax_rest(struct parser *p, struct span at, const char *name)
{
	struct node *x = node_new(p, N_AX_REST, at);
	x->ident = (struct ident){names_str(p->names, name), at};
	return x;
}

/* `value` NULL: no default. */
struct node *param_of(struct parser *p, struct span at, struct ident name, struct node *type, struct node *value)
{
	struct node *x = node_new(p, N_PARAM, at);
	x->field.path = path_of(idents_add(p, NULL, name));
	x->field.type = type;
	x->field.value = value;
	return x;
}

/* N_STORED, N_PROD, N_SUM, N_RECORD. */
struct node *list_node(struct parser *p, struct span at, enum node_kind kind, struct node_list *list)
{
	struct node *x = node_new(p, kind, at);
	x->list = nodes_of(list);
	x->depth = 1 + nodes_depth(x->list);
	return x;
}

struct node *stored_path(struct parser *p, struct span at, struct path path)
{
	struct node *x = node_new(p, N_PATH, at);
	x->path = path;
	return x;
}

struct node *stored_piece(struct parser *p, struct span at, struct node_list *product, bool marked)
{
	struct node *x = node_new(p, N_PIECE, at);
	x->piece.prod = list_node(p, at, N_PROD, product);
	x->piece.marked = marked;
	return x;
}
