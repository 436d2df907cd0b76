/* The time of a step of training: what a microbatch takes on each piece of the pipeline, all microbatches, gradients
 * over the ranks that have parts of them, the optimizer. */
#include "training_time.h"
#include <math.h>
#include "pipeline.h"

/* Gradients of a stage that are added up over the same ranks, in bytes. */
struct sum_group {
	uint64_t pending, stored; /* stored: atoms that cut what an optimizer keeps, and not the weight */
	double gradients, weights;
};

struct stepping {
	const struct training *t;
	struct timing timing;
	struct training_pending pending;
	struct training_cost *body;                  /* of each body, a layer */
	double *forward, *backward, *exposed, *host; /* by piece; exposed and host: parts of the sum of the first two */
	int64_t pieces;
};

static double larger(double x, double y) { return x > y ? x : y; }

/* ---- pieces ----------------------------------------------------------------------------------- */

/* Chunks of a message run beside the products that need them: one chunk is exposed, or what the products do not cover.
 */
static const double COVERED = 0.8;
/* Where communication runs beside kernels, each slows the other by this share of the shorter. */
static const double BESIDE = 0.08;
/* The host starts kernels of the backward pass faster: it has nothing else to do there. */
static const double BACK_LAUNCH = 0.7;

static double exposed_of(const struct stepping *s, double messages, double work, double products, double ranks)
{
	if (s->t->deploy->overlap != OVERLAP_CHUNKS || messages <= 0)
		return messages;
	return larger(messages / ranks, messages * work - COVERED * products);
}

static double beside(double kernels, double messages)
{
	return messages > 0 ? larger(kernels, messages) + BESIDE * fmin(kernels, messages) : kernels;
}

/* Seconds of a part, and what of them is not kernels. */
struct part_time {
	struct layer_time time;
	double exposed, host;
};

static struct part_time part_time(const struct stepping *s, const struct training_cost *c)
{
	double launch = s->timing.engine ? s->timing.engine->launch : 0;
	double sent = exposed_of(s, c->messages, 1, c->products, c->longest_group) + c->exchanges;
	double back = exposed_of(s, c->messages_back, 1.5, c->products_back, c->longest_group) + c->exchanges_back
	              + c->messages_again;
	double f = c->forward + sent, b = c->backward + c->again + back;
	double f_all = larger(beside(f, c->gathers), c->launches * launch);
	double b_all =
		larger(beside(b, c->gathers + c->scatters), (BACK_LAUNCH * 2 * c->launches + c->launches_again) * launch);
	double f_sent = beside(f, c->gathers), b_sent = beside(b, c->gathers + c->scatters);
	return (struct part_time){{f_all, b_all}, sent + back + f_sent - f + b_sent - b, f_all - f_sent + b_all - b_sent};
}

/* Adds `times` runs of a part to a piece. */
static void add_cost(struct stepping *s, int64_t piece, const struct training_cost *c, double times)
{
	struct part_time p = part_time(s, c);
	s->forward[piece] += times * p.time.forward;
	s->backward[piece] += times * p.time.backward;
	s->exposed[piece] += times * p.exposed;
	s->host[piece] += times * p.host;
}

/* The piece of the pipeline that has a layer. */
static int64_t piece_of(const struct stepping *s, int64_t layer)
{
	const struct pipeline *p = &s->t->pipeline;
	for (int c = 0; c < p->chunks; c++)
		for (int i = 0; i < p->stages; i++) {
			struct layer_range r = training_layers(s->t, i, c);
			if (r.begin <= layer && layer < r.end)
				return (int64_t)c * p->stages + i;
		}
	return 0;
}

static void add_outside(struct stepping *s, int part, double *peak, double *again)
{
	const struct program *p = s->t->local->program;
	int next = (part - part_outside(0)) / 2;
	int64_t piece = next < p->loops.n ? piece_of(s, p->loops.at[next].first_turn) : s->pieces - 1;
	struct training_cost c = training_cost_of(s->t, &s->timing, &s->pending, -1, part);
	add_cost(s, piece, &c, 1);
	*peak += training_peak_seconds(s->t, &s->timing, -1, part, false);
	*again += training_peak_seconds(s->t, &s->timing, -1, part, true);
}

static void find_pieces(struct stepping *s, double *peak, double *again)
{
	const struct program *p = s->t->local->program;
	const struct pipeline *pipeline = &s->t->pipeline;
	s->body = arena_array(s->t->arena, struct training_cost, p->bodies.n + 1);
	for (int b = 0; b < p->bodies.n; b++) {
		s->body[b] = training_cost_of(s->t, &s->timing, &s->pending, b, -1);
		double turns = (double)p->bodies.at[b].turns;
		*peak += turns * training_peak_seconds(s->t, &s->timing, b, -1, false);
		*again += turns * training_peak_seconds(s->t, &s->timing, b, -1, true);
	}
	for (int c = 0; c < pipeline->chunks; c++)
		for (int i = 0; i < pipeline->stages; i++)
			for (int b = 0; b < p->bodies.n; b++)
				add_cost(s, (int64_t)c * pipeline->stages + i, &s->body[b],
				         (double)training_turns(s->t, training_layers(s->t, i, c), b));
	for (int part = part_outside(0); part < s->t->local->parts.n; part += 2)
		add_outside(s, part, peak, again);
}

/* ---- between stages --------------------------------------------------------------------------- */

/* Ranks of a stage that hold the same values send a part each, and gather it where their links are faster. */
static double message(struct stepping *s)
{
	const struct training *t = s->t;
	const struct local *l = t->local;
	double bytes = 0, copies = 1;
	uint64_t stages = 0, same = 0;
	for (int i = 0; i < l->stages.n; i++)
		stages |= (uint64_t)1 << l->stages.at[i];
	for (int i = 0; i < t->forward->carries.n; i++) {
		const struct loop_carry *c = &t->forward->carries.at[i];
		const struct local_value *v = &t->forward->values.at[c->begin];
		if (c->body != l->program->loops.at[0].first_body)
			continue;
		bytes += training_value_bytes(t, c->begin);
		same = 0;
		for (int a = 0; a < l->atoms.n; a++) {
			bool used = stages >> a & 1;
			for (int k = 0; k < v->n_axes; k++)
				used |= atoms_have(&v->layout.axis[k], a);
			same |= used ? 0 : (uint64_t)1 << a;
		}
	}
	double *members = s->timing.members;
	training_members(t, stages, members);
	for (int k = 0; k < t->deploy->machine.levels.n; k++)
		members[k] = members[k] > 1 ? 2 : 1;
	double whole = time_of(timing_collective(&s->timing, DR_SEND, members, bytes));
	copies = training_group(t, same);
	if (copies <= 1 || s->timing.lacks)
		return whole;
	double part = time_of(timing_collective(&s->timing, DR_SEND, members, bytes / copies));
	training_members(t, same, members);
	return fmin(whole, part + time_of(timing_collective(&s->timing, DR_ALL_GATHER, members, bytes)));
}

/* ---- gradients and optimizer ------------------------------------------------------------------ */

static uint64_t layout_atoms(const struct layout *l, int n)
{
	uint64_t mask = 0;
	for (int i = 0; i < n; i++)
		for (int k = 0; k < l->axis[i].n; k++)
			mask |= (uint64_t)1 << l->axis[i].at[k];
	return mask;
}

/* Gradients of a param on a stage: `times` layers of it. */
static void add_gradient(struct stepping *s, int value, double times, struct sum_group *groups, int *n)
{
	const struct training *t = s->t;
	const struct param *p = &t->local->program->params.at[training_source(t, value)->param];
	struct local l = *t->local;
	struct layout weight = place_stored(&l, p, CLASS_WEIGHT), kept = place_stored(&l, p, CLASS_OPTIMIZER);
	uint64_t stored = layout_atoms(&kept, p->n_axes) & ~layout_atoms(&weight, p->n_axes);
	uint64_t pending = s->pending.of[value];
	enum dtype format = t->deploy->compressed ? t->deploy->gradient_sent : t->deploy->work.optimizer.gradient;
	int i = 0;
	while (i < *n && (groups[i].pending != pending || groups[i].stored != stored))
		i++;
	if (i == *n)
		groups[(*n)++] = (struct sum_group){pending, stored, 0, 0};
	groups[i].gradients += times * training_param_bytes(t, p, CLASS_WEIGHT, format);
	groups[i].weights += times * training_param_bytes(t, p, CLASS_WEIGHT, p->dtype);
}

static double over(struct stepping *s, enum dr_collective_kind kind, uint64_t atoms, double bytes)
{
	if (training_group(s->t, atoms) <= 1)
		return 0;
	training_members(s->t, atoms, s->timing.members);
	return time_of(timing_collective(&s->timing, kind, s->timing.members, bytes));
}

/* Layers of a stage that have a param; of one outside the loops, whether the stage reads it. */
static double times_on(const struct stepping *s, int value, int stage)
{
	const struct param *p = &s->t->local->program->params.at[training_source(s->t, value)->param];
	double n = 0;
	if (!p->in_loop)
		return training_reads(s->t, value, stage);
	for (int c = 0; c < s->t->pipeline.chunks; c++)
		n += (double)training_turns(s->t, training_layers(s->t, stage, c), p->body);
	return n;
}

/* Adds gradients up over the ranks that have parts of them. What the optimizer keeps in parts is scattered instead, and
 * the new weights are gathered. */
static double sync_of(struct stepping *s, int stage)
{
	const struct training *t = s->t;
	struct sum_group *groups = arena_array(t->arena, struct sum_group, t->local->program->params.n + 1);
	int n = 0;
	double seconds = 0;
	for (int i = 0; i < t->forward->values.n; i++)
		if (training_is(t, i, OP_PARAM) && times_on(s, i, stage) > 0)
			add_gradient(s, i, times_on(s, i, stage), groups, &n);
	for (int i = 0; i < n; i++) {
		uint64_t scattered = groups[i].pending & groups[i].stored, rest = groups[i].pending & ~groups[i].stored;
		seconds += over(s, DR_REDUCE_SCATTER, scattered, groups[i].gradients);
		seconds += over(s, DR_ALL_REDUCE, rest, groups[i].gradients / training_group(t, scattered));
		seconds += over(s, DR_ALL_GATHER, groups[i].stored, groups[i].weights);
	}
	return seconds;
}

/* Both ends of a pipeline add up the gradients of a param that both have. */
static double ends_of(struct stepping *s)
{
	const struct training *t = s->t;
	double bytes = 0;
	uint64_t stages = 0;
	for (int i = 0; i < t->local->stages.n; i++)
		stages |= (uint64_t)1 << t->local->stages.at[i];
	for (int i = 0; i < t->forward->values.n; i++)
		if (t->pipeline.stages > 1 && training_is(t, i, OP_PARAM) && training_reads(t, i, 0)
		    && training_reads(t, i, (int)t->pipeline.stages - 1)
		    && !t->local->program->params.at[training_source(t, i)->param].in_loop)
			bytes += training_param_bytes(t, &t->local->program->params.at[training_source(t, i)->param], CLASS_WEIGHT,
			                              t->deploy->work.optimizer.gradient);
	training_members(t, stages, s->timing.members);
	for (int k = 0; k < t->deploy->machine.levels.n; k++)
		s->timing.members[k] = s->timing.members[k] > 1 ? 2 : 1;
	return time_of(timing_collective(&s->timing, DR_ALL_REDUCE, s->timing.members, bytes));
}

/* Reads and writes for each param that a rank owns: what the engine is known for, else each state once, and the
 * gradient twice, for its norm too. All gradients are set to zero. */
static double optimizer_of(const struct stepping *s, int stage)
{
	const struct optimizer *o = &s->t->deploy->work.optimizer;
	const struct engine *e = s->timing.engine;
	double bytes = 0;
	for (int i = 0; i < s->t->forward->values.n; i++) {
		double times = training_is(s->t, i, OP_PARAM) ? times_on(s, i, stage) : 0;
		if (times <= 0)
			continue;
		const struct param *p = &s->t->local->program->params.at[training_source(s->t, i)->param];
		double owned = training_param_bytes(s->t, p, CLASS_OPTIMIZER, DTYPE_F32) / 4;
		double states =
			2 * (double)o->states * dtype_millibits(o->moments) + 2.0 * dtype_millibits(o->gradient)
			+ (o->has_master ? 2 : 1) * (o->has_master ? dtype_millibits(o->master) : dtype_millibits(p->dtype))
			+ dtype_millibits(p->dtype);
		double each = e && e->optimizer_bytes > 0 ? e->optimizer_bytes : states / 8000;
		bytes += times * (owned * each + training_param_bytes(s->t, p, CLASS_GRADIENT, o->gradient));
	}
	return time_of(timing_pass(&s->timing, bytes, false));
}

/* ---- a step ----------------------------------------------------------------------------------- */

/* Gradients go beside the last backward and the first forward of the step, where an engine overlaps them: what the
 * window does not cover is exposed, and at least the last layer's. */
static double exposed_sync(const struct stepping *s, double sync, int stage)
{
	const struct pipeline *p = &s->t->pipeline;
	double window = 0, layers = (double)s->t->local->stage_layers.at[stage];
	if (s->t->deploy->overlap == OVERLAP_OFF)
		return sync;
	for (int c = 0; c < p->chunks; c++)
		window += s->forward[c * p->stages + stage] + s->backward[c * p->stages + stage];
	return larger(sync / larger(layers, 1), sync - COVERED * window);
}

static void after_microbatches(struct stepping *s, struct training_time *out)
{
	double ends = ends_of(s), longest = -1;
	double *sync = arena_array(s->t->arena, double, s->t->pipeline.stages + 1);
	double *optimizer = arena_array(s->t->arena, double, s->t->pipeline.stages + 1);
	for (int i = 0; i < s->t->pipeline.stages; i++) {
		sync[i] = exposed_sync(s, sync_of(s, i) + ends, i);
		optimizer[i] = optimizer_of(s, i);
		if (sync[i] + optimizer[i] <= longest)
			continue;
		longest = sync[i] + optimizer[i];
		out->sync = sync[i];
		out->optimizer = optimizer[i];
	}
	out->stage_sync = sync;
	out->stage_optimizer = optimizer;
}

/* Sums over the chunks of a stage. */
static double of_stage(const struct stepping *s, const double *piece, int stage)
{
	double sum = 0;
	for (int64_t c = 0; c < s->t->pipeline.chunks; c++)
		sum += piece[c * s->t->pipeline.stages + stage];
	return sum;
}

static void run_pipeline(struct stepping *s, struct training_time *out)
{
	const struct pipeline *p = &s->t->pipeline;
	double *transfer = arena_array(s->t->arena, double, p->stages + 1);
	double *busy = arena_array(s->t->arena, double, p->stages + 1);
	double each = p->stages > 1 ? message(s) : 0;
	if (s->timing.lacks)
		return;
	for (int64_t i = 0; i < p->stages; i++)
		transfer[i] = each;
	struct pipeline_pieces pieces = {.forward = s->forward,
	                                 .backward = s->backward,
	                                 .transfer = transfer,
	                                 .overlapped = s->t->deploy->double_buffer};
	struct pipeline_time time = pipeline_time(s->t->arena, p, &pieces, busy);
	for (int i = 1; i < p->stages; i++)
		out->slowest = busy[i] > busy[out->slowest] ? i : out->slowest;
	int slow = out->slowest;
	double m = (double)p->microbatches;
	out->forward = of_stage(s, s->forward, slow);
	out->backward = of_stage(s, s->backward, slow);
	out->exposed = m * of_stage(s, s->exposed, slow);
	out->host = m * of_stage(s, s->host, slow);
	out->compute = m * (out->forward + out->backward) - out->exposed - out->host;
	out->messages = larger(busy[slow] - m * (out->forward + out->backward), 0);
	out->waiting = larger(time.seconds - m * (out->forward + out->backward) - out->messages, 0);
	out->bubble = time.bubble;
	out->pieces = pieces;
	out->microbatches = time.seconds;
}

struct training_time training_time_of(const struct training *t, struct arena *arena)
{
	struct training with = *t;
	with.arena = arena;
	struct stepping s = {.t = &with, .timing = timing_of_deploy(t->deploy, arena)};
	struct training_time out = {.experts = planner_has_experts(t->local->program)};
	s.pieces = t->pipeline.stages * t->pipeline.chunks;
	s.forward = arena_array(arena, double, s.pieces + 1);
	s.backward = arena_array(arena, double, s.pieces + 1);
	s.exposed = arena_array(arena, double, s.pieces + 1);
	s.host = arena_array(arena, double, s.pieces + 1);
	training_find_pending(&with, &s.pending);
	find_pieces(&s, &out.peak_seconds, &out.peak_again);
	out.peak_seconds *= 3 / (double)t->deploy->gpus;
	out.peak_again /= (double)t->deploy->gpus;
	struct layer_time *body = arena_array(arena, struct layer_time, t->local->program->bodies.n + 1);
	for (int b = 0; b < t->local->program->bodies.n; b++)
		body[b] = part_time(&s, &s.body[b]).time;
	out.body = body;
	if (!s.timing.lacks)
		run_pipeline(&s, &out);
	if (!s.timing.lacks)
		after_microbatches(&s, &out);
	out.fixed = s.timing.engine && figure_known(s.timing.engine->step) ? s.timing.engine->step : 0;
	out.lacks = s.timing.lacks;
	out.basis = timing_basis(&s.timing, s.timing.arena);
	out.interval = timing_interval(&s.timing, out.experts ? INTERVAL_TRAIN_EXPERTS : INTERVAL_TRAIN_DENSE);
	out.seconds = out.lacks ? ABSENT
	                        : out.compute + out.exposed + out.host + out.messages + out.waiting + out.sync
	                              + out.optimizer + out.fixed;
	return out;
}
