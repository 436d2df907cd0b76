/* The mesh of a deployment, compared with its devices and the levels of its cluster. */
#include "deploy.h"
#include <string.h>

static int64_t times(int64_t a, int64_t b)
{
	int64_t product;
	return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

static const struct mesh_axis *mesh_axis(const struct deploy *d, const char *name)
{
	for (int i = 0; i < d->mesh.n; i++)
		if (!strcmp(d->mesh.at[i].name, name))
			return &d->mesh.at[i];
	return NULL;
}

static int64_t mesh_size(const struct deploy *d, const char *name)
{
	const struct mesh_axis *m = mesh_axis(d, name);
	return m ? m->size : 1;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Records the level's name after `within` as a reference. */
static void refer_level(struct deployment *c, const struct path *level)
{
	struct ident name = level->at[level->n - 1];
	const struct field *f = record_field(c->cluster, name.name);
	if (f && f->sort == FIELD_ELEMENT)
		refer_field(c->sema, name, f);
}

static void read_mesh(struct deployment *c)
{
	struct deploy *d = c->deploy;
	for (int i = 0; i < c->plan->fields.n; i++) {
		const struct field *f = c->plan->fields.at[i];
		if (f->sort != FIELD_MESH)
			continue;
		struct mesh_axis m = {.name = f->name, .size = 1, .span = field_where(f), .set = field_item(f)};
		m.open = !deployment_int(c, c->plan, f->name, 1, &m.size);
		d->known &= !m.open;
		if (f->place && f->place->kind != PLACE_NONE && f->place->level.n) {
			m.place = f->place->kind;
			m.level = f->place->level.at[f->place->level.n - 1].name;
			m.place_span = f->place->span;
			refer_level(c, &f->place->level);
		}
		vec_push(c->sema->arena, &d->mesh, m);
	}
}

/* ---- ranks ----------------------------------------------------------------------------------- */

/* The span to change: the user's refinement of the largest mesh axis, else the deployment's plan. */
static struct span mesh_where(const struct deployment *c)
{
	const struct mesh_axis *largest = NULL;
	for (int i = 0; i < c->deploy->mesh.n; i++) {
		const struct mesh_axis *m = &c->deploy->mesh.at[i];
		const struct field *f = record_field(c->plan, m->name);
		bool users = f->sets.n && !f->sets.at[f->sets.n - 1].layer->module->is_std;
		if (users && (!largest || m->size > largest->size))
			largest = m;
	}
	return largest ? largest->span : field_where(record_field(c->self, "plan"));
}

/* "dp 4 * tp 8": the axes other than 1, except the one named `but`. */
static const char *factors(const struct deployment *c, const char *but)
{
	struct text t = {.arena = c->sema->arena};
	for (int i = 0; i < c->deploy->mesh.n; i++) {
		const struct mesh_axis *m = &c->deploy->mesh.at[i];
		if (m->size > 1 && (!but || strcmp(m->name, but)))
			text_add(&t, "%s%s %lld", t.n ? " * " : "", m->name, (long long)m->size);
	}
	return t.n ? t.at : "1";
}

/* The mesh axes for experts if `ep` is not an axis of its own; NULL: no product of axes is `ep`. */
static const char *experts_without_ep(int64_t ep, int64_t dp, int64_t tp)
{
	return ep == tp ? "tp" : ep == dp ? "dp" : ep == times(dp, tp) ? "dp * tp" : NULL;
}

/* Explains the folded reading of `ep`: experts on the ranks that the data and tensor axes already form. */
static void explain_folded(struct deployment *c, struct diag *diag, int64_t ranks)
{
	struct sink *sink = c->sema->sink;
	const struct deploy *d = c->deploy;
	int64_t ep = mesh_size(d, "ep"), dp = mesh_size(d, "dp"), tp = mesh_size(d, "tp");
	int64_t folded = ranks / ep, others = folded / dp;
	diag_note(sink, diag,
	          "read with ep folded into the data and tensor ranks, %s = %lld; ep %lld must then divide dp * tp = %lld",
	          factors(c, "ep"), (long long)folded, (long long)ep, (long long)times(dp, tp));
	const char *experts = experts_without_ep(ep, dp, tp);
	if (folded == d->gpus && experts)
		diag_help(sink, diag,
		          "that fills the deployment: leave out `ep` and place the experts on the existing ranks, "
		          "`at moe { expert -> %s%s }`",
		          experts, strstr(experts, "tp") ? "; expert_ffn -> none" : "");
	else if (folded == d->gpus)
		diag_help(sink, diag, "that fills the deployment: leave out `ep` and place the experts on the existing ranks");
	else if (d->gpus % others == 0)
		diag_help(sink, diag, "to fill %lld ranks, choose dp * ep = %lld", (long long)d->gpus,
		          (long long)(d->gpus / others));
}

/* `dp` if it is 1 by default; it changes no layout of weights. -1: it is set, or missing. */
static int spare_axis(const struct deploy *d)
{
	for (int i = 0; i < d->mesh.n; i++)
		if (!strcmp(d->mesh.at[i].name, "dp") && d->mesh.at[i].size == 1
		    && d->mesh.at[i].set.lo == d->mesh.at[i].set.hi)
			return i;
	return -1;
}

int deploy_resize(const struct deploy *d, struct arena *a, int mesh_axis, int64_t size, struct suggestion out[2])
{
	const struct mesh_axis *m = &d->mesh.at[mesh_axis];
	int64_t left = size >= 1 && m->size % size == 0 ? m->size / size : 0;
	if (left < 1 || (left > 1 && spare_axis(d) < 0))
		return 0;
	out[0] = (struct suggestion){arena_printf(a, "plan.%s", m->name), arena_printf(a, "%lld", (long long)size)};
	out[1] = (struct suggestion){"plan.dp", arena_printf(a, "%lld", (long long)left)};
	return left > 1 ? 2 : 1;
}

bool deploy_offer_size(const struct deploy *d, struct sink *sink, struct diag *diag, int mesh_axis, int64_t size)
{
	const struct mesh_axis *m = &d->mesh.at[mesh_axis];
	struct suggestion values[2];
	int n = deploy_resize(d, sink->arena, mesh_axis, size, values);
	if (!n || diag_check(sink, d->name, diag->code, values, n) < 0)
		return false;
	const char *text = arena_printf(sink->arena, "%s = %s", m->name, values[0].value);
	if (m->set.lo < m->set.hi)
		diag_fix(sink, diag, m->set, n > 1 ? arena_printf(sink->arena, "dp = %s; %s", values[1].value, text) : text);
	return true;
}

/* Offers `name = size`: in place of what sets it, before another axis, or as the refinement of a bare plan. */
static void offer_fill(struct deployment *c, struct diag *diag, const struct mesh_axis *pick, int64_t size)
{
	struct sink *sink = c->sema->sink;
	const char *text = arena_printf(sink->arena, "%s = %lld", pick->name, (long long)size);
	const struct field_set *plan = NULL;
	const struct field *f = record_field(c->self, "plan");
	for (int i = 0; i < f->sets.n; i++)
		plan = &f->sets.at[i];
	for (int i = 0; i < c->deploy->mesh.n; i++)
		if (c->deploy->mesh.at[i].set.lo < c->deploy->mesh.at[i].set.hi) {
			struct span at = c->deploy->mesh.at[i].set;
			at.hi = at.lo;
			diag_fix(sink, diag, pick->set.lo < pick->set.hi ? pick->set : at,
			         pick->set.lo < pick->set.hi ? text : arena_printf(sink->arena, "%s; ", text));
			return;
		}
	if (plan && plan->value && plan->value->kind == N_ID && !plan->layer->module->is_std) {
		struct span end = plan->value->span;
		end.lo = end.hi;
		diag_fix(sink, diag, end, arena_printf(sink->arena, " { %s }", text));
	}
}

/* Suggests one axis whose resizing makes the product fit while all else holds. `dp` first: it changes no layout of
 * weights. */
static void suggest_size(struct deployment *c, struct diag *diag, int64_t ranks)
{
	const struct deploy *d = c->deploy;
	struct sink *sink = c->sema->sink;
	for (int i = -1; i < d->mesh.n; i++) {
		const struct mesh_axis *pick = i < 0 ? mesh_axis(d, "dp") : &d->mesh.at[i];
		if (!pick || ranks == INT64_MAX || d->gpus % (ranks / pick->size))
			continue;
		int64_t size = d->gpus / (ranks / pick->size);
		struct suggestion value = {arena_printf(sink->arena, "plan.%s", pick->name),
		                           arena_printf(sink->arena, "%lld", (long long)size)};
		if (diag_check(sink, d->name, DIAG_E0601, &value, 1) < 0)
			continue;
		diag_help(sink, diag, "`%s = %lld` fills %lld", pick->name, (long long)size, (long long)d->gpus);
		offer_fill(c, diag, pick, size);
		return;
	}
	diag_help(sink, diag, "choose sizes whose product is %lld", (long long)d->gpus);
}

static void check_ranks(struct deployment *c)
{
	const struct deploy *d = c->deploy;
	int64_t ranks = 1;
	for (int i = 0; i < d->mesh.n; i++)
		ranks = times(ranks, d->mesh.at[i].size);
	if (ranks == d->gpus)
		return;
	struct diag *diag =
		deployment_report(c, DIAG_E0601, mesh_where(c), "mesh needs %lld rank%s, the deployment has %lld",
	                      (long long)ranks, ranks == 1 ? "" : "s", (long long)d->gpus);
	const struct field *gpus = record_field(c->self, "gpus");
	diag_related(c->sema->sink, diag, gpus->sets.n ? field_where(gpus) : d->machine.span, "%lld devices",
	             (long long)d->gpus);
	bool experts = mesh_size(d, "ep") > 1;
	if (ranks == 1)
		diag_note(c->sema->sink, diag, "every axis of the mesh is 1");
	else
		diag_note(c->sema->sink, diag, "%s%s = %lld",
		          experts ? "read as independent axes, " : "the product of the mesh is ", factors(c, NULL),
		          (long long)ranks);
	if (experts)
		explain_folded(c, diag, ranks);
	else
		suggest_size(c, diag, ranks);
}

/* A deployment cannot have more devices than its cluster; it may have fewer. false: reported. */
static bool check_devices(struct deployment *c)
{
	const struct deploy *d = c->deploy;
	const struct machine *m = &d->machine;
	if (!m->devices || d->gpus <= m->devices)
		return true;
	struct diag *diag = deployment_report(c, DIAG_E0601, field_where(record_field(c->self, "gpus")),
	                                      "the deployment has %lld devices, its cluster %lld", (long long)d->gpus,
	                                      (long long)m->devices);
	diag_related(c->sema->sink, diag, m->span, "%lld devices", (long long)m->devices);
	diag_help(c->sema->sink, diag, "leave `gpus` out to take all of the cluster, or make the cluster larger");
	return false;
}

/* ---- levels ---------------------------------------------------------------------------------- */

/* The index of a level; -1: the cluster has none of that name. */
static int find_level(const struct machine *m, const char *name)
{
	for (int i = 0; i < m->levels.n; i++)
		if (!strcmp(m->levels.at[i].name, name))
			return i;
	return -1;
}

static void unknown_level(struct deployment *c, const struct mesh_axis *m)
{
	struct sema *s = c->sema;
	int n = c->deploy->machine.levels.n;
	const char **names = arena_array(s->arena, const char *, n + 1);
	struct text all = {.arena = s->arena};
	for (int i = 0; i < n; i++) {
		names[i] = c->deploy->machine.levels.at[i].name;
		text_add(&all, "%s%s", i ? ", " : "", names[i]);
	}
	struct diag *diag = deployment_report(c, DIAG_E0606, m->place_span, "cluster `%s` has no level `%s`",
	                                      c->deploy->machine.name, m->level);
	diag_note(s->sink, diag, "levels from the inside out: %s", n ? all.at : "none");
	struct span level = {m->place_span.file, m->place_span.hi - (uint32_t)strlen(m->level), m->place_span.hi};
	diag_suggest(s->sink, diag, level, nearest_name(m->level, names, n));
}

bool deploy_inside(const struct deploy *d, int64_t reach, int64_t devices)
{
	return d->gpus <= devices || (reach <= devices && devices % reach == 0);
}

/* Suggests the largest size that stays within the level and passes all checks, with `dp` set to what that leaves of the
 * ranks; if there is none, explains which sizes fit. */
static void suggest_inside(struct deployment *c, struct diag *diag, const struct mesh_axis *m, int64_t stride,
                           int64_t devices)
{
	struct sink *sink = c->sema->sink;
	int axis = (int)(m - c->deploy->mesh.at);
	for (int64_t size = devices / stride; size >= 1; size--)
		if (m->size % size == 0 && devices % (stride * size) == 0
		    && deploy_offer_size(c->deploy, sink, diag, axis, size)) {
			const char *rest =
				m->size > size ? arena_printf(sink->arena, " with `dp = %lld`", (long long)(m->size / size)) : "";
			diag_help(sink, diag, "`%s = %lld`%s stays inside", m->name, (long long)size, rest);
			return;
		}
	diag_help(sink, diag, "an axis stays inside when its size times the sizes listed after it divides %lld",
	          (long long)devices);
}

/* `within`: ranks that differ only along the axis are in one unit; `across`: they are not. stride: product of the axes
 * listed after it. */
static void check_place(struct deployment *c, const struct mesh_axis *m, int level, int64_t stride)
{
	struct sink *sink = c->sema->sink;
	int64_t devices = machine_unit(&c->deploy->machine, level), reach = times(stride, m->size);
	bool inside = deploy_inside(c->deploy, reach, devices);
	if (!devices || m->size == 1 || inside == (m->place == PLACE_WITHIN))
		return;
	struct diag *diag;
	if (m->place == PLACE_WITHIN)
		diag = deployment_report(c, DIAG_E0602, m->span, "`%s = %lld within %s` leaves the level", m->name,
		                         (long long)m->size, m->level);
	else
		diag = deployment_report(c, DIAG_E0602, m->span, "`%s = %lld across %s` stays inside one unit of the level",
		                         m->name, (long long)m->size, m->level);
	diag_related(sink, diag, m->place_span, "promised here");
	diag_note(sink, diag,
	          "stride %lld (the product of the axes after it) times size %lld is %lld; a `%s` has %lld devices",
	          (long long)stride, (long long)m->size, (long long)reach, m->level, (long long)devices);
	if (m->place == PLACE_WITHIN)
		suggest_inside(c, diag, m, stride, devices);
}

static void check_places(struct deployment *c)
{
	const struct deploy *d = c->deploy;
	int64_t stride = 1;
	for (int i = d->mesh.n - 1; i >= 0; i--) {
		const struct mesh_axis *m = &d->mesh.at[i];
		int level = m->place != PLACE_NONE ? find_level(&d->machine, m->level) : -1;
		if (level >= 0)
			check_place(c, m, level, stride);
		else if (m->place != PLACE_NONE && record_field(c->plan, m->name)->place_in_deploy)
			unknown_level(c, m);
		stride = times(stride, m->size);
	}
}

void deployment_mesh(struct deployment *c)
{
	c->deploy->known = true;
	read_mesh(c);
	/* A device count computed from a wrong level is not a second mistake. */
	if (c->bad || !deployment_int(c, c->self, "gpus", 1, &c->deploy->gpus))
		c->deploy->known = false;
	if (!c->deploy->known)
		return;
	if (check_devices(c))
		check_ranks(c);
	check_places(c);
}

/* ---- more devices ---------------------------------------------------------------------------- */

/* A value for a field such as `nodes`, an Int to which the devices are proportional, as far as one can tell. */
static bool grown_cluster(const struct record *cluster, int64_t devices, int64_t gpus, struct arena *arena,
                          struct suggestion *out)
{
	for (int i = 0; i < cluster->fields.n; i++) {
		const struct field *f = cluster->fields.at[i];
		struct val v =
			f->sort == FIELD_PLAIN && f->type ? record_get((struct record *)cluster, f->name, f->span) : val_bad();
		if (v.kind != V_INT || v.i < 1 || times(v.i, gpus) % devices || times(v.i, gpus) == INT64_MAX)
			continue;
		*out = (struct suggestion){arena_printf(arena, "cluster.%s", f->name),
		                           arena_printf(arena, "%lld", (long long)(v.i * gpus / devices))};
		return true;
	}
	return false;
}

int deploy_devices(const struct deploy *d, int64_t gpus, struct arena *arena, struct suggestion *out)
{
	const struct machine *m = &d->machine;
	const struct field *f = record_field(d->record, "gpus");
	bool given = f && f->sets.n;
	int n = 0;
	if (given || gpus < d->gpus)
		out[n++] = (struct suggestion){"gpus", arena_printf(arena, "%lld", (long long)gpus)};
	if (gpus <= m->devices)
		return n;
	return grown_cluster(m->record, m->devices, gpus, arena, out + n) ? n + 1 : 0;
}
