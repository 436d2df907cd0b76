/* `assert layer.w_up : bf16[d_model, ffn@tp]`: the layout of a value, in each phase. */
#include "goals.h"
#include <string.h>

static void mesh_text(struct text *t, const struct path *mesh, int n)
{
	for (int i = 0; i < n; i++)
		text_add(t, "%s%s", i ? " * " : "", mesh[i].at[mesh[i].n - 1].name);
}

/* The layout `[batch@(dp * ep), ctx | +tp]` that an assertion states, in the form that layouts are printed in. */
static const char *asserted_layout(struct arena *a, const struct node *axes)
{
	struct text t = {.arena = a};
	text_add(&t, "[");
	for (int i = 0; i < axes->axes.items.n; i++) {
		const struct node *ax = axes->axes.items.at[i];
		text_add(&t, "%s", i ? ", " : "");
		if (ax->kind == N_AX_REST) {
			text_add(&t, "...");
			continue;
		}
		mesh_text(&t, ax->ax.factors, ax->ax.n);
		if (ax->ax.n_mesh)
			text_add(&t, ax->ax.n_mesh > 1 ? "@(" : "@");
		mesh_text(&t, ax->ax.mesh, ax->ax.n_mesh);
		if (ax->ax.n_mesh > 1)
			text_add(&t, ")");
	}
	for (int i = 0; i < axes->axes.n_pending; i++) {
		text_add(&t, "%s+", i ? ", " : " | ");
		mesh_text(&t, &axes->axes.pending[i], 1);
	}
	text_add(&t, "]");
	return t.at;
}

/* Notes the axes of the model and of the mesh that an assertion names. */
static void refer_layout(struct goals *g, const struct node *axes)
{
	const struct program *p = g->layouts->program;
	struct val plan = record_get(g->self.deploy->record, "plan", axes->span);
	for (int i = 0; i < axes->axes.items.n; i++) {
		const struct node *ax = axes->axes.items.at[i];
		if (ax->kind == N_AX_REST)
			continue;
		for (int k = 0; k < ax->ax.n; k++)
			for (int axis = 0; axis < p->axes.n; axis++)
				if (!strcmp(p->axes.at[axis].name, ax->ax.factors[k].at[0].name))
					refer(g->sema, ax->ax.factors[k].at[0], p->axes.at[axis].span, REFERENCE_AXIS);
		for (int k = 0; k < ax->ax.n_mesh && plan.kind == V_RECORD; k++) {
			struct field *f = record_field(plan.record, ax->ax.mesh[k].at[0].name);
			if (f)
				refer_field(g->sema, ax->ax.mesh[k].at[0], f);
		}
	}
}

/* The format that an assertion names: `bf16`, or `kv`, `weight`, `act` of the model. false: it names none. */
static bool asserted_format(struct goals *g, const struct node *type, enum dtype *out)
{
	if (!type->type.has_path)
		return false;
	const char *name = type->type.path.at[type->type.path.n - 1].name;
	struct val model = record_get(g->self.deploy->record, "model", type->span), v = val_none();
	if (model.kind == V_RECORD && record_field(model.record, name))
		v = record_get(model.record, name, type->span);
	for (int i = 0; v.kind == V_NONE && i < DTYPE_COUNT; i++)
		if (!strcmp(dtype_name((enum dtype)i), name))
			v = (struct val){.kind = V_DTYPE, .dtype = (enum dtype)i};
	if (v.kind == V_DTYPE)
		*out = v.dtype;
	else
		sema_report(g->sema, DIAG_E0101, type->type.path.span, "`%s` is not a number format", name);
	return v.kind == V_DTYPE;
}

enum goal_verdict goal_layout(struct goals *g, const struct node *item)
{
	struct sema *s = g->sema;
	const struct node *type = item->claim.type;
	const char *path = dotted_name(s->arena, item->claim.value);
	if (!g->layouts || !path || !type->type.axes) {
		sema_report(s, DIAG_W0811, item->span, "`assert` is not checked: it needs a layout");
		return GOAL_OPEN;
	}
	const char *want = asserted_layout(s->arena, type->type.axes);
	refer_layout(g, type->type.axes);
	enum dtype format = DTYPE_F32, have_format = DTYPE_F32;
	bool formatted = asserted_format(g, type, &format);
	for (int phase = 0; phase < PHASES; phase++) {
		const char *have = dag_layout(g->layouts, path, phase, &have_format);
		if (!have) {
			sema_report(s, DIAG_E0101, item->claim.value->span, "the model has no value `%s`", path);
			return GOAL_WRONG;
		}
		if (!strcmp(have, want) && (!formatted || format == have_format))
			continue;
		struct diag *d = sema_report(s, DIAG_E0807, type->span, "layout of `%s` is %s%s in %s, asserted %s%s", path,
		                             formatted ? dtype_name(have_format) : "", have, phase_name(phase),
		                             formatted ? dtype_name(format) : "", want);
		diag_help(s->sink, d, "a layout follows from the plan's rules in its region: change a rule, or the assertion");
		return GOAL_FALSE;
	}
	return GOAL_CONFIRMED;
}
