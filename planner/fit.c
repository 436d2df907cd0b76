/* Does the plan fit in the devices' memory (E0701), with room to spare (W0702)? If not, what would fit? For training,
 * a part is an estimate, which may decide (W0706). */
#include "training.h"
#include <string.h>

struct fit {
	struct arena *arena;
	struct names *names;
	struct sink *sink;
	const struct deploy *deploy;
	const struct schedule *schedule;
	const struct target *target;
	enum diag_code mistake; /* what another plan must not have */
};

/* ---- the table ------------------------------------------------------------------------------- */

enum { BAR = 27 }; /* blocks of the longest bar */

/* A bar for `bytes`, drawn in eighths of a block and padded with spaces to `width` blocks; for `full` it has BAR. */
static const char *bar(struct arena *a, double bytes, double full, int width)
{
	static const char *const part[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	struct text t = {.arena = a};
	int eighths = full > 0 ? (int)(bytes / full * BAR * 8 + 0.5) : 0;
	for (int i = 0; i < eighths / 8; i++)
		text_add(&t, "█");
	text_add(&t, "%s", part[eighths % 8]);
	for (int i = (eighths + 7) / 8; i < width; i++)
		text_add(&t, " ");
	return t.at;
}

/* "46.70 Gparam, bf16 over tp = 8; stage 1". The format is named if all params share it, a stage >= 0 if there are
 * several. */
static const char *weights_text(const struct fit *f, int stage)
{
	const struct program *p = f->deploy->program;
	double n = 0;
	bool one_format = true;
	for (int i = 0; i < p->params.n; i++) {
		n += planner_param_elements(p, &p->params.at[i]);
		one_format &= p->params.at[i].dtype == p->params.at[0].dtype;
	}
	struct text t = {.arena = f->arena};
	text_add(&t, "%sparam%s%s over", planner_count(f->arena, n), one_format && p->params.n ? ", " : "",
	         one_format && p->params.n ? dtype_name(p->params.at[0].dtype) : "");
	for (int i = 0; i < f->deploy->mesh.n; i++)
		text_add(&t, "%s %s = %lld", i ? "," : "", f->deploy->mesh.at[i].name, (long long)f->deploy->mesh.at[i].size);
	if (stage >= 0 && (!f->schedule || f->schedule->stages.n > 1))
		text_add(&t, "; stage %d", stage);
	return t.at;
}

/* Has the cache room for all sequences at their longest, rather than for a number of positions that was given? */
static bool cached_whole(const struct workload *w) { return w->cache == w->batch * (w->seq_hi + w->output_hi); }

/* "; 137 pages for windows of 1024 x 6.5 MiB": the pools of pages for windows that a stage has. */
static const char *windows_text(const struct fit *f, int stage)
{
	const struct schedule *s = f->schedule;
	struct text t = {.arena = f->arena};
	text_add(&t, "%s", "");
	for (int i = 1; i < s->n_pools; i++) {
		double bytes = (double)pool_bytes(s, i, stage), pages = (double)s->pool[i].pages;
		if (bytes > 0)
			text_add(&t, "; %lld pages for windows of %lld x %s", (long long)s->pool[i].pages,
			         (long long)s->pool[i].window, planner_bytes(f->arena, bytes / pages));
	}
	return t.at;
}

static const char *cache_text(const struct fit *f, const struct memory *m, int stage)
{
	const struct workload *w = &f->deploy->work;
	const struct schedule *s = f->schedule;
	double positions = (double)s->pool[0].pages * (double)s->page, whole = m->kv;
	for (int i = 1; i < s->n_pools; i++)
		whole -= (double)pool_bytes(s, i, stage);
	int64_t each = w->seq_hi + w->output_hi;
	const char *one = planner_bytes(f->arena, positions > 0 ? whole / positions : 0);
	if (cached_whole(w) && s->seqs > 0)
		return arena_printf(f->arena, "%lld sequence%s x %lld positions x %s, in pages of %lld%s", (long long)s->seqs,
		                    plural(s->seqs), (long long)each, one, (long long)s->page, windows_text(f, stage));
	return arena_printf(f->arena, "%.0f positions x %s%s", positions, one, windows_text(f, stage));
}

static void line(const struct fit *f, struct diag *d, const char *what, double bytes, double full, const char *why)
{
	const char *blocks = bar(f->arena, bytes, full, *why ? BAR : 0);
	diag_table(f->sink, d, "%-13s %10s%s%s%s%s", what, planner_bytes(f->arena, bytes), *blocks ? "  " : "", blocks,
	           *why ? "  " : "", why);
}

static void usable_line(const struct fit *f, struct diag *d)
{
	const struct deploy *deploy = f->deploy;
	diag_table(f->sink, d, "%-13s %10s  %s - %s reserve", "usable", planner_bytes(f->arena, planner_usable(deploy)),
	           planner_bytes(f->arena, deploy->machine.device.memory),
	           planner_bytes(f->arena, deploy->machine.reserve));
}

static void table(const struct fit *f, struct diag *d, int stage)
{
	struct memory m = planner_stage_memory(f->schedule, stage);
	double full = m.weights > m.kv ? m.weights : m.kv;
	full = m.activations > full ? m.activations : full;
	line(f, d, "weights", m.weights, full, weights_text(f, stage));
	if (m.kv > 0)
		line(f, d, "kv cache", m.kv, full, cache_text(f, &m, stage));
	line(
		f, d, "activations", m.activations, full,
		arena_printf(f->arena, "chunks of %lld tokens", (long long)f->schedule->programs.at[PHASE_PREFILL].max_tokens));
	if (m.comm > 0)
		line(f, d, "communication", m.comm, full, "");
	usable_line(f, d);
}

/* ---- what would fit -------------------------------------------------------------------------- */

/* Candidates are planned first, which is quick, at most MAX_PLANNED of them; those that fit are then checked as a
 * whole, at most MAX_CHECKED. */
enum { MAX_PLANNED = 100, MAX_CHECKED = 12, MAX_VALUES = MAX_GROUP_ATOMS + 3 };

struct search {
	const struct fit *fit;
	bool again; /* all layers are computed again in the backward pass */
	int planned, checked, warnings;
	const char *best; /* of those that fit: the first with the fewest new warnings */
};

static double training_peak(struct arena *a, const struct local *l)
{
	int stage = 0;
	return training_fullest(training_of(a, l), &stage).peak;
}

/* The peak of a changed deployment, planned in full. Infinite if it cannot be planned. */
static double peak_of(const struct fit *f, const struct deploy *d)
{
	struct arena scratch = {.heap = f->arena->heap};
	struct sink silent = {.arena = &scratch, .sources = f->sink->sources};
	const struct local *l = dag_local(&scratch, f->names, &silent, d);
	const struct schedule *s = l && !d->needs_training ? dag_schedule(&scratch, &silent, l, f->target) : NULL;
	double peak = s && s->stages.n ? planner_stage_memory(s, planner_fullest_stage(s)).peak : 1.0 / 0.0;
	if (l && d->needs_training)
		peak = training_peak(&scratch, l);
	arena_free(&scratch);
	return peak;
}

/* `pp = 1; tp = 8`: the axes that are not 1, or were not. */
static const char *mesh_text(const struct fit *f, const struct deploy *d)
{
	struct text t = {.arena = f->arena};
	for (int i = 0; i < d->mesh.n; i++)
		if (d->mesh.at[i].size > 1 || f->deploy->mesh.at[i].size > 1)
			text_add(&t, "%s%s = %lld", t.n ? "; " : "", d->mesh.at[i].name, (long long)d->mesh.at[i].size);
	return t.at;
}

/* Names the bodies of all loops in `memory.recompute`. */
static void compute_again(const struct fit *f, struct deploy *d)
{
	const struct program *p = d->program;
	memset(&d->recompute, 0, sizeof d->recompute);
	for (int i = 0; i < p->loops.n; i++)
		vec_push(f->arena, &d->recompute, p->regions.at[p->loops.at[i].region].name);
}

/* `[layer]` */
static const char *regions_text(const struct fit *f, const struct deploy *d)
{
	struct text t = {.arena = f->arena};
	for (int i = 0; i < d->recompute.n; i++)
		text_add(&t, "%s%s", i ? ", " : "[", d->recompute.at[i]);
	text_add(&t, "]");
	return t.at;
}

/* The values that turn the deployment's mesh and devices into those of `other`, and their number. -1: no value adds
 * devices. */
static int values_of(const struct fit *f, const struct deploy *other, struct suggestion *out)
{
	const struct deploy *d = f->deploy;
	int n = 0;
	for (int i = 0; i < d->mesh.n; i++)
		if (other->mesh.at[i].size != d->mesh.at[i].size)
			out[n++] = (struct suggestion){arena_printf(f->arena, "plan.%s", d->mesh.at[i].name),
			                               arena_printf(f->arena, "%lld", (long long)other->mesh.at[i].size)};
	if (other->recompute.at != d->recompute.at)
		out[n++] = (struct suggestion){"plan.memory.recompute", regions_text(f, other)};
	if (other->gpus == d->gpus)
		return n;
	int more = deploy_devices(d, other->gpus, f->arena, out + n);
	return more ? n + more : -1;
}

static const char *describe(const struct fit *f, const struct deploy *other, const struct suggestion *values, int n,
                            double peak)
{
	struct text t = {.arena = f->arena};
	bool again = other->recompute.at != f->deploy->recompute.at, same = n == again;
	const char *recompute = arena_printf(f->arena, "memory { recompute = %s }", regions_text(f, other));
	text_add(&t, "`%s`", same ? recompute : mesh_text(f, other));
	const char *word = " with";
	if (again && !same) {
		text_add(&t, "%s `%s`", word, recompute);
		word = " and";
	}
	for (int i = 0; i < n; i++) {
		if (!strncmp(values[i].path, "plan.", 5))
			continue;
		text_add(&t, "%s `%s = %s`", word, values[i].path, values[i].value);
		word = " and";
	}
	text_add(&t, " fits: %s on each of %lld device%s", planner_bytes(f->arena, peak), (long long)other->gpus,
	         other->gpus == 1 ? "" : "s");
	return t.at;
}

/* Tries a changed deployment. true: it fits, and brings no new warning. */
static bool tried(struct search *s, const struct deploy *other)
{
	const struct fit *f = s->fit;
	struct suggestion values[MAX_VALUES];
	int n = s->checked < MAX_CHECKED && s->planned < MAX_PLANNED ? values_of(f, other, values) : -1;
	double peak = n < 0 ? 1.0 / 0.0 : peak_of(f, other);
	s->planned += n >= 0;
	if (peak > planner_usable(f->deploy))
		return false;
	int warnings = diag_check(f->sink, f->deploy->name, f->mistake, values, n);
	s->checked = warnings == -2 ? MAX_CHECKED : s->checked + 1;
	if (warnings >= 0 && (!s->best || warnings < s->warnings)) {
		s->best = describe(f, other, values, n, peak);
		s->warnings = warnings;
	}
	return warnings == 0;
}

/* Tries a mesh with one axis larger by a factor and, unless shrink < 0, another smaller by it. true: it fits, and
 * brings no new warning. */
static bool resized(struct search *s, int grow, int shrink, int64_t factor)
{
	const struct fit *f = s->fit;
	struct deploy other = *f->deploy;
	other.mesh.at = arena_array(f->arena, struct mesh_axis, other.mesh.n);
	memcpy(other.mesh.at, f->deploy->mesh.at, (size_t)other.mesh.n * sizeof *other.mesh.at);
	other.mesh.at[grow].size *= factor;
	if (shrink >= 0)
		other.mesh.at[shrink].size /= factor;
	else
		other.gpus *= factor;
	if (s->again)
		compute_again(f, &other);
	return tried(s, &other);
}

/* The nearest mesh that fits on the same devices. Inner axes are tried first: they have the fastest links. */
static const char *same_devices(const struct fit *f, bool again)
{
	const struct deploy *d = f->deploy;
	struct search s = {.fit = f, .again = again};
	bool found = false;
	for (int64_t factor = 2; factor <= 64 && !found; factor *= 2)
		for (int grow = d->mesh.n - 1; grow >= 0 && !found; grow--)
			for (int shrink = 0; shrink < d->mesh.n && !found; shrink++)
				if (shrink != grow && d->mesh.at[shrink].size % factor == 0)
					found = resized(&s, grow, shrink, factor);
	return s.best;
}

/* The mesh that fits with the fewest additional devices. */
static const char *more_devices(const struct fit *f, bool again)
{
	struct search s = {.fit = f, .again = again};
	bool found = false;
	for (int64_t factor = 2; factor <= 64 && !s.best; factor *= 2)
		for (int grow = f->deploy->mesh.n - 1; grow >= 0 && !found; grow--)
			found = resized(&s, grow, -1, factor);
	return s.best;
}

/* The same mesh, with all layers computed again. */
static const char *same_mesh(const struct fit *f)
{
	struct search s = {.fit = f, .again = true};
	struct deploy other = *f->deploy;
	compute_again(f, &other);
	tried(&s, &other);
	return s.best;
}

static const char *other_plan(const struct fit *f)
{
	bool training = f->deploy->needs_training;
	if (!f->sink->check)
		return NULL;
	const char *found = training ? same_mesh(f) : NULL;
	found = found ? found : same_devices(f, false);
	found = found || !training ? found : same_devices(f, true);
	found = found ? found : more_devices(f, false);
	return found || !training ? found : more_devices(f, true);
}

static double peak_with_prompts(const struct fit *f, int64_t seq)
{
	const struct workload *w = &f->deploy->work;
	struct deploy other = *f->deploy;
	other.work.seq_hi = seq;
	other.work.seq_lo = w->seq_lo < seq ? w->seq_lo : seq;
	other.work.cache = w->batch * (seq + w->output_hi);
	return peak_of(f, &other);
}

/* The longest prompt that fits when everything else stays; found by bisection, since pages and stages round. */
static const char *shorter_prompts(const struct fit *f)
{
	const struct workload *w = &f->deploy->work;
	if (!f->sink->check || w->training || !cached_whole(w))
		return NULL;
	int64_t fits = 0, fails = w->seq_hi;
	while (fails - fits > 1) {
		int64_t seq = fits + (fails - fits) / 2;
		*(peak_with_prompts(f, seq) <= planner_usable(f->deploy) ? &fits : &fails) = seq;
	}
	const char *range =
		w->seq_lo < w->seq_hi
			? arena_printf(f->arena, "%lld..%lld", (long long)(w->seq_lo < fits ? w->seq_lo : fits), (long long)fits)
			: arena_printf(f->arena, "%lld", (long long)fits);
	struct suggestion value = {"workload.seq", range};
	if (!fits || diag_check(f->sink, f->deploy->name, DIAG_E0701, &value, 1) < 0)
		return NULL;
	return arena_printf(f->arena, "prompts of at most %lld fit as it is", (long long)fits);
}

static void suggest(const struct fit *f, struct diag *diag)
{
	const char *mesh = other_plan(f), *prompts = shorter_prompts(f);
	if (mesh || prompts)
		diag_help(f->sink, diag, "%s%s%s", mesh ? mesh : "", mesh && prompts ? "; or " : "", prompts ? prompts : "");
}

/* Two different numbers of bytes as text, with all digits where rounding would make them look equal. */
struct pair {
	const char *a, *b;
};
static struct pair pair_text(struct arena *arena, double a, double b)
{
	struct pair p = {planner_bytes(arena, a), planner_bytes(arena, b)};
	if (!strcmp(p.a, p.b))
		p = (struct pair){arena_printf(arena, "%.0f B", a), arena_printf(arena, "%.0f B", b)};
	return p;
}

/* ---- verdicts -------------------------------------------------------------------------------- */

/* With less headroom than this share, a plan depends on the reserve, which is an estimate. */
static const double LITTLE_HEADROOM = 0.03;

/* The launcher takes what is planned, but how much driver, communicators and graphs take is an estimate: W0702 where
 * little is left, unless the deployment itself requires a headroom. */
static void check_headroom(const struct fit *f, int stage, double peak)
{
	const struct deploy *d = f->deploy;
	double usable = planner_usable(d), left = 1 - peak / usable;
	if (left >= LITTLE_HEADROOM || d->headroom_required)
		return;
	struct diag *diag =
		diag_report(f->sink, DIAG_W0702, d->name_span, "%.1f%% headroom: %s of %s usable are left", 100 * left,
	                planner_bytes(f->arena, usable - peak), planner_bytes(f->arena, usable));
	table(f, diag, stage);
	diag_note(f->sink, diag,
	          "the plan is exact; what driver, communicators and graphs take is the cluster's `reserve`, an estimate");
	diag_help(f->sink, diag,
	          "state what is enough: `require memory.headroom >= 1%%`; or use a smaller batch, or shorter prompts");
}

void planner_fit(struct arena *arena, struct names *names, struct sink *sink, const struct deploy *d,
                 const struct schedule *s, const struct target *target)
{
	struct fit f = {arena, names, sink, d, s, target, DIAG_E0701};
	if (!s->stages.n)
		return;
	int stage = planner_fullest_stage(s);
	double peak = planner_stage_memory(s, stage).peak;
	if (peak <= planner_usable(d)) {
		check_headroom(&f, stage, peak);
		return;
	}
	struct pair pair = pair_text(arena, peak, planner_usable(d));
	struct diag *diag = diag_report(sink, DIAG_E0701, d->name_span, "does not fit: %s needed, %s usable on each device",
	                                pair.a, pair.b);
	table(&f, diag, stage);
	if (d->work.seq_hi > d->work.seq_lo && cached_whole(&d->work))
		diag_note(sink, diag, "the cache is largest at seq = %lld", (long long)d->work.seq_hi);
	suggest(&f, diag);
}

static const char *optimizer_text(const struct fit *f)
{
	const struct optimizer *o = &f->deploy->work.optimizer;
	struct text t = {.arena = f->arena};
	text_add(&t, "%lld moment%s in %s", (long long)o->states, plural(o->states), dtype_name(o->moments));
	if (o->has_master)
		text_add(&t, ", a copy of the weights in %s", dtype_name(o->master));
	return t.at;
}

static const char *saved_text(const struct fit *f, const struct training *t, int stage)
{
	int64_t slots = stage_slots(&t->pipeline, stage);
	const char *one = t->pipeline.chunks > 1 ? "chunk" : "microbatch", *more = t->pipeline.chunks > 1 ? "s" : "es";
	return arena_printf(f->arena, "%lld %s%s of %.0f x %lld tokens in flight", (long long)slots, one,
	                    slots == 1 ? "" : more, t->sequences, (long long)f->deploy->work.seq_hi);
}

static void training_table(const struct fit *f, struct diag *d, const struct training *t, int stage)
{
	struct training_memory m = training_stage_memory(t, stage);
	double part[] = {m.weights, m.gradients, m.optimizer, m.saved, m.working}, full = 0;
	for (int i = 0; i < 5; i++)
		full = part[i] > full ? part[i] : full;
	line(f, d, "weights", m.weights, full, weights_text(f, t->pipeline.stages > 1 ? stage : -1));
	line(f, d, "gradients", m.gradients, full, dtype_name(f->deploy->work.optimizer.gradient));
	line(f, d, "optimizer", m.optimizer, full, optimizer_text(f));
	line(f, d, "saved", m.saved, full, saved_text(f, t, stage));
	line(f, d, "working", m.working, full, "one layer's backward pass, or the logits");
	usable_line(f, d);
}

void planner_fit_training(struct arena *arena, struct names *names, struct sink *sink, const struct training *t)
{
	const struct deploy *d = t->deploy;
	int stage = 0;
	struct training_memory m = training_fullest(t, &stage);
	double usable = planner_usable(d), counted = m.peak - m.working;
	struct fit f = {arena, names, sink, d, NULL, NULL, counted > usable ? DIAG_E0701 : DIAG_W0706};
	if (m.peak <= (1 - LITTLE_HEADROOM) * usable)
		return;
	struct pair pair = pair_text(arena, counted > usable ? counted : m.peak, usable);
	struct diag *diag =
		counted > usable
			? diag_report(sink, DIAG_E0701, d->name_span,
	                      "does not fit: training needs more than %s, %s are usable on each device", pair.a, pair.b)
			: diag_report(sink, DIAG_W0706, d->name_span,
	                      "training may not fit: about %s needed, %s usable on each device", pair.a, pair.b);
	training_table(&f, diag, t, stage);
	diag_note(sink, diag,
	          "`working` is an estimate; the rest follows from layouts and from what the backward pass reads");
	suggest(&f, diag);
}
