/* Ranks that a step leaves without work: owners without a sequence, stages that wait, padding (W0514, W0517, W0519). */
#include "lint.h"

/* ---- owners ---------------------------------------------------------------------------------- */

/* The mesh axis whose coordinates are the owners; -1: several axes make them. */
static int owners_axis(const struct lint *t)
{
	const struct atoms *a = &t->local->owners;
	int axis = a->n ? t->local->atoms.at[a->at[0]].mesh_axis : -1;
	for (int i = 1; i < a->n; i++)
		if (t->local->atoms.at[a->at[i]].mesh_axis != axis)
			return -1;
	return axis >= 0 && t->deploy->mesh.at[axis].size == atoms_size(t->local, a) ? axis : -1;
}

/* "`dp = 4` with `gpus = 4`": as many owners as sequences, on fewer devices. NULL: no such mesh passes all checks. */
static const char *fewer_owners(const struct lint *t, int64_t owners)
{
	const struct deploy *d = t->deploy;
	int axis = owners_axis(t);
	if (axis < 0 || owners % d->work.batch)
		return NULL;
	struct suggestion values[3] = {{arena_printf(t->arena, "plan.%s", d->mesh.at[axis].name),
	                                arena_printf(t->arena, "%lld", (long long)d->work.batch)}};
	int n = deploy_devices(d, d->gpus / (owners / d->work.batch), t->arena, values + 1);
	if (!n || diag_check(t->sink, d->name, DIAG_W0514, values, n + 1) < 0)
		return NULL;
	return arena_printf(t->arena, "`%s = %s` with `%s = %s`", d->mesh.at[axis].name, values[0].value, values[1].path,
	                    values[1].value);
}

/* W0514: sequence i belongs to owner i modulo their number, so with fewer sequences the last owners never have one. */
static void find_idle_owners(const struct lint *t)
{
	const struct deploy *d = t->deploy;
	int64_t owners = atoms_size(t->local, &t->local->owners), batch = d->work.batch;
	if (batch >= owners)
		return;
	struct diag *diag =
		diag_report(t->sink, DIAG_W0514, d->work.batch_span, "%lld of %lld owners never have a sequence",
	                (long long)(owners - batch), (long long)owners);
	diag_note(t->sink, diag,
	          "%lld sequence%s in flight; `batch` is split over %s: %lld owner%s, each a group of %lld rank%s",
	          (long long)batch, plural(batch), atoms_text(t->local, &t->local->owners), (long long)owners,
	          plural(owners), (long long)(d->gpus / owners), plural(d->gpus / owners));
	struct suggestion more = {"workload.batch", arena_printf(t->arena, "%lld", (long long)owners)};
	bool fits = diag_check(t->sink, d->name, DIAG_W0514, &more, 1) >= 0;
	const char *fewer = fewer_owners(t, owners);
	if (fits || fewer)
		diag_help(t->sink, diag, "%s%s%s", fits ? arena_printf(t->arena, "`batch = %s` fills them", more.value) : "",
		          fits && fewer ? "; or " : "", fewer ? arena_printf(t->arena, "%s holds the batch", fewer) : "");
}

/* ---- stages ---------------------------------------------------------------------------------- */

/* In decode a microbatch without a sequence is empty. */
static void find_empty_microbatches(const struct lint *t)
{
	const struct deploy *d = t->deploy;
	int64_t stages = t->schedule->stages.n, seqs = t->schedule->seqs, owners = atoms_size(t->local, &t->local->owners);
	if (seqs < 1 || seqs >= stages)
		return;
	struct diag *diag = diag_report(
		t->sink, DIAG_W0519, d->work.batch_span, "%lld sequence%s for %lld stages: %lld wait%s in decode",
		(long long)seqs, plural(seqs), (long long)stages, (long long)(stages - seqs), stages - seqs == 1 ? "s" : "");
	diag_note(t->sink, diag, "a microbatch of decode has at least one sequence; %lld in flight are %lld for each owner",
	          (long long)d->work.batch, (long long)seqs);
	struct suggestion more = {"workload.batch", arena_printf(t->arena, "%lld", (long long)(owners * stages))};
	if (diag_check(t->sink, d->name, DIAG_W0519, &more, 1) >= 0)
		diag_help(t->sink, diag, "`batch = %s` gives each stage one", more.value);
}

/* W0519: microbatches follow each other through the stages; with fewer of them than stages, some always wait. */
static void find_waiting_stages(const struct lint *t)
{
	const struct deploy *d = t->deploy;
	const struct pipeline *p = &t->schedule->pipeline;
	int64_t stages = p->stages, microbatches = p->microbatches, waiting = stages - pipeline_busy(p);
	if (!waiting) {
		find_empty_microbatches(t);
		return;
	}
	const struct mesh_axis *m = &d->mesh.at[t->local->atoms.at[t->local->stages.at[0]].mesh_axis];
	bool set = d->microbatches_set.lo < d->microbatches_set.hi;
	struct diag *diag =
		diag_report(t->sink, DIAG_W0519, set ? d->microbatches_span : m->span,
	                "%lld microbatch%s for %lld stages: %lld wait%s at any time", (long long)microbatches,
	                microbatches == 1 ? "" : "es", (long long)stages, (long long)waiting, waiting == 1 ? "s" : "");
	struct suggestion more = {"plan.pipeline.microbatches", arena_printf(t->arena, "%lld", (long long)stages)};
	if (diag_check(t->sink, d->name, DIAG_W0519, &more, 1) < 0)
		return;
	diag_help(t->sink, diag, "`pipeline { microbatches = %s }` gives each stage one", more.value);
	if (set)
		diag_fix(t->sink, diag, d->microbatches_set, arena_printf(t->arena, "microbatches = %s", more.value));
	else if (m->set.lo < m->set.hi)
		diag_fix(
			t->sink, diag, m->set,
			arena_printf(t->arena, "%s = %lld; pipeline.microbatches = %s", m->name, (long long)m->size, more.value));
}

/* ---- padding --------------------------------------------------------------------------------- */

/* W0517: an owner's n tokens or rows of a decode step are padded to a multiple of `unit`, which the ranks divide. */
static void check_padding(const struct lint *t, int64_t n, int64_t unit, const char *what, const char *help)
{
	const struct schedule *s = t->schedule;
	int64_t padded = unit > 0 ? (n + unit - 1) / unit * unit : n;
	if (n < 1 || (double)(padded - n) / (double)padded <= 0.1)
		return;
	struct diag *d =
		diag_report(t->sink, DIAG_W0517, t->deploy->work.span, "a decode step of %lld %s%s is padded to %lld",
	                (long long)n, what, plural(n), (long long)padded);
	diag_note(t->sink, d, "%lld sequence%s for each owner in %lld microbatch%s; %ss are divided in units of %lld",
	          (long long)s->seqs, plural(s->seqs), (long long)s->pipeline.microbatches,
	          s->pipeline.microbatches == 1 ? "" : "es", what, (long long)unit);
	diag_help(t->sink, d, "%s", help);
}

static void find_padding(const struct lint *t)
{
	const struct schedule *s = t->schedule;
	int64_t microbatches = s->pipeline.microbatches > 0 ? s->pipeline.microbatches : 1,
			tokens = (s->seqs + microbatches - 1) / microbatches, rows = tokens * t->deploy->work.rows;
	check_padding(t, tokens, s->token_multiple, "token",
	              arena_printf(t->arena, "a batch that gives each owner a multiple of %lld tokens needs no padding",
	                           (long long)(s->token_multiple * microbatches)));
	if (s->row_multiple > 1)
		check_padding(t, rows, s->row_multiple, "row",
		              "a batch of more sequences for each owner, or fewer ranks for `row`");
}

void lint_step(const struct lint *t)
{
	find_idle_owners(t);
	find_waiting_stages(t);
	find_padding(t);
	report_padded(t->local);
}
