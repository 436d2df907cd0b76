/* Makes the atoms: mesh axes, cut further where a product rule gives the major part to one axis and the rest to
 * another. */
#include "local.h"

bool atoms_have(const struct atoms *a, int atom)
{
	for (int i = 0; i < a->n; i++)
		if (a->at[i] == atom)
			return true;
	return false;
}

bool atoms_equal(const struct atoms *a, const struct atoms *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
		if (a->at[i] != b->at[i])
			return false;
	return true;
}

void atoms_add(struct atoms *a, int atom)
{
	if (a->n == MAX_GROUP_ATOMS)
		internal_error("more than %d pieces of the mesh in one group", MAX_GROUP_ATOMS);
	a->at[a->n++] = atom;
}

int64_t atoms_size(const struct local *l, const struct atoms *a)
{
	int64_t size = 1;
	for (int i = 0; i < a->n; i++)
		size *= l->atoms.at[a->at[i]].size;
	return size;
}

const char *atoms_text(const struct local *l, const struct atoms *a)
{
	struct text t = {.arena = l->arena};
	text_add(&t, "%s", a->n ? "" : "none");
	for (int i = 0; i < a->n; i++)
		text_add(&t, "%s%s", i ? " * " : "", l->atoms.at[a->at[i]].name);
	return t.at;
}

int64_t common_divisor(int64_t a, int64_t b)
{
	while (b) {
		int64_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}

/* Ends of the pieces of a mesh axis, counted from the major side: cumulative sizes, ascending, each a divisor of the
 * next, so that an axis has at most MAX_GROUP_ATOMS. */
struct cuts {
	int64_t at[MAX_GROUP_ATOMS];
	int n;
};

/* Adds a cut. Returns false if it has no common refinement with the pieces so far. */
static bool cut_at(struct cuts *c, int64_t at)
{
	int i = 0;
	while (i < c->n && c->at[i] < at)
		i++;
	if (i < c->n && c->at[i] == at)
		return true;
	if (i && at % c->at[i - 1])
		return false;
	if (i < c->n && c->at[i] % at)
		return false;
	for (int k = c->n; k > i; k--)
		c->at[k] = c->at[k - 1];
	c->at[i] = at;
	c->n++;
	return true;
}

/* Cuts the target of a product rule where one axis ends, `taken` ranks from the major side. */
static bool cut_target(struct local *l, const struct rule *r, struct cuts *cuts, int64_t taken)
{
	int64_t outer = 1;
	for (int i = 0; i < r->n_target; i++) {
		int64_t size = l->deploy->mesh.at[r->target[i]].size;
		if (taken <= outer)
			return true;
		if (taken < outer * size)
			return taken % outer == 0 && size % (taken / outer) == 0 && cut_at(&cuts[r->target[i]], taken / outer);
		outer *= size;
	}
	return true;
}

static bool cut_for_rule(struct local *l, const struct rule *r, struct cuts *cuts)
{
	int64_t left = 1, taken = 1;
	for (int i = 0; i < r->n_target; i++)
		left *= l->deploy->mesh.at[r->target[i]].size;
	for (int i = 0; i + 1 < r->n_lhs; i++) {
		int64_t extent = l->program->axes.at[r->lhs[i]].extent, take = extent ? common_divisor(extent, left) : left;
		left /= take;
		taken *= take;
		if (!cut_target(l, r, cuts, taken))
			return false;
	}
	return true;
}

static void add_atoms(struct local *l, int m, const struct cuts *c, int64_t stride)
{
	const struct mesh_axis *axis = &l->deploy->mesh.at[m];
	int64_t before = 1;
	for (int i = 0; i < c->n; i++) {
		struct atom a = {.name = axis->name, .mesh_axis = m, .size = c->at[i] / before};
		if (c->n > 1)
			a.name = arena_printf(l->arena, "%s.%d", axis->name, i);
		a.stride = stride * (axis->size / c->at[i]);
		before = c->at[i];
		vec_push(l->arena, &l->atoms, a);
	}
}

bool mesh_refine(struct local *l)
{
	const struct deploy *d = l->deploy;
	struct cuts *cuts = arena_array(l->arena, struct cuts, d->mesh.n + 1);
	for (int i = 0; i < d->mesh.n; i++)
		if (d->mesh.at[i].size > 1)
			cut_at(&cuts[i], d->mesh.at[i].size);
	for (int i = 0; i < d->rules.n; i++) {
		const struct rule *r = &d->rules.at[i];
		if (r->n_lhs < 2 || cut_for_rule(l, r, cuts))
			continue;
		struct diag *g = diag_report(l->sink, DIAG_E0507, r->span,
		                             "rules cut the mesh axes of this target in ways that have no common refinement");
		diag_help(l->sink, g, "declare the pieces as separate mesh axes, for instance tp_a and tp_b");
		return false;
	}
	int64_t stride = 1;
	int64_t *strides = arena_array(l->arena, int64_t, d->mesh.n + 1);
	for (int i = d->mesh.n - 1; i >= 0; i--) {
		strides[i] = stride;
		stride *= d->mesh.at[i].size;
	}
	for (int i = 0; i < d->mesh.n; i++) {
		add_atoms(l, i, &cuts[i], strides[i]);
		if (l->atoms.n <= MAX_GROUP_ATOMS)
			continue;
		struct diag *g = diag_report(
			l->sink, DIAG_E0918, d->mesh.at[i].span,
			"a mesh of more than %d axes, pieces of axes counted, is not built in this version", MAX_GROUP_ATOMS);
		diag_help(l->sink, g, "make fewer, larger ones");
		return false;
	}
	return true;
}
