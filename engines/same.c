/* Do two plans of one model place everything on the same ranks? Mesh axes have other names; ranks are compared by
 * number. */
#include "internal.h"
#include <string.h>
#include "../dag/local.h"

/* Atoms as strides and sizes, major to minor; neighbours that make one longer piece are one. */
static const char *places(struct arena *a, const struct local *l, const struct atoms *atoms)
{
	struct text t = {.arena = a};
	int64_t stride = 0, size = 1;
	text_add(&t, "%s", "");
	for (int i = 0; i < atoms->n; i++) {
		const struct atom *at = &l->atoms.at[atoms->at[i]];
		if (at->size == 1)
			continue;
		if (size > 1 && stride == at->stride * at->size) {
			stride = at->stride, size *= at->size;
			continue;
		}
		if (size > 1)
			text_add(&t, "%lldx%lld ", (long long)size, (long long)stride);
		stride = at->stride, size = at->size;
	}
	if (size > 1)
		text_add(&t, "%lldx%lld", (long long)size, (long long)stride);
	return t.at;
}

static bool same_atoms(struct arena *a, const struct local *x, const struct atoms *of_x, const struct local *y,
                       const struct atoms *of_y)
{
	return !strcmp(places(a, x, of_x), places(a, y, of_y));
}

static bool same_values(struct arena *a, const struct local *x, const struct local *y, int phase, const char **what)
{
	const struct local_phase *p = &x->phase[phase], *q = &y->phase[phase];
	for (int i = 0; i < x->program->values.n; i++) {
		if (p->of_program[i] < 0 || q->of_program[i] < 0)
			continue;
		const struct local_value *v = &p->values.at[p->of_program[i]], *w = &q->values.at[q->of_program[i]];
		bool same = same_atoms(a, x, &v->layout.pending, y, &w->layout.pending);
		for (int k = 0; k < v->n_axes && same; k++)
			same = same_atoms(a, x, &v->layout.axis[k], y, &w->layout.axis[k]);
		if (!same) {
			const char *name = x->program->values.at[i].name;
			*what = arena_printf(a, "`%s` in %s", name ? name : "a value", phase_name(phase));
			return false;
		}
	}
	return true;
}

static bool same_params(struct arena *a, struct local *x, struct local *y, bool training, const char **what)
{
	for (int i = 0; i < x->program->params.n; i++)
		for (int klass = CLASS_WEIGHT; klass <= (training ? CLASS_OPTIMIZER : CLASS_WEIGHT); klass++) {
			const struct param *p = &x->program->params.at[i];
			struct layout u = place_stored(x, p, klass), v = place_stored(y, &y->program->params.at[i], klass);
			for (int k = 0; k < p->n_axes; k++)
				if (!same_atoms(a, x, &u.axis[k], y, &v.axis[k])) {
					*what = arena_printf(a, "%s of `%s`",
					                     klass == CLASS_WEIGHT     ? "the weights"
					                     : klass == CLASS_GRADIENT ? "the gradients"
					                                               : "the optimizer",
					                     p->path);
					return false;
				}
		}
	return true;
}

const char *layout_difference(struct arena *a, struct local *x, struct local *y)
{
	const char *what = NULL;
	const struct program *p = x->program, *q = y->program;
	if (p->values.n != q->values.n || p->params.n != q->params.n)
		return "the program of the model";
	if (!same_atoms(a, x, &x->stages, y, &y->stages) || x->stage_layers.n != y->stage_layers.n)
		return "the stages";
	for (int i = 0; i < x->stage_layers.n; i++)
		if (x->stage_layers.at[i] != y->stage_layers.at[i])
			return "the layers of the stages";
	if (!same_atoms(a, x, &x->owners, y, &y->owners))
		return "the groups of sequences";
	bool training = x->deploy->work.training;
	if (!same_params(a, x, y, training, &what))
		return what;
	for (int phase = 0; phase < (training ? 1 : PHASES); phase++)
		if (!same_values(a, x, y, phase, &what))
			return what;
	return NULL;
}
