/* Totals of a deployment: exact counts of the model, and the bytes of the fullest rank. */
#include "planner.h"

/* ---- the model ------------------------------------------------------------------------------- */

/* Counts are doubles: exact up to 2^53, and no product of extents overflows. Run-time axes count as 1. */
static double elements(const struct program *p, const int *axes, int n, int body)
{
	double product = body >= 0 ? (double)p->bodies.at[body].turns : 1;
	for (int i = 0; i < n; i++)
		if (p->axes.at[axes[i]].extent)
			product *= (double)p->axes.at[axes[i]].extent;
	return product;
}

double planner_param_elements(const struct program *p, const struct param *param)
{
	return elements(p, param->axes, param->n_axes, param->body);
}

static double stored_bytes(double n, enum dtype t) { return n * dtype_millibits(t) / 8000; }

/* The share of a param that one token reads: of each axis that a router chooses from, what it chooses. */
static double read_share(const struct program *p, const struct param *param)
{
	double share = 1;
	for (int i = 0; i < param->n_axes; i++) {
		const struct axis *axis = &p->axes.at[param->axes[i]];
		share *= axis->top ? (double)axis->top / (double)axis->extent : 1;
	}
	return share;
}

static double position_bytes(const struct program *p, int state)
{
	const struct state *s = &p->states.at[state];
	return stored_bytes(elements(p, s->axes, s->n_axes, s->body), s->dtype);
}

/* Is a cache read through a window? How many of its positions have pages is only known of a schedule. */
static bool has_windows(const struct program *p)
{
	for (int i = 0; i < p->values.n; i++)
		if (p->values.at[i].op == OP_ATTEND && attend_reach(&p->values.at[i]))
			return true;
	return false;
}

/* Positions of all owners in the pool of a state. */
static double cached_positions(const struct deploy *d, const struct schedule *s, int state)
{
	if (!s || !s->pool_of[state])
		return (double)d->work.cache;
	return (double)s->pool[s->pool_of[state]].pages * (double)s->page * (double)s->groups.at[s->owner_group].size;
}

double planner_position_bytes(const struct program *p, struct arena *a, bool windows)
{
	const int64_t *window = program_windows(p, a);
	double bytes = 0;
	for (int i = 0; i < p->states.n; i++)
		bytes += window[i] || !windows ? position_bytes(p, i) : 0;
	return bytes;
}

static int model_totals(const struct deploy *d, const struct schedule *s, struct total *out)
{
	const struct program *p = d->program;
	double params = 0, active = 0, weights = 0, kv = 0;
	for (int i = 0; i < p->params.n; i++) {
		const struct param *param = &p->params.at[i];
		double n = planner_param_elements(p, param);
		params += n;
		weights += stored_bytes(n, param->dtype);
		active += param->contracted ? n * read_share(p, param) : 0;
	}
	for (int i = 0; i < p->states.n; i++) {
		kv += position_bytes(p, i) * cached_positions(d, s, i);
	}
	out[0] = (struct total){"params", params, TOTAL_PARAMS};
	out[1] = (struct total){"params.active", active, TOTAL_PARAMS};
	out[2] = (struct total){"total.weights", weights, TOTAL_BYTES};
	out[3] = (struct total){"total.kv", kv, TOTAL_BYTES};
	return s || !has_windows(p) ? 4 : 3;
}

/* ---- a rank ---------------------------------------------------------------------------------- */

struct memory planner_stage_memory(const struct schedule *s, int stage)
{
	const int64_t *b = s->stages.at[stage].bytes;
	double workspaces = (double)b[DR_SPACE_WORKSPACE] * (double)s->target.workers;
	struct memory m = {
		.weights = (double)(b[DR_SPACE_LAYER] + b[DR_SPACE_OUTSIDE] + b[DR_SPACE_EVERY]),
		.kv = (double)(b[DR_SPACE_STATE] + b[DR_SPACE_STATE_OUTSIDE]),
		.activations = (double)(b[DR_SPACE_ACT] + b[DR_SPACE_INPUT] + b[DR_SPACE_TABLE]) + workspaces,
		.comm = (double)b[DR_SPACE_COMM],
	};
	m.peak = m.weights + m.kv + m.activations + m.comm;
	return m;
}

bool planner_has_experts(const struct program *p)
{
	for (int i = 0; i < p->values.n; i++)
		if (p->values.at[i].op == OP_ROUTE)
			return true;
	return false;
}

int planner_fullest_stage(const struct schedule *s)
{
	int fullest = 0;
	for (int i = 1; i < s->stages.n; i++)
		if (planner_stage_memory(s, i).peak > planner_stage_memory(s, fullest).peak)
			fullest = i;
	return fullest;
}

double planner_usable(const struct deploy *d) { return d->machine.device.memory - d->machine.reserve; }

/* Each kind is that of the rank where it is largest; the peak is that of the fullest rank. */
static int memory_totals(const struct deploy *d, const struct schedule *s, struct total *out)
{
	struct memory max = {0};
	for (int i = 0; i < s->stages.n; i++) {
		struct memory m = planner_stage_memory(s, i);
		max.weights = m.weights > max.weights ? m.weights : max.weights;
		max.kv = m.kv > max.kv ? m.kv : max.kv;
		max.activations = m.activations > max.activations ? m.activations : max.activations;
		max.comm = m.comm > max.comm ? m.comm : max.comm;
		max.peak = m.peak > max.peak ? m.peak : max.peak;
	}
	out[0] = (struct total){"memory.weights", max.weights, TOTAL_BYTES};
	out[1] = (struct total){"memory.kv", max.kv, TOTAL_BYTES};
	out[2] = (struct total){"memory.activations", max.activations, TOTAL_BYTES};
	out[3] = (struct total){"memory.comm", max.comm, TOTAL_BYTES};
	out[4] = (struct total){"memory.peak", max.peak, TOTAL_BYTES};
	out[5] = (struct total){"memory.headroom", 1 - max.peak / planner_usable(d), TOTAL_RATIO};
	return planner_usable(d) > 0 ? 6 : 5;
}

int planner_totals(const struct deploy *d, const struct schedule *s, struct total out[PLANNER_TOTALS])
{
	int n = model_totals(d, s, out);
	return s && s->stages.n ? n + memory_totals(d, s, out + n) : n;
}

/* ---- numbers as text ------------------------------------------------------------------------- */

const char *planner_bytes(struct arena *a, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	int u = 0;
	while (bytes >= 1024 && u < 5) {
		bytes /= 1024;
		u++;
	}
	return arena_printf(a, u ? "%.1f %s" : "%.0f %s", bytes, units[u]);
}

const char *planner_count(struct arena *a, double n)
{
	static const char *const prefixes[] = {"", "K", "M", "G", "T"};
	int u = 0;
	while (n >= 1000 && u < 4) {
		n /= 1000;
		u++;
	}
	return arena_printf(a, u ? "%.2f %s" : "%.0f %s", n, prefixes[u]);
}
