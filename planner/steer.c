/* Copies and moves of experts: rows of the busiest rank, bytes, and the time of a move. */
#include "steer.h"
#include <math.h>
#include "metrics_text.h"
#include "training_time.h"
#include "../support/json.h"

static bool asks(const struct expert_steering *by) { return by->copies > 0 || by->by_load; }

static void compare(struct steered *out, int which, struct balances *balances, const struct expert_split *split)
{
	out->split[which] = *split;
	if (out->by.copies > (int64_t)split->experts)
		out->by.copies = (int64_t)split->experts;
	out->now[which] = balance_of(balances, split).busiest;
	out->then[which] = balance_steered(balances, split, &out->by).busiest;
}

/* ---- serving ---------------------------------------------------------------------------------- */

/* Bytes of one expert in the layers of a stage, of the stage that has most. */
static double expert_bytes(const struct schedule *s, const struct step_time *t)
{
	double most = 0;
	for (int stage = 0; stage < s->stages.n; stage++) {
		double bytes = 0;
		for (int i = 0; i < t->n_lists; i++)
			for (int k = 0; k < t->list[i].list->n; k++)
				bytes += list_times(s, &t->list[i], stage) * t->list[i].at[k].term.expert_bytes;
		most = fmax(most, bytes);
	}
	return most;
}

const struct steered *steered_serving(const struct schedule *s, const struct metrics *m, struct arena *a)
{
	const struct step_time *steps[2] = {m->prefill, m->decode}, *any = NULL;
	if (!asks(&s->deploy->steering))
		return NULL;
	struct timing timing = timing_of_deploy(s->deploy, a);
	struct steered *out = arena_new(a, struct steered);
	out->by = s->deploy->steering;
	for (int i = 0; i < 2; i++) {
		const struct exchange *x = step_exchange(steps[i]);
		if (!x || x->split.ranks <= 1)
			continue;
		compare(out, i, timing.balances, &x->split);
		any = steps[i];
	}
	if (!any)
		return NULL;
	const struct expert_split *split = &step_exchange(any)->split;
	double each = expert_bytes(s, any), held = split->experts / split->ranks;
	out->copies = copies_held(split, &out->by) * each;
	out->moved = held * each * (1 - 1 / split->ranks);
	expert_members(s, split, timing.members);
	out->seconds = time_of(timing_collective(&timing, DR_ALL_TO_ALL, timing.members, held * each));
	return out;
}

/* ---- training --------------------------------------------------------------------------------- */

/* A copy has gradients of its own; what moves takes the optimizer's states along. */
const struct steered *steered_training(const struct training *t, struct arena *a)
{
	struct expert_split split;
	struct balance balance;
	int at = asks(&t->deploy->steering) ? training_exchange(t, &split, &balance) : -1;
	if (at < 0 || split.ranks <= 1)
		return NULL;
	struct steered *out = arena_new(a, struct steered);
	out->by = t->deploy->steering;
	struct timing timing = timing_of_deploy(t->deploy, a);
	compare(out, 0, timing.balances, &split);
	const struct local_value *v = &t->forward->values.at[at];
	int expert = t->local->program->axes.at[training_slot(t->local->program, v)].of;
	double held = split.experts / split.ranks, copied = 0, moved = 0;
	for (int i = 0; i < t->pipeline.stages; i++) {
		struct training_body all = training_experts(t, i, expert);
		copied = fmax(copied, (all.weights + all.gradients) / held);
		moved = fmax(moved, all.weights + all.optimizer);
	}
	uint64_t atoms = 0;
	for (int i = 0; i < v->n_axes; i++)
		for (int k = 0; v->axes[i] == expert && k < v->layout.axis[i].n; k++)
			atoms |= (uint64_t)1 << v->layout.axis[i].at[k];
	out->copies = copies_held(&split, &out->by) * copied;
	out->moved = moved * (1 - 1 / split.ranks);
	training_members(t, atoms, timing.members);
	out->seconds = time_of(timing_collective(&timing, DR_ALL_TO_ALL, timing.members, moved));
	return out;
}

/* ---- output ----------------------------------------------------------------------------------- */

void print_steered(struct text *out, struct arena *a, const struct steered *s, bool even)
{
	static const char *const steps[2] = {"prefill", "decode"};
	bool both = s->split[0].experts > 0 && s->split[1].experts > 0;
	text_add(out, "      if experts were steered (W0521: they are not):");
	if (s->by.copies)
		text_add(out, " replicate = %lld%s", (long long)s->by.copies, s->by.by_load ? "," : "");
	text_add(out, "%s\n", s->by.by_load ? " placed by load" : "");
	if (even)
		text_add(out, "        nothing is gained, as routing is even\n");
	for (int i = 0; i < 2 && !even; i++)
		if (s->split[i].experts > 0)
			text_add(out, "        the busiest would have %.2f instead of %.2f times the mean%s%s\n", s->then[i],
			         s->now[i], both ? " in " : "", both ? steps[i] : "");
	if (s->by.copies)
		text_add(out, "        copies take %s more of a rank\n", planner_bytes(a, s->copies));
	if (!s->by.by_load)
		return;
	text_add(out, "        if all experts move, a rank sends %s", planner_bytes(a, s->moved));
	if (!isnan(s->seconds))
		text_add(out, " in %s", metric_seconds(a, s->seconds));
	if (!isnan(s->seconds) && s->by.every > 0)
		text_add(out, ": %.2g%% of the time, every %s", 100 * s->seconds / s->by.every, metric_seconds(a, s->by.every));
	text_add(out, "\n");
}

json_t *steered_json(const struct steered *s)
{
	json_t *object = json_object(), *busiest = json_array();
	for (int i = 0; i < 2; i++) {
		if (s->split[i].experts <= 0)
			continue;
		json_t *one = json_object();
		json_set(one, "now", json_figure(s->now[i]));
		json_set(one, "steered", json_figure(s->then[i]));
		json_array_append_new(busiest, one);
	}
	json_set(object, "copies", json_integer(s->by.copies));
	json_set(object, "by_load", json_boolean(s->by.by_load));
	json_set(object, "every", s->by.every > 0 ? json_figure(s->by.every) : json_null());
	json_set(object, "busiest", busiest);
	json_set(object, "copy_bytes", json_figure(s->copies));
	json_set(object, "moved_bytes", json_figure(s->moved));
	json_set(object, "seconds", json_figure(s->seconds));
	return object;
}
