/* Does the plan fit into the devices of the cluster (E0701), with room to spare (W0702), and what would fit, if not. */
#include "planner.h"
#include <string.h>

struct fit {
	struct arena *arena; struct names *names; struct sink *sink;
	const struct deploy *deploy; const struct schedule *schedule; const struct target_shape *shape;
};

/* ---- the table ----------------------------------------------------------------------------------------------------- */

enum { BAR = 27 };      /* blocks of the longest bar */

/* A bar of `bytes` where `full` is the longest, in eighths of a block; filled up with blanks to `width` blocks. */
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

/* "46.70 Gparam in bf16": the format is named when all params have the same. */
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
	if (f->schedule->stages.n > 1)
		text_add(&t, "; stage %d", stage);
	return t.at;
}

static const char *cache_text(const struct fit *f, const struct memory *m)
{
	const struct workload *w = &f->deploy->work;
	const struct schedule *s = f->schedule;
	double positions = (double)s->pages * (double)s->page;
	int64_t each = w->seq_hi + w->output_hi;
	const char *one = planner_bytes(f->arena, positions > 0 ? m->kv / positions : 0);
	if (w->cache == w->batch * each && s->seqs > 0)
		return arena_printf(f->arena, "%lld sequences x %lld positions x %s, in pages of %lld", (long long)s->seqs, (long long)each, one,
				    (long long)s->page);
	return arena_printf(f->arena, "%.0f positions x %s", positions, one);
}

static void line(const struct fit *f, struct diag *d, const char *what, double bytes, double full, const char *why)
{
	const char *blocks = bar(f->arena, bytes, full, *why ? BAR : 0);
	diag_table(f->sink, d, "%-13s %10s%s%s%s%s", what, planner_bytes(f->arena, bytes), *blocks ? "  " : "", blocks, *why ? "  " : "", why);
}

static void table(const struct fit *f, struct diag *d, int stage)
{
	struct memory m = planner_stage_memory(&f->schedule->stages.at[stage]);
	const struct deploy *deploy = f->deploy;
	double full = m.weights > m.kv ? m.weights : m.kv;
	full = m.activations > full ? m.activations : full;
	line(f, d, "weights", m.weights, full, weights_text(f, stage));
	if (m.kv > 0)
		line(f, d, "kv cache", m.kv, full, cache_text(f, &m));
	line(f, d, "activations", m.activations, full, arena_printf(f->arena, "chunks of %lld tokens", (long long)f->schedule->chunk[PHASE_PREFILL]));
	if (m.comm > 0)
		line(f, d, "communication", m.comm, full, "");
	diag_table(f->sink, d, "%-13s %10s  %s - %s reserve", "usable", planner_bytes(f->arena, planner_usable(deploy)),
		   planner_bytes(f->arena, deploy->device_memory), planner_bytes(f->arena, deploy->reserve_memory));
}

/* ---- what would fit ------------------------------------------------------------------------------------------------ */

/* The peak of the same deployment with other numbers, planned in full; infinite when it cannot be planned. */
static double peak_of(const struct fit *f, const struct deploy *d)
{
	struct arena scratch = {.heap = f->arena->heap};
	struct sink silent = {.arena = &scratch, .sources = f->sink->sources};
	const struct local *l = dag_local(&scratch, f->names, &silent, d);
	const struct schedule *s = l ? dag_schedule(&scratch, &silent, l, f->shape) : NULL;
	double peak = s && s->stages.n ? planner_stage_memory(&s->stages.at[planner_fullest_stage(s)]).peak : 1.0 / 0.0;
	arena_free(&scratch);
	return peak;
}

/* The deployment with one mesh axis larger by a factor and, unless shrink < 0, another smaller by it. NULL: does not fit. */
static const char *resized(const struct fit *f, int grow, int shrink, int64_t factor)
{
	const struct deploy *d = f->deploy;
	struct deploy other = *d;
	other.mesh.at = arena_array(f->arena, struct mesh_axis, d->mesh.n);
	memcpy(other.mesh.at, d->mesh.at, (size_t)d->mesh.n * sizeof *d->mesh.at);
	struct mesh_axis *more = &other.mesh.at[grow], *less = shrink < 0 ? NULL : &other.mesh.at[shrink];
	more->size *= factor;
	if (less)
		less->size /= factor;
	else
		other.gpus *= factor;
	double peak = peak_of(f, &other);
	if (peak > planner_usable(d))
		return NULL;
	const char *with = less ? arena_printf(f->arena, " with `%s = %lld`", less->name, (long long)less->size) : "";
	return arena_printf(f->arena, "`%s = %lld`%s fits: %s on each of %lld devices", more->name, (long long)more->size, with,
			    planner_bytes(f->arena, peak), (long long)other.gpus);
}

/* The nearest mesh that fits: on the devices that are there, or else on more. Inner axes first: they have the fastest links. */
static const char *other_mesh(const struct fit *f)
{
	const struct deploy *d = f->deploy;
	const char *found = NULL;
	for (int64_t factor = 2; factor <= 64 && !found; factor *= 2)
		for (int grow = d->mesh.n - 1; grow >= 0 && !found; grow--)
			for (int shrink = 0; shrink < d->mesh.n && !found; shrink++)
				if (shrink != grow && d->mesh.at[shrink].size % factor == 0)
					found = resized(f, grow, shrink, factor);
	for (int64_t factor = 2; factor <= 64 && !found; factor *= 2)
		for (int grow = d->mesh.n - 1; grow >= 0 && !found; grow--)
			found = resized(f, grow, -1, factor);
	return found;
}

/* The longest prompt that fits when everything else stays; found by bisection, since pages and stages round. */
static const char *shorter_prompts(const struct fit *f)
{
	const struct deploy *d = f->deploy;
	const struct workload *w = &d->work;
	int64_t each = w->seq_hi + w->output_hi;
	if (w->cache != w->batch * each)
		return NULL;
	int64_t fits = 0, fails = w->seq_hi;
	while (fails - fits > 1) {
		struct deploy other = *d;
		int64_t seq = fits + (fails - fits) / 2;
		other.work.seq_hi = seq;
		other.work.seq_lo = w->seq_lo < seq ? w->seq_lo : seq;
		other.work.cache = w->batch * (seq + w->output_hi);
		*(peak_of(f, &other) <= planner_usable(d) ? &fits : &fails) = seq;
	}
	return fits ? arena_printf(f->arena, "prompts of at most %lld fit as it is", (long long)fits) : NULL;
}

/* ---- verdicts ------------------------------------------------------------------------------------------------------ */

/* Below this share of what is usable a plan is at the mercy of the reserve, which is an estimate. */
static const double LITTLE_HEADROOM = 0.03;

/* The launcher takes what is planned; driver, communicators and graphs take what they take. A deployment that says what
 * headroom it wants has thought of it. */
static void check_headroom(const struct fit *f, int stage, double peak)
{
	const struct deploy *d = f->deploy;
	double usable = planner_usable(d), left = 1 - peak / usable;
	if (left >= LITTLE_HEADROOM || d->headroom_required)
		return;
	struct diag *diag = diag_report(f->sink, DIAG_W0702, d->name_span, "%.1f%% headroom: %s of %s usable are left", 100 * left,
					planner_bytes(f->arena, usable - peak), planner_bytes(f->arena, usable));
	table(f, diag, stage);
	diag_note(f->sink, diag, "the plan is exact; what driver, communicators and graphs take is the cluster's `reserve`, an estimate");
	diag_help(f->sink, diag, "say what is enough: `require memory.headroom >= 1%%`; or a smaller batch, or shorter prompts");
}

void planner_fit(struct arena *arena, struct names *names, struct sink *sink, const struct deploy *d, const struct schedule *s,
                 const struct target_shape *shape)
{
	struct fit f = {arena, names, sink, d, s, shape};
	if (!s->stages.n || d->device_memory <= 0)
		return;
	int stage = planner_fullest_stage(s);
	double peak = planner_stage_memory(&s->stages.at[stage]).peak;
	if (peak <= planner_usable(d)) {
		check_headroom(&f, stage, peak);
		return;
	}
	struct diag *diag = diag_report(sink, DIAG_E0701, d->name_span, "does not fit: %s needed, %s usable on each device",
					planner_bytes(arena, peak), planner_bytes(arena, planner_usable(d)));
	table(&f, diag, stage);
	if (d->work.seq_hi > d->work.seq_lo)
		diag_note(sink, diag, "the cache is largest at seq = %lld", (long long)d->work.seq_hi);
	const char *mesh = other_mesh(&f), *prompts = shorter_prompts(&f);
	if (mesh || prompts)
		diag_help(sink, diag, "%s%s%s", mesh ? mesh : "", mesh && prompts ? "; or " : "", prompts ? prompts : "");
}
