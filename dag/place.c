/* Placement: looks up the plan's rules for a region, a phase and a class of tensors (docs/language.md, Plans). */
#include "local.h"
#include "../support/round.h"

int64_t axis_local(const struct local *l, const struct local_value *v, int i)
{
	return divide_up(l->program->axes.at[v->axes[i]].extent, atoms_size(l, &v->layout.axis[i]));
}

/* The span of the mesh axis, among a rule's targets, whose size a refinement set last: the author should change that
 * one. */
static struct span culprit(const struct local *l, const struct rule *r)
{
	if (r->in_deploy)
		return r->target_span;
	for (int i = 0; i < r->n_target; i++)
		if (l->deploy->mesh.at[r->target[i]].size > 1)
			return l->deploy->mesh.at[r->target[i]].span;
	internal_error("the rule splits nothing");
}

static const char *sizes_text(struct local *l, const struct rule *r)
{
	struct text t = {.arena = l->arena};
	for (int i = 0; i < r->n_target; i++)
		text_add(&t, "%s%s", i ? " * " : "", l->deploy->mesh.at[r->target[i]].name);
	text_add(&t, " = ");
	int64_t all = 1;
	for (int i = 0; i < r->n_target; i++)
		all *= l->deploy->mesh.at[r->target[i]].size;
	for (int i = 0; i < r->n_target && r->n_target > 1; i++)
		text_add(&t, "%s%lld", i ? " * " : "", (long long)l->deploy->mesh.at[r->target[i]].size);
	if (r->n_target > 1)
		text_add(&t, " = ");
	text_add(&t, "%lld", (long long)all);
	return t.at;
}

static bool product_fits(const struct local *l, const struct rule *r, int64_t ways)
{
	for (int i = 0; i + 1 < r->n_lhs; i++)
		ways /= common_divisor(l->program->axes.at[r->lhs[i]].extent, ways);
	return l->program->axes.at[r->lhs[r->n_lhs - 1]].extent % ways == 0;
}

/* "1, 2, 4, 8": the ways in which the rule's axes can be cut, up to four times `asked`. */
static const char *ways_that_work(struct local *l, const struct rule *r, int64_t asked)
{
	struct text t = {.arena = l->arena};
	text_add(&t, "1");
	int64_t most = asked > 256 ? 1024 : 4 * asked;
	for (int64_t k = 2; k <= most; k++)
		if (product_fits(l, r, k))
			text_add(&t, ", %lld", (long long)k);
	return t.at;
}

/* Offers the edit that cuts `k` ways instead of `asked`, if changing one mesh axis does it. */
static bool offer_size(struct local *l, struct diag *d, const struct rule *r, int64_t asked, int64_t k)
{
	int only = -1;
	for (int i = 0; i < r->n_target; i++)
		if (l->deploy->mesh.at[r->target[i]].size > 1)
			only = only < 0 ? r->target[i] : l->deploy->mesh.n;
	return only >= 0 && only < l->deploy->mesh.n && l->deploy->mesh.at[only].size == asked
	       && deploy_offer_size(l->deploy, l->sink, d, only, k);
}

/* Offers the largest size that works and divides `asked`. Divisors come in pairs, so the search ends at its root. */
static void offer_ways(struct local *l, struct diag *d, const struct rule *r, int64_t asked)
{
	int64_t k = 2;
	for (; k <= asked / k; k++)
		if (asked % k == 0 && product_fits(l, r, asked / k) && offer_size(l, d, r, asked, asked / k))
			return;
	for (k--; k > 1; k--)
		if (asked % k == 0 && product_fits(l, r, k) && offer_size(l, d, r, asked, k))
			return;
}

static void report_indivisible(struct local *l, const struct rule *r, int axis, int64_t extent, int64_t ways)
{
	const char *name = l->program->axes.at[axis].name;
	struct diag *d = diag_report(l->sink, DIAG_E0503, culprit(l, r), "`%s` (%lld) cannot be split %lld ways", name,
	                             (long long)extent, (long long)ways);
	diag_label(l->sink, d, "%s", sizes_text(l, r));
	diag_related(l->sink, d, r->span, "this rule places `%s`", name);
	diag_related(l->sink, d, l->program->axes.at[axis].span, "`%s` = %lld", name, (long long)extent);
	if (axis == l->program->vocab && l->unpadded >= 0)
		diag_related(l->sink, d, l->program->values.at[l->unpadded].span, "it is not padded because of this `%s`",
		             op_name(l->program->values.at[l->unpadded].op));
	diag_help(l->sink, d, "it can be split %s ways; or drop a mesh axis from the rule", ways_that_work(l, r, ways));
	offer_ways(l, d, r, ways);
}

void report_padded(struct local *l)
{
	int vocab = l->program->vocab;
	for (int i = 0; i < l->program->params.n && vocab >= 0; i++) {
		const struct param *p = &l->program->params.at[i];
		const struct local_value *v = NULL;
		int at = l->phase[PHASE_PREFILL].of_program[p->value];
		if (at >= 0)
			v = &l->phase[PHASE_PREFILL].values.at[at];
		const struct atoms *a = v ? layout_of(v, vocab) : NULL;
		int64_t extent = l->program->axes.at[vocab].extent, ways = a ? atoms_size(l, a) : 1;
		if (extent % ways == 0)
			continue;
		const struct rule *r = deploy_rule(l->deploy, l->sink, vocab, p->region, PHASE_ANY, CLASS_WEIGHT);
		const char *name = l->program->axes.at[vocab].name;
		int64_t padded = round_up(extent, ways), more = padded - extent;
		struct diag *d =
			diag_report(l->sink, DIAG_W0517, culprit(l, r), "`%s` (%lld) is padded to %lld, for %lld ranks", name,
		                (long long)extent, (long long)padded, (long long)ways);
		diag_label(l->sink, d, "%s", sizes_text(l, r));
		diag_related(l->sink, d, r->span, "this rule places `%s`", name);
		diag_note(
			l->sink, d,
			"the last rank stores %lld row%s of zeros in each weight along `%s` (%.2g%% of it); no result changes",
			(long long)more, more == 1 ? "" : "s", name, 100 * (double)more / (double)padded);
		diag_help(l->sink, d, "split %s ways it needs no padding", ways_that_work(l, r, ways));
		return;
	}
}

static void report_product(struct local *l, const struct rule *r, int64_t ways, int64_t left)
{
	struct text names = {.arena = l->arena}, sizes = {.arena = l->arena};
	for (int i = 0; i < r->n_lhs; i++) {
		text_add(&names, "%s%s", i ? " * " : "", l->program->axes.at[r->lhs[i]].name);
		text_add(&sizes, "%s%lld", i ? " * " : "", (long long)l->program->axes.at[r->lhs[i]].extent);
	}
	const char *last = l->program->axes.at[r->lhs[r->n_lhs - 1]].name;
	struct diag *d = diag_report(l->sink, DIAG_E0506, culprit(l, r), "`%s` (%s) cannot fill %s", names.at, sizes.at,
	                             sizes_text(l, r));
	diag_related(l->sink, d, r->span, "this rule fills the mesh axis from the left");
	diag_note(l->sink, d, "%lld is left for `%s`, which it does not divide", (long long)left, last);
	diag_help(l->sink, d, "they can be split %s ways", ways_that_work(l, r, ways));
	offer_ways(l, d, r, ways);
}

/* Adds the atoms of a target that are between `from` and `to` ranks from its major side. */
static void atoms_between(struct local *l, const struct rule *r, int64_t from, int64_t to, struct atoms *out)
{
	int64_t at = 1;
	for (int i = 0; i < r->n_target; i++)
		for (int k = 0; k < l->atoms.n; k++) {
			if (l->atoms.at[k].mesh_axis != r->target[i])
				continue;
			if (at >= from && at * l->atoms.at[k].size <= to)
				atoms_add(out, k);
			at *= l->atoms.at[k].size;
		}
}

static struct atoms place_by_rule(struct local *l, const struct rule *r, int axis)
{
	struct atoms out = {.n = 0};
	int64_t ways = 1, taken = 1, left, mine;
	for (int i = 0; i < r->n_target; i++)
		ways *= l->deploy->mesh.at[r->target[i]].size;
	left = mine = ways;
	for (int i = 0; i < r->n_lhs; i++) {
		int64_t extent = l->program->axes.at[r->lhs[i]].extent;
		bool last = i + 1 == r->n_lhs;
		mine = last || !extent ? left : common_divisor(extent, left);
		if (last && i && extent % mine) {
			report_product(l, r, ways, left);
			return out;
		}
		if (r->lhs[i] == axis)
			break;
		left /= mine;
		taken *= mine;
	}
	int64_t extent = l->program->axes.at[axis].extent;
	if (extent && extent % mine && !(r->n_lhs == 1 && may_pad(l, axis, mine)))
		report_indivisible(l, r, axis, extent, mine);
	else
		atoms_between(l, r, taken, taken * mine, &out);
	return out;
}

bool is_token_axis(const struct program *p, int axis) { return axis == p->batch || axis == p->seq || axis == p->row; }

struct atoms place_axis(struct local *l, int axis, int region, int phase, int klass)
{
	const struct axis *a = &l->program->axes.at[axis];
	struct atoms out = {.n = 0};
	if (a->kind == AXIS_RAGGED && l->program->axes.at[a->of].extent) {
		/* slots: the atoms of their tokens, except those of the experts */
		struct atoms experts = place_axis(l, a->of, region, phase, klass);
		const int token_axes[2] = {l->program->batch, a->tokens};
		for (int i = 0; i < 2; i++) {
			struct atoms t = token_axes[i] < 0 ? out : place_axis(l, token_axes[i], region, phase, klass);
			for (int k = 0; token_axes[i] >= 0 && k < t.n; k++)
				if (!atoms_have(&experts, t.at[k]) && !atoms_have(&out, t.at[k]))
					atoms_add(&out, t.at[k]);
		}
		return out;
	}
	const struct rule *r = deploy_rule(l->deploy, l->sink, axis, region, phase, klass);
	return r && r->n_target ? place_by_rule(l, r, axis) : out;
}

enum { MAX_OPS = 3 }; /* max operators in a report of two rules; the rest of a region repeats it */

static void report_shared_atom(struct local *l, int a, int b, int atom, int region, int phase, int klass,
                               const char *what, struct span at)
{
	const struct program *p = l->program;
	const struct rule *ra = deploy_rule(l->deploy, l->sink, a, region, phase, klass),
					  *rb = deploy_rule(l->deploy, l->sink, b, region, phase, klass);
	if (rb && ra && !rb->in_deploy && ra->in_deploy) {
		const struct rule *r = ra;
		int axis = a;
		ra = rb, rb = r, a = b, b = axis;
	}
	struct diag *d = diag_report(l->sink, DIAG_E0501,
	                             rb   ? rb->span
	                             : ra ? culprit(l, ra)
	                                  : at,
	                             "`%s` and `%s` both use mesh axis `%s` in one op", p->axes.at[a].name,
	                             p->axes.at[b].name, l->deploy->mesh.at[l->atoms.at[atom].mesh_axis].name);
	if (ra)
		diag_related(l->sink, d, ra->span, "`%s` is placed here", p->axes.at[a].name);
	if (d->related.n < MAX_OPS)
		diag_related(l->sink, d, at, "%s in region `%s`%s%s", what, p->regions.at[region].name,
		             phase >= 0 ? ", phase " : "", phase >= 0 ? phase_name(phase) : "");
	diag_help(l->sink, d,
	          "a mesh axis can split one axis per op: scope one of the rules, for instance `at residual { ... }`");
}

int64_t owners_held(const struct local *l, const struct atoms *batch, int *n)
{
	int64_t held = atoms_size(l, &l->owners);
	for (*n = 0; *n < batch->n && held % l->atoms.at[batch->at[*n]].size == 0; ++*n)
		held /= l->atoms.at[batch->at[*n]].size;
	return held;
}

/* `batch` keeps the atoms that divide the owners. The others cut each owner's tokens, in front of the atoms of `seq` or
 * `row`. */
static void make_canonical(struct local *l, const int *axes, int n, struct layout *out)
{
	int batch = -1, tokens = -1, keep;
	for (int i = 0; i < n; i++) {
		if (axes[i] == l->program->batch)
			batch = i;
		if (axes[i] == l->program->seq || axes[i] == l->program->row)
			tokens = i;
	}
	if (batch < 0)
		return;
	struct atoms *b = &out->axis[batch], moved = {.n = 0};
	owners_held(l, b, &keep);
	for (int i = keep; i < b->n; i++)
		atoms_add(&moved, b->at[i]);
	b->n = keep;
	for (int i = 0; tokens >= 0 && i < out->axis[tokens].n; i++)
		atoms_add(&moved, out->axis[tokens].at[i]);
	if (tokens >= 0)
		out->axis[tokens] = moved;
}

/* Has this rule been reported? Every tensor of its region checks it, but one diagnostic is enough. */
static bool already_reported(const struct local *l, enum diag_code code, struct span rule)
{
	for (int i = 0; i < l->sink->diags.n; i++) {
		const struct diag *d = l->sink->diags.at[i];
		if (d->code == code && d->at.file == rule.file && d->at.lo == rule.lo && d->at.hi == rule.hi)
			return true;
	}
	return false;
}

/* The rule that makes stages, or NULL: of the axis of the loop; of several loops, of `layers`, which all are cut by. */
static const struct rule *stages_rule(struct local *l)
{
	const struct program *p = l->program;
	int axis = p->loops.n == 1 ? p->loops.at[0].axis : p->layers;
	return p->loops.n && axis >= 0 ? deploy_rule(l->deploy, l->sink, axis, 0, PHASE_ANY, CLASS_ACTIVATION) : NULL;
}

/* In a collective over stages, ranks of one stage would wait for ranks of another. Reports each rule that needs one
 * once. */
static void report_stage_atom(struct local *l, int axis, int region, int phase, int klass, const char *what,
                              struct span at)
{
	const struct rule *r = deploy_rule(l->deploy, l->sink, axis, region, phase, klass);
	const char *name = l->program->axes.at[axis].name;
	bool layers = axis == l->program->layers;
	struct span place = r && !layers ? r->span : at;
	if (!r || already_reported(l, DIAG_E0903, place))
		return;
	struct diag *d =
		diag_report(l->sink, DIAG_E0903, place, "`%s` of %s would be cut over the stages of the pipeline", name, what);
	diag_related(l->sink, d, layers ? r->span : at, layers ? "this rule places `layers`" : "a stage has it by itself");
	if (layers) {
		diag_help(l->sink, d,
		          "an axis of a tensor is not the loop's: declare another of the same extent, which no rule places on "
		          "the stages");
		return;
	}
	const struct rule *cut = stages_rule(l);
	if (cut)
		diag_related(l->sink, d, cut->span, "these ranks are stages");
	diag_help(l->sink, d, "place `%s` on another mesh axis", name);
}

struct layout place_axes(struct local *l, const int *axes, int n, const int *whole, int n_whole, int region, int phase,
                         int klass, const char *what, struct span at)
{
	struct layout out = {.axis = arena_array(l->arena, struct atoms, n + 1)};
	int *user = arena_array(l->arena, int, l->atoms.n + 1);
	for (int i = 0; i < l->atoms.n; i++)
		user[i] = -1;
	for (int i = 0; i < n; i++) {
		bool skip = false;
		for (int k = 0; k < n_whole; k++)
			skip |= whole[k] == axes[i];
		if (skip)
			continue;
		struct atoms a = place_axis(l, axes[i], region, phase, klass);
		for (int k = 0; k < a.n; k++) {
			if (atoms_have(&l->stages, a.at[k])) {
				report_stage_atom(l, axes[i], region, phase, klass, what, at);
				continue;
			}
			if (user[a.at[k]] >= 0) {
				report_shared_atom(l, user[a.at[k]], axes[i], a.at[k], region, phase, klass, what, at);
				continue;
			}
			user[a.at[k]] = axes[i];
			atoms_add(&out.axis[i], a.at[k]);
		}
	}
	make_canonical(l, axes, n, &out);
	return out;
}

/* Appends the atoms of a rule of a class on an axis, but for those that the tensor has. */
static void add_stored(struct local *l, const struct param *p, int axis, int klass, struct layout *out, bool *used)
{
	const struct rule *r = deploy_rule(l->deploy, l->sink, p->axes[axis], p->region, PHASE_ANY, klass);
	struct atoms a = {.n = 0};
	if (r && r->klass == klass && r->n_target)
		a = place_by_rule(l, r, p->axes[axis]);
	for (int i = 0; i < a.n; i++) {
		if (used[a.at[i]] || atoms_have(&l->stages, a.at[i]))
			continue;
		used[a.at[i]] = true;
		atoms_add(&out->axis[axis], a.at[i]);
	}
}

struct layout place_stored(struct local *l, const struct param *p, int klass)
{
	static const int classes[] = {CLASS_WEIGHT, CLASS_GRADIENT, CLASS_OPTIMIZER};
	struct layout out = place_axes(l, p->axes, p->n_axes, NULL, 0, p->region, PHASE_ANY, CLASS_ACTIVATION,
	                               arena_printf(l->arena, "parameter %s", p->name), p->span);
	bool *used = arena_array(l->arena, bool, l->atoms.n + 1);
	for (int i = 0; i < p->n_axes; i++)
		for (int k = 0; k < out.axis[i].n; k++)
			used[out.axis[i].at[k]] = true;
	for (int c = 0; c < 3; c++) {
		for (int i = 0; i < p->n_axes; i++)
			add_stored(l, p, i, classes[c], &out, used);
		if (classes[c] == klass)
			break;
	}
	return out;
}

/* A tensor that stays in place between steps has one layout in all phases. */
static bool fixed_layout(struct local *l, const int *axes, int n, int region, int klass, enum diag_code code,
                         const char *what, const char *name)
{
	bool ok = true;
	for (int i = 0; i < n; i++) {
		struct atoms always = place_axis(l, axes[i], region, PHASE_ANY, klass);
		for (int phase = 0; phase < PHASES; phase++) {
			struct atoms then = place_axis(l, axes[i], region, phase, klass);
			if (atoms_equal(&always, &then))
				continue;
			const struct rule *r = deploy_rule(l->deploy, l->sink, axes[i], region, phase, klass);
			const struct rule *base = deploy_rule(l->deploy, l->sink, axes[i], region, PHASE_ANY, klass);
			if (r)
				ok = false;
			if (!r || already_reported(l, DIAG_E0509, r->span) || already_reported(l, DIAG_E0510, r->span))
				continue;
			struct diag *d = diag_report(l->sink, code, r->span,
			                             "%s `%s` has one layout in all phases: `%s` is placed otherwise in %s", what,
			                             name, l->program->axes.at[axes[i]].name, phase_name(phase));
			if (base)
				diag_related(l->sink, d, base->span, "in all phases it is placed by this rule");
			diag_help(l->sink, d,
			          klass == CLASS_CACHE
			              ? "a cache does not move between programs: place the axis the same way in all phases"
			              : "move the rule out of `phase`");
		}
	}
	return ok;
}

/* Number of neighbouring elements of a stored dimension that a rank has when `ways` ranks split one of its axes: the
 * rank's part of the axis times the elements within one index of the axis. */
static int64_t run_of(const struct local *l, const struct param *p, int axis, int dim, int64_t ways)
{
	int64_t behind = p->stored.stride[axis];
	for (int i = dim + 1; i < p->stored.n_dims; i++)
		behind /= p->stored.dim[i];
	return divide_up(l->program->axes.at[p->axes[axis]].extent, ways) * behind;
}

/* The dimension of the stored tensor that contains an axis of the param. */
static int dim_of(const struct param *p, int axis)
{
	int64_t unit = 1;
	int dim = p->stored.n_dims;
	while (dim > 0 && p->stored.stride[axis] >= unit)
		unit *= p->stored.dim[--dim];
	return dim;
}

static void report_cut_block(struct local *l, const struct param *p, const struct rule *r, int axis, int dim,
                             int64_t ways)
{
	const struct axis *a = &l->program->axes.at[p->axes[axis]];
	int64_t block = p->stored.block[dim];
	struct text work = {.arena = l->arena};
	int64_t instead = 0;
	for (int64_t k = 1; k <= 4 * ways; k++) {
		if (a->extent % k || run_of(l, p, axis, dim, k) % block)
			continue;
		text_add(&work, "%s%lld", work.n ? ", " : "", (long long)k);
		if (k < ways && ways % k == 0 && product_fits(l, r, k))
			instead = k;
	}
	struct diag *d =
		diag_report(l->sink, DIAG_E0508, culprit(l, r), "splitting `%s` %lld ways cuts a scale block of %lld", a->name,
	                (long long)ways, (long long)block);
	if (!d->related.n) {
		diag_label(l->sink, d, "%s", sizes_text(l, r));
		diag_related(l->sink, d, r->span, "this rule places `%s`", a->name);
		diag_note(l->sink, d, "a rank has %lld neighbouring elements of the stored dimension, %lld share a scale",
		          (long long)run_of(l, p, axis, dim, ways), (long long)block);
	}
	diag_related(l->sink, d, p->span, "`%s` is stored with a scale for each block", p->name);
	diag_help(l->sink, d, "%s",
	          work.n ? arena_printf(l->arena, "it can be split %s ways", work.at) : "no split keeps blocks whole");
	if (instead > 1)
		offer_size(l, d, r, ways, instead);
}

/* Checks that elements sharing a scale are on one rank. */
static void check_blocks(struct local *l, const struct param *p)
{
	for (int i = 0; i < p->n_axes && p->stored.n_dims; i++) {
		struct atoms a = place_axis(l, p->axes[i], p->region, PHASE_ANY, CLASS_WEIGHT);
		int64_t ways = atoms_size(l, &a);
		int dim = dim_of(p, i);
		const struct rule *r = deploy_rule(l->deploy, l->sink, p->axes[i], p->region, PHASE_ANY, CLASS_WEIGHT);
		if (ways > 1 && p->stored.stride[i] && p->stored.block[dim] && r
		    && run_of(l, p, i, dim, ways) % p->stored.block[dim])
			report_cut_block(l, p, r, i, dim, ways);
	}
}

bool place_fixed(struct local *l)
{
	const struct program *p = l->program;
	bool ok = true;
	for (int i = 0; i < p->params.n; i++) {
		ok &= fixed_layout(l, p->params.at[i].axes, p->params.at[i].n_axes, p->params.at[i].region, CLASS_WEIGHT,
		                   DIAG_E0509, "parameter", p->params.at[i].name);
		check_blocks(l, &p->params.at[i]);
	}
	for (int i = 0; i < p->states.n; i++)
		ok &= fixed_layout(l, p->states.at[i].axes, p->states.at[i].n_axes, p->states.at[i].region, CLASS_CACHE,
		                   DIAG_E0510, "state", p->states.at[i].name);
	return ok;
}

/* The owners are those of the state that divides `batch` the most. */
void place_owners(struct local *l)
{
	const struct program *p = l->program;
	if (!p->states.n)
		l->owners = place_axis(l, p->batch, 0, PHASE_ANY, CLASS_ACTIVATION);
	for (int i = 0; i < p->states.n; i++) {
		struct atoms a = place_axis(l, p->batch, p->states.at[i].region, PHASE_ANY, CLASS_CACHE);
		if (atoms_size(l, &a) > atoms_size(l, &l->owners))
			l->owners = a;
	}
}

static const char *even_stages(struct local *l, int64_t layers, int64_t stages)
{
	struct text t = {.arena = l->arena};
	for (int64_t i = 0; i < stages; i++)
		text_add(&t, "%s%lld", i ? ", " : "", (long long)(layers / stages + (i < layers % stages)));
	return t.at;
}

bool offer_stages(struct local *l, struct diag *g, const char *stages, const char *why)
{
	const struct deploy *d = l->deploy;
	const struct rule *r = stages_rule(l);
	const struct mesh_axis *m = r && r->n_target == 1 ? &d->mesh.at[r->target[0]] : NULL;
	struct suggestion value = {"plan.pipeline.stages", arena_printf(l->arena, "[%s]", stages)};
	if (diag_check(l->sink, d->name, g->code, &value, 1) < 0)
		return false;
	diag_help(l->sink, g, "`pipeline { stages = [%s] }`%s", stages, why);
	if (d->n_stages && d->stages_set.lo < d->stages_set.hi)
		diag_fix(l->sink, g, d->stages_set, arena_printf(l->arena, "stages = [%s]", stages));
	else if (!d->n_stages && m && m->set.lo < m->set.hi)
		diag_fix(l->sink, g, m->set,
		         arena_printf(l->arena, "%s = %lld; pipeline { stages = [%s] }", m->name, (long long)m->size, stages));
	return true;
}

/* Interleaved stages take as many microbatches at a time as there are stages (Narayanan et al., arXiv 2104.04473,
 * 2.2). */
static bool check_rounds(struct local *l, int64_t stages)
{
	const struct deploy *d = l->deploy;
	if (pipeline_fits(&(struct pipeline){d->order, stages, d->microbatches, 1, false}))
		return true;
	int64_t enough = (d->microbatches / stages + 1) * stages;
	bool set = d->microbatches_set.lo < d->microbatches_set.hi;
	struct diag *g = diag_report(l->sink, DIAG_E0902, set ? d->microbatches_span : d->schedule_span,
	                             "interleaved stages need a multiple of %lld microbatches, found %lld",
	                             (long long)stages, (long long)d->microbatches);
	diag_related(l->sink, g, d->schedule_span, "the schedule takes %lld microbatches at a time, one for each stage",
	             (long long)stages);
	const char *edit = arena_printf(l->arena, "microbatches = %lld", (long long)enough);
	struct suggestion value = {"plan.pipeline.microbatches", arena_printf(l->arena, "%lld", (long long)enough)};
	if (diag_check(l->sink, d->name, DIAG_E0902, &value, 1) < 0)
		return false;
	diag_help(l->sink, g, "`%s`", edit);
	if (set)
		diag_fix(l->sink, g, d->microbatches_set, edit);
	return false;
}

int stage_of_layer(const struct local *l, int64_t layer)
{
	int stage = 0;
	while (layer >= l->stage_layers.at[stage])
		layer -= l->stage_layers.at[stage++];
	return stage;
}

/* Sets the stages that run each part: what lies between two loops runs where the second begins. */
static void place_parts(struct local *l)
{
	const struct program *p = l->program;
	int stages = l->stage_layers.n;
	vec_push(l->arena, &l->parts, ((struct stage_range){0, stages}));
	for (int i = 0; i < p->loops.n; i++) {
		const struct loop *loop = &p->loops.at[i];
		int first = stage_of_layer(l, loop->first_turn), last = stage_of_layer(l, loop->first_turn + loop->turns - 1);
		vec_push(l->arena, &l->parts, ((struct stage_range){first, first + 1}));
		vec_push(l->arena, &l->parts, ((struct stage_range){first, last + 1}));
	}
	vec_push(l->arena, &l->parts, ((struct stage_range){stages - 1, stages}));
}

/* Each stage holds `virtual` pieces of equally many layers. */
static bool check_chunks(struct local *l, int64_t stages)
{
	const struct deploy *d = l->deploy;
	int64_t layers = l->program->body_of.n, pieces = stages * d->chunks;
	bool fits = layers % pieces == 0;
	for (int i = 0; i < d->n_stages; i++)
		fits = (i ? fits : true) && d->stages[i] % d->chunks == 0;
	if (fits || d->chunks == 1)
		return true;
	struct diag *g =
		diag_report(l->sink, DIAG_E0901, d->schedule_span,
	                "%lld layers cannot be cut into %lld even pieces: `virtual` = %lld for each of %lld stages",
	                (long long)layers, (long long)pieces, (long long)d->chunks, (long long)stages);
	diag_help(l->sink, g,
	          "interleaved stages hold `virtual` pieces each: choose a number that divides the layers of every stage");
	return false;
}

bool place_stages(struct local *l)
{
	const struct deploy *d = l->deploy;
	const struct rule *r = stages_rule(l);
	int64_t layers = l->program->body_of.n, sum = 0, stages = 1;
	for (int i = 0; r && i < r->n_target; i++)
		stages *= d->mesh.at[r->target[i]].size;
	if (r)
		atoms_between(l, r, 1, stages, &l->stages);
	for (int i = 0; i < d->n_stages; i++)
		sum += d->stages[i];
	if (!check_chunks(l, stages))
		return false;
	if (d->n_stages ? d->n_stages != stages || sum != layers : layers % stages != 0) {
		struct span at = d->n_stages ? d->stages_span : culprit(l, r);
		struct diag *g =
			d->n_stages
				? diag_report(l->sink, DIAG_E0901, at,
		                      "the %d listed stages have %lld layers: they do not cut %lld layers into %lld stage%s",
		                      d->n_stages, (long long)sum, (long long)layers, (long long)stages, stages == 1 ? "" : "s")
				: diag_report(l->sink, DIAG_E0901, at, "%lld layers cannot be cut into %lld even stages",
		                      (long long)layers, (long long)stages);
		for (int i = 0; i < l->program->loops.n; i++)
			diag_related(l->sink, g, l->program->axes.at[l->program->loops.at[i].axis].span, "%lld layers",
			             (long long)l->program->loops.at[i].turns);
		if (stages <= layers && stages <= MAX_LISTED)
			offer_stages(l, g, even_stages(l, layers, stages), "");
		return false;
	}
	for (int64_t i = 0; i < stages; i++)
		vec_push(l->arena, &l->stage_layers, d->n_stages ? d->stages[i] : layers / stages);
	place_parts(l);
	return check_rounds(l, stages);
}
