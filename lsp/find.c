/* What stands at a place of a file. */
#include "../sema/record.h"
#include "find.h"
#include <string.h>

/* ---- the tree below a node ------------------------------------------------------------------- */

static void each_of(struct nodes list, node_visit *each, void *context)
{
	for (int i = 0; i < list.n; i++)
		each(context, list.at[i]);
}

static void each_if(const struct node *x, node_visit *each, void *context)
{
	if (x)
		each(context, x);
}

static void each_of_named(const struct node *x, node_visit *each, void *context)
{
	each_of(x->named.params, each, context);
	each_if(x->named.type, each, context);
	each_if(x->named.value, each, context);
	each_if(x->named.from, each, context);
	each_if(x->named.stored, each, context);
	each_of(x->named.body, each, context);
}

void node_each_child(const struct node *x, node_visit *each, void *context)
{
	switch (x->kind) {
	case N_SET: each_if(x->set.value, each, context); break;
	case N_FIELD:
	case N_PARAM:
		each_if(x->field.type, each, context);
		each_if(x->field.value, each, context);
		break;
	case N_SUB:   each_of(x->sub.body, each, context); break;
	case N_NAMED: each_of_named(x, each, context); break;
	case N_RETURN:
	case N_REQUIRE:
	case N_ASSERT:
	case N_PREFER:
	case N_MAXIMIZE:
	case N_MINIMIZE:
	case N_ASSERT_TYPE:
		each_if(x->claim.value, each, context);
		each_if(x->claim.type, each, context);
		break;
	case N_WHEN:
		each_if(x->when.cond, each, context);
		each_of(x->when.then, each, context);
		each_of(x->when.other, each, context);
		break;
	case N_TYPE:
		each_of(x->type.args, each, context);
		each_if(x->type.axes, each, context);
		break;
	case N_AXES:      each_of(x->axes.items, each, context); break;
	case N_DOT:
	case N_PER:
	case N_ARG_NAMED: each_if(x->dot.x, each, context); break;
	case N_CALL:
	case N_INDEX:
		each_if(x->call.f, each, context);
		each_of(x->call.args, each, context);
		break;
	case N_REFINE:
		each_if(x->sub2.base, each, context);
		each_of(x->sub2.body, each, context);
		break;
	case N_RECORD:
	case N_LIST:
	case N_STORED:
	case N_PROD:
	case N_SUM:    each_of(x->list, each, context); break;
	case N_PIECE:  each_if(x->piece.prod, each, context); break;
	case N_LABEL:  each_if(x->label.call, each, context); break;
	case N_BIN:
		each_if(x->bin.a, each, context);
		each_if(x->bin.b, each, context);
		break;
	case N_CONTRACT:
		each_if(x->contract.x, each, context);
		each_if(x->contract.w, each, context);
		break;
	case N_NOT:
	case N_NEG: each_if(x->one.x, each, context); break;
	case N_IF:
		each_if(x->cond.c, each, context);
		each_if(x->cond.a, each, context);
		each_if(x->cond.b, each, context);
		break;
	default: break;
	}
}

struct choosing {
	uint32_t offset;
	const struct node *found;
};

/* Of two neighbours that both touch the offset, the later one. */
static void choose(void *context, const struct node *child)
{
	struct choosing *c = context;
	if (child->span.lo <= c->offset && c->offset <= child->span.hi)
		c->found = child;
}

/* The child around the offset, or NULL. */
static const struct node *child_at(const struct node *x, uint32_t offset)
{
	struct choosing c = {offset, NULL};
	node_each_child(x, choose, &c);
	return c.found;
}

static const struct node *item_at(struct nodes items, uint32_t offset)
{
	struct choosing c = {offset, NULL};
	each_of(items, choose, &c);
	return c.found;
}

int spans_around(const struct analysis *a, uint32_t offset, struct span out[MAX_AROUND])
{
	int n = 0;
	for (const struct node *x = item_at(sema_items(a->sema), offset); x && n < MAX_AROUND; x = child_at(x, offset))
		out[n++] = x->span;
	return n;
}

/* ---- records --------------------------------------------------------------------------------- */

static bool is_inside(struct span braces, uint32_t offset) { return braces.lo < offset && offset < braces.hi; }

/* The field that a path names from a record on; NULL: it is not known. */
static struct field *field_of(struct record *r, struct path p)
{
	struct field *f = NULL;
	for (int i = 0; i < p.n && r; i++) {
		f = record_field(r, p.at[i].name);
		r = f && f->progress == FIELD_DONE && f->value.kind == V_RECORD ? f->value.record : NULL;
		if (!r && i + 1 < p.n)
			return NULL;
	}
	return f;
}

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static bool is_rule_scope(const char *kind) { return is(kind, "at") || is(kind, "phase") || is(kind, "store"); }

static bool is_program_item(const char *kind)
{
	static const char *const kinds[] = {"let", "param", "state", "input", "output", "repeat", "op", "block", "builtin"};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (is(kind, kinds[i]))
			return true;
	return false;
}

bool field_is_given_by(const struct field *f, const struct node *value)
{
	return value == (f->sets.n ? f->sets.at[f->sets.n - 1].value : f->init);
}

/* ---- going down ------------------------------------------------------------------------------ */

struct descent {
	const struct analysis *a;
	uint32_t offset;
	struct spot spot;
};

static bool has_layer(const struct record *r, const struct layer *layer)
{
	for (int i = 0; i < r->layers.n; i++)
		if (r->layers.at[i]->items.at == layer->items.at)
			return true;
	return false;
}

/* The value of a field whose body made a record: that record as -D and a lock refine it. */
static struct record *most_derived(struct record *made, const struct field *f)
{
	struct record *r = f && f->progress == FIELD_DONE && f->value.kind == V_RECORD ? f->value.record : NULL;
	bool refines = r && made && made->layers.n && has_layer(r, made->layers.at[made->layers.n - 1]);
	return refines ? r : made;
}

/* Enters a body that makes a record: that of `field`, if it is not NULL. */
static void enter(struct descent *d, struct span layer, const struct field *field)
{
	d->spot.record = most_derived(refer_body(d->a->sema, layer), field);
	d->spot.field = NULL;
	d->spot.type = NULL;
	d->spot.value = NULL;
	d->spot.kind = SPOT_ITEM;
}

static bool is_on_level(const struct place *p, uint32_t offset)
{
	return p->kind != PLACE_NONE && p->level.n && p->level.span.lo <= offset && offset <= p->level.span.hi;
}

static void at_set(struct descent *d, const struct node *x)
{
	d->spot.field = field_of(d->spot.record, x->set.path);
	d->spot.type = d->spot.field ? d->spot.field->type : NULL;
	d->spot.on_name = d->offset <= x->set.path.span.hi;
	d->spot.kind = d->spot.on_name ? SPOT_ITEM : is_on_level(&x->set.place, d->offset) ? SPOT_LEVEL : SPOT_VALUE;
}

static void at_named(struct descent *d, const struct node *x)
{
	const char *kind = x->named.kind.name;
	uint32_t head = x->named.name.n ? x->named.name.span.hi : x->named.kind.span.hi;
	if (is_program_item(kind)) {
		d->spot.kind = SPOT_PROGRAM;
		return;
	}
	if (is_rule_scope(kind)) {
		d->spot.scope = kind;
		d->spot.kind = SPOT_ITEM;
		d->spot.on_name = d->offset <= head;
		return;
	}
	if (d->offset <= head) {
		d->spot.on_name = true;
		return;
	}
	if (x->named.type && d->offset <= x->named.type->span.hi && d->offset >= x->named.type->span.lo)
		d->spot.kind = SPOT_TYPE;
	else if (is_on_level(&x->named.place, d->offset))
		d->spot.kind = SPOT_LEVEL;
	else if (x->named.value && d->offset >= x->named.value->span.lo)
		d->spot.kind = SPOT_VALUE;
	else if (x->named.tail == TAIL_BLOCK || x->named.tail == TAIL_OF)
		enter(d, x->named.name.span, NULL);
	if (d->spot.kind == SPOT_VALUE && (is(kind, "mesh") || is(kind, "axis")))
		d->spot.field = field_of(d->spot.record, x->named.name);
}

static void at_use(struct descent *d, const struct node *x)
{
	bool in_names = x->kind == N_USE && d->offset > x->use.path.span.hi && x->use.has_names;
	d->spot.kind = in_names ? SPOT_NAMES : SPOT_USE;
}

/* Notes what is known of a place inside x. */
static void step(struct descent *d, const struct node *x)
{
	switch (x->kind) {
	case N_USE:
	case N_USE_FILE: at_use(d, x); break;
	case N_SET:      at_set(d, x); break;
	case N_SUB:
		if (is_inside(x->sub.braces, d->offset)) {
			enter(d, x->sub.path.span, field_of(d->spot.record, x->sub.path));
		} else {
			d->spot.field = field_of(d->spot.record, x->sub.path);
			d->spot.on_name = true;
		}
		break;
	case N_NAMED: at_named(d, x); break;
	case N_FIELD:
		d->spot.field = d->spot.record ? field_of(d->spot.record, x->field.path) : NULL;
		d->spot.on_name = d->offset <= x->field.path.span.hi;
		d->spot.kind = x->field.value && d->offset >= x->field.value->span.lo ? SPOT_VALUE
		               : d->spot.on_name                                      ? SPOT_ITEM
		                                                                      : SPOT_TYPE;
		break;
	case N_RULE:        d->spot.kind = d->offset <= x->rule.lhs_span.hi ? SPOT_RULE : SPOT_TARGET; break;
	case N_REQUIRE:
	case N_ASSERT:
	case N_ASSERT_TYPE:
	case N_PREFER:
	case N_MAXIMIZE:
	case N_MINIMIZE:    d->spot.kind = SPOT_CLAIM; break;
	case N_RETURN:      d->spot.kind = SPOT_PROGRAM; break;
	case N_WHEN:        d->spot.in_when = true; break;
	case N_REFINE:
		if (is_inside(x->sub2.braces, d->offset))
			enter(d, x->sub2.base->span, d->spot.field);
		break;
	case N_RECORD: enter(d, x->span, NULL); break;
	case N_LIST:
		d->spot.type = d->spot.type && type_is(d->spot.type, "List") && d->spot.type->type.args.n
		                   ? d->spot.type->type.args.at[0]
		                   : NULL;
		break;
	case N_TYPE: d->spot.kind = d->spot.kind == SPOT_VALUE ? SPOT_VALUE : SPOT_TYPE; break;
	default:     break;
	}
}

static bool is_item(const struct node *x) { return x->kind <= N_ERROR; }

struct spot spot_at(const struct analysis *a, uint32_t file, uint32_t offset)
{
	struct descent d = {.a = a, .offset = offset, .spot.kind = SPOT_ITEM};
	const struct node *x = file == sema_source(a->sema) ? item_at(sema_items(a->sema), offset) : NULL;
	d.spot.outer = x;
	for (; x; x = child_at(x, offset)) {
		if (is_item(x)) {
			d.spot.item = x;
			d.spot.value = NULL;
			d.spot.on_name = false;
		} else {
			d.spot.value = x;
		}
		step(&d, x);
	}
	return d.spot;
}

/* ---- fields ---------------------------------------------------------------------------------- */

const struct field *field_valued(const struct analysis *a, const struct node *x, const struct node **value)
{
	bool axis = x->kind == N_NAMED && (is(x->named.kind.name, "axis") || is(x->named.kind.name, "mesh"));
	*value = x->kind == N_SET ? x->set.value : axis ? x->named.value : x->kind == N_FIELD ? x->field.value : NULL;
	if (!*value)
		return NULL;
	const struct path *p = x->kind == N_SET ? &x->set.path : axis ? &x->named.name : &x->field.path;
	struct spot spot = spot_at(a, x->span.file, p->span.lo);
	return !axis ? spot.field : spot.record ? record_field(spot.record, p->at[p->n - 1].name) : NULL;
}

/* ---- names ------------------------------------------------------------------------------------ */

static bool holds(struct span s, uint32_t file, uint32_t offset)
{
	return s.file == file && s.lo <= offset && offset <= s.hi && s.hi > s.lo;
}

static bool same(struct span a, struct span b) { return a.file == b.file && a.lo == b.lo; }

static void add_definition(struct name_at *out, const struct reference *r, struct span here)
{
	out->here = here;
	out->kind = r->kind;
	for (int i = 0; i < out->n; i++)
		if (same(out->definition[i], r->definition))
			return;
	if (out->n < MAX_DEFINITIONS)
		out->definition[out->n++] = r->definition;
}

bool name_find(const struct analysis *a, uint32_t file, uint32_t offset, struct name_at *out)
{
	*out = (struct name_at){.n = 0};
	for (int i = 0; i < a->n_references; i++) {
		const struct reference *r = &a->references[i];
		if (holds(r->use, file, offset))
			add_definition(out, r, r->use);
	}
	for (int i = 0; i < a->n_references && !out->n; i++) {
		const struct reference *r = &a->references[i];
		if (r->kind != REFERENCE_MODULE && holds(r->definition, file, offset))
			add_definition(out, r, r->definition);
	}
	return out->n > 0;
}

static const struct module *module_of(const struct analysis *a, uint32_t file)
{
	for (int i = 0; i < a->sema->modules.n; i++)
		if (a->sema->modules.at[i]->source == file)
			return a->sema->modules.at[i];
	return NULL;
}

struct def *def_at(const struct analysis *a, struct span name)
{
	const struct module *m = module_of(a, name.file);
	for (int i = 0; m && i < m->own.n; i++) {
		const struct path *p = &m->own.at[i]->node->named.name;
		if (p->at[p->n - 1].span.lo == name.lo)
			return m->own.at[i];
	}
	return NULL;
}

const struct node *item_declaring(const struct analysis *a, struct span name)
{
	const struct module *m = module_of(a, name.file);
	const struct node *found = NULL;
	for (const struct node *x = m ? item_at(m->items, name.lo) : NULL; x; x = child_at(x, name.lo))
		if (is_item(x) || x->kind == N_PARAM)
			found = x;
	return found;
}

bool name_is_defined_as(const struct name_at *name, struct span definition)
{
	for (int i = 0; i < name->n; i++)
		if (same(name->definition[i], definition))
			return true;
	return false;
}
