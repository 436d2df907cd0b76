/* Brings a value from one layout to another by collectives, planned so that whole suffixes of atoms move at once. First
 * come reduce-scatter, slice and all-to-all, which do not increase a rank's data; then all-reduce and all-gather. */
#include "local.h"

struct atoms *layout_of(const struct local_value *v, int axis)
{
	for (int i = 0; i < v->n_axes; i++)
		if (v->axes[i] == axis)
			return &v->layout.axis[i];
	return NULL;
}

/* The state of planning: the value's current layout and the wanted one. */
struct plan {
	struct local *l;
	int n; /* number of axes */
	struct atoms *now, pending;
	const struct layout *want;
};
struct move {
	enum local_op op;
	struct atoms atoms;
	int from, to;
}; /* positions of axes in the value, or -1 */

/* Atoms that axis i still needs, if its current atoms are a prefix of its goal; else none. */
static struct atoms missing(const struct plan *p, int i)
{
	const struct atoms *now = &p->now[i], *goal = &p->want->axis[i];
	struct atoms out = {.n = 0};
	for (int k = 0; k < now->n; k++)
		if (k >= goal->n || now->at[k] != goal->at[k])
			return out;
	for (int k = now->n; k < goal->n; k++)
		atoms_add(&out, goal->at[k]);
	return out;
}

/* The suffix of axis i's atoms that must go. */
static struct atoms surplus(const struct plan *p, int i)
{
	const struct atoms *now = &p->now[i], *goal = &p->want->axis[i];
	struct atoms out = {.n = 0};
	int same = 0;
	while (same < now->n && same < goal->n && now->at[same] == goal->at[same])
		same++;
	for (int k = same; k < now->n; k++)
		atoms_add(&out, now->at[k]);
	return out;
}

static bool placed(const struct plan *p, int atom)
{
	for (int i = 0; i < p->n; i++)
		if (atoms_have(&p->now[i], atom))
			return true;
	return false;
}

static bool wanted(const struct plan *p, int atom)
{
	for (int i = 0; i < p->n; i++)
		if (atoms_have(&p->want->axis[i], atom))
			return true;
	return false;
}

/* Pending atoms that must be summed now, in mesh order. `also_wanted`: including those that an axis will take. */
static struct atoms to_sum(const struct plan *p, bool also_wanted)
{
	struct atoms out = {.n = 0};
	for (int a = 0; a < p->l->atoms.n; a++)
		if (atoms_have(&p->pending, a) && !atoms_have(&p->want->pending, a) && (also_wanted || !wanted(p, a)))
			atoms_add(&out, a);
	return out;
}

static bool next_scatter_or_slice(const struct plan *p, enum local_op op, struct move *m)
{
	for (int i = 0; i < p->n; i++) {
		struct atoms need = missing(p, i), head = {.n = 0};
		for (int k = 0; k < need.n; k++) {
			bool pending = atoms_have(&p->pending, need.at[k]) && !atoms_have(&p->want->pending, need.at[k]);
			if (op == LOCAL_REDUCE_SCATTER ? !pending : pending || placed(p, need.at[k]))
				break;
			atoms_add(&head, need.at[k]);
		}
		if (!head.n)
			continue;
		*m = (struct move){op, head, -1, i};
		return true;
	}
	return false;
}

static bool next_all_to_all(const struct plan *p, struct move *m)
{
	for (int i = 0; i < p->n; i++) {
		struct atoms leave = surplus(p, i);
		for (int j = 0; j < p->n; j++) {
			struct atoms need = missing(p, j);
			for (int k = leave.n < need.n ? leave.n : need.n; i != j && k > 0; k--) {
				struct atoms tail = {.n = 0}, head = {.n = 0};
				for (int q = 0; q < k; q++) {
					atoms_add(&tail, leave.at[leave.n - k + q]);
					atoms_add(&head, need.at[q]);
				}
				if (!atoms_equal(&tail, &head))
					continue;
				*m = (struct move){LOCAL_ALL_TO_ALL, tail, i, j};
				return true;
			}
		}
	}
	return false;
}

static bool next_move(const struct plan *p, struct move *m)
{
	if (next_scatter_or_slice(p, LOCAL_REDUCE_SCATTER, m) || next_scatter_or_slice(p, LOCAL_SLICE, m)
	    || next_all_to_all(p, m))
		return true;
	struct atoms sum = to_sum(p, false);
	if (sum.n) {
		*m = (struct move){LOCAL_ALL_REDUCE, sum, -1, -1};
		return true;
	}
	for (int i = 0; i < p->n; i++) {
		struct atoms leave = surplus(p, i);
		if (!leave.n)
			continue;
		*m = (struct move){LOCAL_ALL_GATHER, leave, i, -1};
		return true;
	}
	sum = to_sum(p, true);
	*m = (struct move){LOCAL_ALL_REDUCE, sum, -1, -1};
	return sum.n > 0;
}

static void apply_move(struct plan *p, const struct move *m)
{
	if (m->from >= 0)
		p->now[m->from].n -= m->atoms.n;
	for (int k = 0; k < m->atoms.n && m->to >= 0; k++)
		atoms_add(&p->now[m->to], m->atoms.at[k]);
	struct atoms rest = {.n = 0};
	for (int k = 0; k < p->pending.n; k++)
		if (!atoms_have(&m->atoms, p->pending.at[k]))
			atoms_add(&rest, p->pending.at[k]);
	p->pending = rest;
}

static struct layout copy_layout(struct local *l, const struct atoms *axis, int n, const struct atoms *pending)
{
	struct layout out = {.axis = arena_array(l->arena, struct atoms, n + 1), .pending = *pending};
	for (int i = 0; i < n; i++)
		out.axis[i] = axis[i];
	return out;
}

/* Finds an earlier reshard of the value to the same layout, which follows from the move: q, k and v share one gather.
 */
static int find_same(const struct local_phase *ph, int value, const struct move *m, int from, int to)
{
	for (int i = value + 1; i < ph->values.n; i++) {
		const struct local_value *v = &ph->values.at[i];
		if (v->op == m->op && v->n_args == 1 && v->args[0] == value && atoms_equal(&v->move.atoms, &m->atoms)
		    && v->move.from == from && v->move.to == to)
			return i;
	}
	return -1;
}

static int emit_move(struct local_phase *ph, const struct plan *p, int value, const struct move *m, int region,
                     int user, const char *why)
{
	struct local *l = p->l;
	struct local_value v = ph->values.at[value];
	int from = m->from < 0 ? -1 : v.axes[m->from], to = m->to < 0 ? -1 : v.axes[m->to];
	int same = find_same(ph, value, m, from, to);
	if (same >= 0)
		return same;
	const struct program *g = l->program;
	v.op = m->op;
	v.args = arena_array(l->arena, int, 1);
	v.args[0] = value;
	v.n_args = 1;
	v.layout = copy_layout(l, p->now, p->n, &p->pending);
	v.move.atoms = m->atoms;
	v.move.from = from;
	v.move.to = to;
	v.region = region;
	v.move.cause = arena_printf(l->arena, "%s%s%s", why, user >= 0 && g->values.at[user].name ? " " : "",
	                            user >= 0 && g->values.at[user].name ? g->values.at[user].name : "");
	vec_push(l->arena, &ph->values, v);
	return ph->values.n - 1;
}

/* Rounds a sum that was communicated in f32 (`comm { reduce = f32 }`), once it is whole. */
static int round_sum(struct local *l, struct local_phase *ph, int value, int region)
{
	struct local_value v = ph->values.at[value];
	const struct value *s = &l->program->values.at[v.source];
	if (s->type != TYPE_FLOAT || v.dtype == s->dtype || v.layout.pending.n || v.op == LOCAL_ANGLES
	    || v.op == LOCAL_CONST)
		return value;
	for (int i = value + 1; i < ph->values.n; i++)
		if (ph->values.at[i].op == LOCAL_NARROW && ph->values.at[i].args[0] == value)
			return i;
	v.op = LOCAL_NARROW;
	v.args = arena_array(l->arena, int, 1);
	v.args[0] = value;
	v.n_args = 1;
	v.dtype = s->dtype;
	v.region = region;
	vec_push(l->arena, &ph->values, v);
	return ph->values.n - 1;
}

/* What a rank receives in one move; *size becomes what it has afterwards. Both are relative to the rank's initial shard
 * (docs/language.md, Layouts and collectives). */
static double move_traffic(enum local_op op, double ranks, double *size)
{
	double had = *size, others = (ranks - 1) / ranks;
	if (op == LOCAL_ALL_GATHER)
		*size *= ranks;
	if (op == LOCAL_SLICE || op == LOCAL_REDUCE_SCATTER)
		*size /= ranks;
	switch (op) {
	case LOCAL_ALL_GATHER: return had * (ranks - 1);
	case LOCAL_ALL_REDUCE: return 2 * others * had;
	case LOCAL_SLICE:      return 0;
	default:               return others * had;
	}
}

struct reshard_cost reshard_cost_of(struct local *l, int n, const struct layout *from, const struct layout *to)
{
	struct layout start = copy_layout(l, from->axis, n, &from->pending);
	struct plan p = {l, n, start.axis, start.pending, to};
	struct atoms gathered = {.n = 0};
	struct reshard_cost way = {false, 0};
	double size = 1;
	struct move m;
	while (next_move(&p, &m)) {
		for (int k = 0; k < m.atoms.n; k++) {
			way.detour |= m.op == LOCAL_SLICE && atoms_have(&gathered, m.atoms.at[k]);
			if (m.op == LOCAL_ALL_GATHER)
				atoms_add(&gathered, m.atoms.at[k]);
		}
		way.traffic += move_traffic(m.op, (double)atoms_size(l, &m.atoms), &size);
		apply_move(&p, &m);
	}
	return way;
}

int reshard(struct local *l, struct local_phase *ph, int value, const struct layout *want, int region, int user,
            const char *why)
{
	const struct local_value *v = &ph->values.at[value];
	struct layout start = copy_layout(l, v->layout.axis, v->n_axes, &v->layout.pending);
	struct plan p = {l, v->n_axes, start.axis, start.pending, want};
	struct move m;
	for (int steps = 0; next_move(&p, &m); steps++) {
		if (steps > 64)
			internal_error("resharding %%%d does not end", value);
		apply_move(&p, &m);
		value = emit_move(ph, &p, value, &m, region, user, why);
	}
	for (int i = 0; i < p.n; i++)
		if (!atoms_equal(&p.now[i], &want->axis[i]) && !l->sink->errors)
			internal_error("%%%d cannot be resharded", value);
	return round_sum(l, ph, value, region);
}
