/* The table of references: each use of a name found by a look-up, with its definition. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

/* ---- what is recorded ------------------------------------------------------------------------ */

/* The span of the name at the start of `at`; empty if other text is there: the name is implied. */
static struct span written(const struct sema *s, const char *name, struct span at)
{
	const struct source *f = &s->sink->sources->files.at[at.file];
	uint32_t n = (uint32_t)strlen(name);
	bool there = at.hi >= at.lo + n && !memcmp(f->text + at.lo, name, n);
	return (struct span){at.file, at.lo, there ? at.lo + n : at.lo};
}

static bool is_same(struct span a, struct span b) { return a.file == b.file && a.lo == b.lo; }

static uint32_t hash(const struct reference *r)
{
	uint32_t h = r->use.file * 2654435761u ^ r->use.lo;
	h = h * 2654435761u ^ r->definition.file;
	h = h * 2654435761u ^ r->definition.lo;
	return h ^ h >> 15;
}

/* The slot of an equal entry, or a free slot for it. Slots hold an index plus 1. */
static int *slot_of(const struct sema *s, const struct reference *r)
{
	uint32_t mask = (uint32_t)s->n_reference_slots - 1, i = hash(r) & mask;
	for (; s->reference_slots[i]; i = (i + 1) & mask) {
		const struct reference *other = &s->references.at[s->reference_slots[i] - 1];
		if (is_same(other->use, r->use) && is_same(other->definition, r->definition))
			break;
	}
	return &s->reference_slots[i];
}

/* Twice as many slots as entries at least, also after the table was given up (sema_references). */
static void grow(struct sema *s)
{
	s->n_reference_slots = s->n_reference_slots ? s->n_reference_slots : 1024;
	while (s->n_reference_slots < 2 * (s->references.n + 1))
		s->n_reference_slots *= 2;
	s->reference_slots = arena_array(s->arena, int, s->n_reference_slots);
	for (int i = 0; i < s->references.n; i++)
		*slot_of(s, &s->references.at[i]) = i + 1;
}

static void add(struct sema *s, struct reference r)
{
	if (2 * (s->references.n + 1) > s->n_reference_slots)
		grow(s);
	int *slot = slot_of(s, &r);
	if (*slot)
		return;
	vec_push(s->arena, &s->references, r);
	*slot = s->references.n;
}

void refer(struct sema *s, struct ident use, struct span definition, enum reference_kind kind)
{
	if (!s->options->references)
		return;
	struct reference r = {written(s, use.name, use.span), written(s, use.name, definition), kind};
	if (r.use.hi > r.use.lo && r.definition.hi > r.definition.lo && !is_same(r.use, r.definition))
		add(s, r);
}

/* ---- kinds of definitions -------------------------------------------------------------------- */

void refer_def(struct sema *s, struct ident use, const struct def *d)
{
	const struct path *name = &d->node->named.name;
	refer(s, use, name->at[name->n - 1].span, REFERENCE_DECLARATION);
}

void refer_field(struct sema *s, struct ident use, const struct field *f)
{
	static const enum reference_kind kinds[] = {
		[FIELD_PLAIN] = REFERENCE_FIELD, [FIELD_AXIS] = REFERENCE_AXIS,     [FIELD_MESH] = REFERENCE_MESH_AXIS,
		[FIELD_VIEW] = REFERENCE_AXIS,   [FIELD_DERIVED] = REFERENCE_FIELD, [FIELD_ELEMENT] = REFERENCE_LEVEL,
	};
	refer(s, use, f->span, kinds[f->sort]);
}

void refer_binding(struct sema *s, struct ident use, const struct binding *b)
{
	if (b->def)
		refer_def(s, use, b->def);
	else if (b->module)
		refer(s, use, b->span, REFERENCE_MODULE);
}

void refer_module(struct sema *s, struct ident use, const struct module *m)
{
	if (s->options->references)
		add(s, (struct reference){use.span, {m->source, 0, 0}, REFERENCE_MODULE});
}

/* ---- records of bodies ----------------------------------------------------------------------- */

void refer_layer(struct record *r, const struct layer *l)
{
	struct made m = {l->span, r};
	if (r->sema->options->references && (!l->module->is_std || l->module == r->sema->main))
		vec_push(r->sema->arena, &r->sema->made, m);
}

struct record *refer_body(const struct sema *s, struct span at)
{
	for (int i = s->made.n; i--;)
		if (is_same(s->made.at[i].at, at) && s->made.at[i].at.hi == at.hi)
			return s->made.at[i].record;
	return NULL;
}

/* ---- reading the table ----------------------------------------------------------------------- */

static int compare(uint32_t a, uint32_t b) { return (a > b) - (a < b); }

static int by_use(const void *a, const void *b)
{
	const struct reference *x = a, *y = b;
	int order = compare(x->use.file, y->use.file);
	order = order ? order : compare(x->use.lo, y->use.lo);
	order = order ? order : compare(x->definition.file, y->definition.file);
	return order ? order : compare(x->definition.lo, y->definition.lo);
}

const struct reference *sema_references(struct sema *s, int *n)
{
	*n = s->references.n;
	if (s->references.n)
		qsort(s->references.at, (size_t)s->references.n, sizeof *s->references.at, by_use);
	s->n_reference_slots = 0; /* entries were sorted: rebuilt if more are added */
	return s->references.at;
}
