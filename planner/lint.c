/* Waste that a plan allows and its author may not have meant: idle mesh axes, repeated work, replicated caches (W05xx).
 * Nothing here is an error. */
#include "lint.h"

/* Repeated work below this share of a layer is not reported. */
static const double WORTH_REPORTING = 0.05;

/* ---- which mesh axes split what -------------------------------------------------------------- */

static void mark(const struct lint *t, const struct atoms *a, bool *used)
{
	for (int i = 0; i < a->n; i++)
		used[t->local->atoms.at[a->at[i]].mesh_axis] = true;
}

static void mark_layout(const struct lint *t, const struct local_value *v, bool *used)
{
	for (int i = 0; i < v->n_axes; i++)
		mark(t, &v->layout.axis[i], used);
	mark(t, &v->layout.pending, used);
}

/* Mesh axes of size 1 and those that cut the layers are busy by definition. */
static bool *busy_axes(const struct lint *t)
{
	bool *used = arena_array(t->arena, bool, t->deploy->mesh.n + 1);
	for (int i = 0; i < t->deploy->mesh.n; i++)
		used[i] = t->deploy->mesh.at[i].size == 1;
	mark(t, &t->local->stages, used);
	return used;
}

static enum op op_of(const struct lint *t, const struct local_value *v)
{
	return t->local->program->values.at[v->source].op;
}

static bool *axes_of_phase(const struct lint *t, int phase)
{
	bool *used = busy_axes(t);
	const struct local_phase *ph = &t->local->phase[phase];
	for (int i = 0; i < ph->values.n; i++) {
		const struct local_value *v = &ph->values.at[i];
		if (v->op == LOCAL_OP && op_of(t, v) != OP_PARAM)
			mark_layout(t, v, used);
		if (experts_of(t->local, v))
			mark(t, &experts_of(t->local, v)->all, used);
	}
	return used;
}

static void report_idle(const struct lint *t, int axis)
{
	const struct mesh_axis *m = &t->deploy->mesh.at[axis];
	bool always = t->idle[PHASE_PREFILL][axis] && t->idle[PHASE_DECODE][axis];
	const char *when = always ? ""
	                          : arena_printf(t->arena, " in phase %s",
	                                         phase_name(t->idle[PHASE_DECODE][axis] ? PHASE_DECODE : PHASE_PREFILL));
	struct diag *d = diag_report(t->sink, DIAG_W0511, m->span, "mesh axis `%s` (%lld) splits nothing%s", m->name,
	                             (long long)m->size, when);
	diag_note(t->sink, d, "%lld ranks do the same work%s", (long long)m->size, when);
	diag_help(t->sink, d, "place an axis on `%s`, such as `batch -> %s`, or make it 1 and another larger", m->name,
	          m->name);
}

static void find_idle(struct lint *t)
{
	for (int phase = 0; phase < PHASES; phase++) {
		bool *used = axes_of_phase(t, phase);
		t->idle[phase] = arena_array(t->arena, bool, t->deploy->mesh.n + 1);
		for (int i = 0; i < t->deploy->mesh.n; i++)
			t->idle[phase][i] = !used[i];
	}
	for (int i = 0; i < t->deploy->mesh.n; i++)
		if (t->idle[PHASE_PREFILL][i] || t->idle[PHASE_DECODE][i])
			report_idle(t, i);
}

/* ---- repeated matrix products ---------------------------------------------------------------- */

static double local_extent(const struct lint *t, int axis, const struct atoms *a)
{
	int64_t extent = t->local->program->axes.at[axis].extent;
	return (double)(extent ? extent : 1) / (double)(atoms_size(t->local, a) ? atoms_size(t->local, a) : 1);
}

/* Multiplications of a product on one rank for one token of a step. An axis whose size is known at run time counts as
 * the share of it that the rank has. */
static double products(const struct lint *t, const struct local_phase *ph, const struct local_value *v)
{
	const struct value *s = &t->local->program->values.at[v->source];
	const struct local_value *x = &ph->values.at[v->args[0]];
	double n = 1;
	for (int i = 0; i < v->n_axes; i++)
		n *= local_extent(t, v->axes[i], &v->layout.axis[i]);
	for (int i = 0; i < s->reduce.n_over; i++)
		for (int k = 0; k < x->n_axes; k++)
			if (x->axes[k] == s->reduce.over[i])
				n *= local_extent(t, x->axes[k], &x->layout.axis[k]);
	return n;
}

/* Work of one region that every rank along a mesh axis repeats. */
struct repeated {
	double work;
	double largest;
	struct span span;
};

static void report_repeated(const struct lint *t, int phase, int axis, int region, const struct repeated *r,
                            double share)
{
	const struct mesh_axis *m = &t->deploy->mesh.at[axis];
	struct diag *d =
		diag_report(t->sink, DIAG_W0512, m->span, "computation of `%s` is repeated on all %lld ranks of `%s`",
	                t->local->program->regions.at[region].name, (long long)m->size, m->name);
	diag_related(t->sink, d, r->span, "the largest of its products");
	diag_note(t->sink, d, "%s: %.0f%% of a layer's multiplications on a rank; %lld of %lld ranks repeat them",
	          phase_name(phase), 100 * share, (long long)m->size - 1, (long long)m->size);
	diag_help(t->sink, d, "place an axis of its weights on `%s`, or its tokens: `at %s { batch -> %s }`", m->name,
	          t->local->program->regions.at[region].name, m->name);
}

/* The mesh axes that split a product or one of its operands. */
static bool *axes_of_product(const struct lint *t, const struct local_phase *ph, const struct local_value *v)
{
	bool *used = busy_axes(t);
	mark_layout(t, v, used);
	for (int k = 0; k < v->n_args; k++)
		mark_layout(t, &ph->values.at[v->args[k]], used);
	return used;
}

/* The multiplications of a layer; of_region[axis * regions + region]: those that the ranks along a mesh axis repeat. */
static double sum_repeated(const struct lint *t, int phase, struct repeated *of_region)
{
	const struct local_phase *ph = &t->local->phase[phase];
	int regions = t->local->program->regions.n;
	double all = 0;
	for (int i = 0; i < ph->values.n; i++) {
		const struct local_value *v = &ph->values.at[i];
		if (v->op != LOCAL_OP || !part_is_loop(v->part) || op_of(t, v) != OP_CONTRACT)
			continue;
		double n = products(t, ph, v);
		all += n;
		const bool *used = axes_of_product(t, ph, v);
		for (int axis = 0; axis < t->deploy->mesh.n; axis++) {
			struct repeated *r = &of_region[axis * regions + v->region];
			r->work += used[axis] ? 0 : n;
			if (!used[axis] && n > r->largest)
				*r = (struct repeated){r->work, n, t->local->program->values.at[v->source].span};
		}
	}
	return all;
}

static void find_repeated(const struct lint *t, int phase)
{
	int regions = t->local->program->regions.n;
	struct repeated *of_region = arena_array(t->arena, struct repeated, t->deploy->mesh.n * regions + 1);
	double all = sum_repeated(t, phase, of_region);
	for (int axis = 0; axis < t->deploy->mesh.n; axis++)
		for (int i = 0; i < regions && !t->idle[phase][axis]; i++) {
			const struct repeated *r = &of_region[axis * regions + i];
			if (all > 0 && r->work / all >= WORTH_REPORTING)
				report_repeated(t, phase, axis, i, r, r->work / all);
		}
}

/* ---- replicated caches ----------------------------------------------------------------------- */

/* W0516: no axis of the cache is placed on the mesh axis, so no other size of it would help. */
static void report_unplaced(const struct lint *t, const struct state *s, int axis)
{
	const struct mesh_axis *m = &t->deploy->mesh.at[axis];
	struct diag *d = diag_report(t->sink, DIAG_W0516, m->span, "KV cache has no axis on `%s`: it is stored %lld times",
	                             m->name, (long long)m->size);
	diag_label(t->sink, d, "`%s` = %lld", m->name, (long long)m->size);
	diag_related(t->sink, d, s->span, "no rule places one of its axes on `%s`", m->name);
	diag_note(t->sink, d, "`%s`: each rank along `%s` holds all positions of its sequences", s->path, m->name);
	diag_help(t->sink, d,
	          "split attention by sequences, in all phases: `plan DPAttention`, or `at attn { batch -> ... * %s }`",
	          m->name);
}

/* W0515: the cache is cut into fewer parts than the mesh axis has ranks. */
static void report_copies(const struct lint *t, const struct state *s, int axis, int64_t copies)
{
	const struct mesh_axis *m = &t->deploy->mesh.at[axis];
	struct diag *d = diag_report(t->sink, DIAG_W0515, m->span, "KV cache is replicated over `%s`", m->name);
	diag_label(t->sink, d, "`%s` = %lld", m->name, (long long)m->size);
	diag_related(t->sink, d, s->span, "no axis of `%s` is split over all of `%s`", s->name, m->name);
	diag_note(t->sink, d, "`%s` is stored %lld times: each rank holds %lld times its part", s->path, (long long)copies,
	          (long long)copies);
	if (d->help)
		return;
	struct suggestion values[2];
	int n = deploy_resize(t->deploy, t->arena, axis, m->size / copies, values);
	if (n && diag_check(t->sink, t->deploy->name, DIAG_W0515, values, n) >= 0)
		diag_help(t->sink, d,
		          "`%s = %s%s` replicates nothing; or split attention by sequences, `at attn { batch -> ... * %s }`",
		          m->name, values[0].value, n > 1 ? arena_printf(t->arena, "; dp = %s", values[1].value) : "", m->name);
	else
		diag_help(t->sink, d, "split attention by sequences: `at attn { batch -> ... * %s }`", m->name);
}

static void find_copies(const struct lint *t, const struct state *s)
{
	bool *present = arena_array(t->arena, bool, t->local->atoms.n + 1);
	for (int i = 0; i < s->n_axes; i++) {
		struct atoms a = place_axis(t->local, s->axes[i], s->region, PHASE_ANY, CLASS_CACHE);
		for (int k = 0; k < a.n; k++)
			present[a.at[k]] = true;
	}
	for (int axis = 0; axis < t->deploy->mesh.n; axis++) {
		int64_t copies = 1;
		for (int i = 0; i < t->local->atoms.n; i++)
			if (t->local->atoms.at[i].mesh_axis == axis && !present[i] && !atoms_have(&t->local->stages, i))
				copies *= t->local->atoms.at[i].size;
		if (copies == 1 || t->idle[PHASE_DECODE][axis])
			continue;
		if (copies == t->deploy->mesh.at[axis].size)
			report_unplaced(t, s, axis);
		else
			report_copies(t, s, axis, copies);
	}
}

/* ---- all of it ------------------------------------------------------------------------------- */

void planner_lint(struct arena *arena, struct sink *sink, struct local *l, const struct schedule *s)
{
	struct lint t = {.arena = arena, .sink = sink, .local = l, .deploy = l->deploy, .schedule = s};
	find_idle(&t);
	for (int phase = 0; phase < PHASES; phase++)
		find_repeated(&t, phase);
	for (int i = 0; i < l->program->states.n; i++)
		find_copies(&t, &l->program->states.at[i]);
	if (s)
		lint_step(&t);
	lint_traffic(&t);
}
