/* The analysis of names that Jinja2's compiler does (idtracking.py), as far as results depend on it. */
#include "frames.h"

/* What is known of a name in a frame. */
enum { STORED = 1, HIDES = 2 };

struct frame {
	struct work *w;
	const struct frame *parent;
	struct value names; /* a dict: of each name that is known here, the bits */
};

static struct frame new_frame(struct work *w, const struct frame *parent)
{
	return (struct frame){w, parent, dict_new(w, DICT)};
}

static int64_t bits_of(const struct frame *f, struct span name)
{
	const struct value *found = dict_get(f->w, f->names.dict, name);
	return found ? found->i : -1;
}

static void set_bits(struct frame *f, struct span name, int64_t bits)
{
	dict_set(f->w, f->names.dict, string(name), integer(bits));
}

static bool known_outside(const struct frame *f, struct span name)
{
	for (const struct frame *p = f->parent; p; p = p->parent)
		if (bits_of(p, name) >= 0)
			return true;
	return false;
}

static void load(struct frame *f, struct span name)
{
	if (bits_of(f, name) < 0 && !known_outside(f, name))
		set_bits(f, name, 0);
}

static void store(struct frame *f, struct span name)
{
	int64_t bits = bits_of(f, name);
	set_bits(f, name, bits >= 0 ? bits | STORED : known_outside(f, name) ? STORED : STORED | HIDES);
}

static void visit(struct frame *f, const struct node *n);

static void visit_all(struct frame *f, const struct nodes *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (list->at[i])
			visit(f, list->at[i]);
}

static void visit_target(struct frame *f, const struct node *n)
{
	if (n->kind == N_NAME)
		store(f, n->name);
	else if (n->kind == N_ATTRIBUTE)
		load(f, n->a->name);
	for (size_t i = 0; i < n->list.n; i++)
		visit_target(f, n->list.at[i]);
}

static struct frame copy(const struct frame *f)
{
	struct frame out = new_frame(f->w, f->parent);
	for (size_t i = 0; i < f->names.dict->n; i++)
		dict_set(f->w, out.names.dict, f->names.dict->keys[i], f->names.dict->values[i]);
	return out;
}

/* Joins a branch into f: what is first set under a condition is not hidden. */
static void join_branch(struct frame *f, const struct frame *branch)
{
	const struct dict *d = branch->names.dict;
	for (size_t i = 0; i < d->n; i++) {
		int64_t before = bits_of(f, d->keys[i].s);
		bool is_set = before > 0 && before & STORED;
		set_bits(f, d->keys[i].s, is_set ? before : d->values[i].i & STORED);
	}
}

static void visit_if(struct frame *f, const struct node *n)
{
	visit(f, n->a);
	struct frame body = copy(f), other = copy(f);
	visit_all(&body, &n->body);
	visit_all(&other, &n->other);
	join_branch(f, &body);
	join_branch(f, &other);
}

/* Of a statement that begins a frame, only what is outside that frame. */
static void visit(struct frame *f, const struct node *n)
{
	work_steps(f->w, 1);
	switch (n->kind) {
	case N_NAME:  load(f, n->name); return;
	case N_IF:    visit_if(f, n); return;
	case N_FOR:   visit(f, n->a); return;
	case N_MACRO: store(f, n->name); return;
	case N_SCOPE: return;
	case N_SET:
		visit(f, n->a);
		visit_target(f, n->target);
		return;
	case N_SET_TEXT: visit_target(f, n->target); return;
	case N_FILTERED: visit(f, n->b); return;
	default:         break;
	}
	const struct node *const parts[] = {n->a, n->b, n->c};
	for (size_t i = 0; i < 3; i++)
		if (parts[i])
			visit(f, parts[i]);
	visit_all(f, &n->list);
	visit_all(f, &n->arguments.positional);
	visit_all(f, &n->arguments.named);
}

/* ---- frames ---------------------------------------------------------------------------------------------------- */
static void open_frames(const struct frame *f, const struct nodes *body);

static struct names analyse(struct frame *f, const struct nodes *body)
{
	struct names out = {0};
	visit_all(f, body);
	const struct dict *d = f->names.dict;
	out.at = work_alloc(f->w, d->n * sizeof *out.at);
	for (size_t i = 0; i < d->n; i++)
		if (d->values[i].i & HIDES)
			out.at[out.n++] = d->keys[i].s;
	open_frames(f, body);
	return out;
}

/* Parameters and targets of loops are known, and not hidden. */
static void declare(struct frame *f, const struct node *target)
{
	if (target->kind == N_NAME)
		set_bits(f, target->name, STORED);
	for (size_t i = 0; i < target->list.n; i++)
		declare(f, target->list.at[i]);
}

static void open_frame(const struct frame *outer, struct node *n)
{
	struct frame f = new_frame(outer->w, outer);
	if (n->kind == N_IF) {
		open_frames(outer, &n->body);
		open_frames(outer, &n->other);
		return;
	}
	if (n->kind == N_FOR) {
		struct frame other = new_frame(outer->w, outer);
		declare(&f, n->target);
		n->hidden_other = analyse(&other, &n->other);
	}
	if (n->kind == N_MACRO)
		declare(&f, &(struct node){.kind = N_TUPLE, .list = n->list});
	for (size_t i = 0; n->kind == N_MACRO && i < n->list.n; i++)
		if (n->list.at[i]->a)
			visit(&f, n->list.at[i]->a);
	if (n->body.n)
		n->hidden = analyse(&f, &n->body);
}

static void open_frames(const struct frame *f, const struct nodes *body)
{
	for (size_t i = 0; i < body->n; i++)
		open_frame(f, body->at[i]);
}

struct names hidden_names(struct work *w, const struct nodes *body)
{
	struct frame f = new_frame(w, NULL);
	return analyse(&f, body);
}
