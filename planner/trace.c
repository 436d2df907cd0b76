/* Steps as a trace. Lists of a stage follow each other; what overlaps does so inside a list (step_time.c). */
#include "trace.h"
#include "training_time.h"
#include "../support/json.h"

struct tracer {
	struct arena *arena;
	const struct plan *plan;
	FILE *out;
	bool first;
	/* of the step that is written */
	const struct step_time *step;
	const char *program;
	double origin; /* s of its start in the trace */
	double starts; /* s of the stage's microbatch in the step */
	int stage;
	int64_t microbatch;
};

double *trace_starts(struct arena *arena, const struct step_time *t, int stages, int64_t microbatches)
{
	double *start = arena_array(arena, double, microbatches *stages + 1);
	for (int64_t m = 0; m < microbatches; m++)
		for (int s = 0; s < stages; s++) {
			double own = m ? start[(m - 1) * stages + s] + t->stage[s].seconds : t->fixed;
			double from = s ? start[m * stages + s - 1] + t->stage[s - 1].seconds : t->fixed;
			start[m * stages + s] = own > from ? own : from;
		}
	return start;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void put(struct tracer *t, json_t *event)
{
	fputs(t->first ? "\n" : ",\n", t->out);
	t->first = false;
	json_put(event, t->out);
}

/* Trace files count in microseconds. */
static json_t *event_of(const struct tracer *t, const char *name, const char *category, int track, double start,
                        double end)
{
	json_t *event = json_object();
	json_set(event, "name", json_text(name));
	json_set(event, "cat", json_string(category));
	json_set(event, "ph", json_string("X"));
	json_set(event, "pid", json_integer(t->stage));
	json_set(event, "tid", json_integer(track));
	json_set(event, "ts", json_real(1e6 * (t->origin + start)));
	json_set(event, "dur", json_real(1e6 * (end - start)));
	return event;
}

static void put_term(struct tracer *t, const struct played *at, double begin, double rounds)
{
	const struct term *term = &at->term;
	const struct schedule *s = t->plan->schedule;
	json_t *event = event_of(t, s->op_names.at[term->instr->op], term_kind_name(term->kind),
	                         TRACK_QUEUES + (int)term->instr->queue, begin + at->start, begin + at->end);
	json_t *args = json_object();
	json_set(args, "operations", json_figure(term->operations));
	json_set(args, "bytes", json_figure(term->bytes));
	json_set(args, "sent", json_figure(term->sent));
	json_set(args, "rounds", json_figure(rounds));
	json_set(event, "args", args);
	put(t, event);
}

/* Writes a run of a list that begins at `begin`, and returns its end. layer < 0: it is none. */
static double put_list(struct tracer *t, const struct list_time *l, double begin, int64_t layer)
{
	double rounds = 1;
	const char *name = layer < 0 ? arena_printf(t->arena, "%s, outside layers", t->program)
	                             : arena_printf(t->arena, "%s, layer %lld", t->program, (long long)layer);
	json_t *event = event_of(t, name, "layers", TRACK_LAYERS, begin, begin + l->seconds), *args = json_object();
	json_set(args, "microbatch", json_integer(t->microbatch));
	json_set(event, "args", args);
	put(t, event);
	for (int i = 0; i < l->list->n; i++) {
		enum instr_kind kind = l->list->at[i].kind;
		if (kind == INSTR_ROUNDS_BEGIN || kind == INSTR_ROUNDS_END)
			rounds = kind == INSTR_ROUNDS_BEGIN ? l->rounds : 1;
		else if (l->at[i].end > l->at[i].start)
			put_term(t, &l->at[i], begin, rounds);
	}
	return begin + l->seconds;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* All lists of a block on a stage; the first of them is list number `first` of the step. */
static double put_block(struct tracer *t, const struct step_block *b, int first, double begin)
{
	const struct schedule *s = t->plan->schedule;
	const struct stage *stage = &s->stages.at[t->stage];
	if (!stages_have(b->stages, t->stage))
		return begin;
	if (!block_repeats(b->kind))
		return put_list(t, &t->step->list[first], begin, -1);
	for (int64_t layer = stage->layer_begin; layer < stage->layer_end; layer++)
		if (layer >= b->layer_begin && layer < b->layer_end)
			begin = put_list(t, &t->step->list[first + s->body_of[layer] - b->first_body], begin, layer);
	return begin;
}

static double stage_events(const struct tracer *t, int stage)
{
	double n = 0;
	for (int i = 0; i < t->step->n_lists; i++)
		n += list_times(t->plan->schedule, &t->step->list[i], stage) * (1 + t->step->list[i].list->n);
	return n;
}

/* As many microbatches as the events allow. */
static int64_t drawn(const struct tracer *t)
{
	double each = 0;
	for (int i = 0; i < t->plan->schedule->stages.n; i++)
		each += stage_events(t, i);
	double most = each > 0 ? TRACE_MAX_EVENTS / 2 / each : 1;
	return most < 1 ? 1 : most < (double)t->step->microbatches ? (int64_t)most : t->step->microbatches;
}

static void put_step(struct tracer *t, const struct step_time *step, const struct step_load *load)
{
	const struct schedule *s = t->plan->schedule;
	const struct step_program *program = &s->programs.at[load->program];
	int stages = s->stages.n;
	t->step = step;
	t->program = program->name;
	int64_t n = drawn(t);
	const double *start = trace_starts(t->arena, step, stages, n);
	for (t->stage = 0; t->stage < stages; t->stage++)
		for (t->microbatch = 0; t->microbatch < n; t->microbatch++) {
			double begin = start[t->microbatch * stages + t->stage];
			for (int b = 0, first = 0; b < program->blocks.n; b++) {
				begin = put_block(t, &program->blocks.at[b], first, begin);
				first += program->blocks.at[b].n;
			}
		}
	t->origin += step->seconds;
}

/* ---- a step of training ---------------------------------------------------------------------- */

/* Tracks of a stage: its microbatches, what it sends, what follows the last microbatch. */
enum { TRACK_MICROBATCHES, TRACK_MESSAGES, TRACK_AFTER, TRAINING_TRACKS };

static void put_span(struct tracer *t, const char *name, const char *category, int track, double start, double end)
{
	if (!(end > start))
		return;
	json_t *event = event_of(t, name, category, track, start, end), *args = json_object();
	if (track != TRACK_AFTER)
		json_set(args, "microbatch", json_integer(t->microbatch));
	json_set(event, "args", args);
	put(t, event);
}

/* The parts of an entry: the program, the part for params alone, the message to the next stage. */
static void put_entry(struct tracer *t, const struct pipeline *p, const struct pipeline_pieces *pieces,
                      const struct pipeline_event *e)
{
	const char *program = e->program == STAGE_FORWARD ? "forward" : "backward";
	int64_t chunk = e->piece / p->stages;
	const char *name = p->chunks > 1 ? arena_printf(t->arena, "%s %lld, chunk %lld", program, (long long)e->microbatch,
	                                                (long long)chunk)
	                                 : arena_printf(t->arena, "%s %lld", program, (long long)e->microbatch);
	double free = pieces->overlapped ? e->end : e->sent;
	t->microbatch = e->microbatch;
	put_span(t, name, program, TRACK_MICROBATCHES, e->start, e->end);
	put_span(t, arena_printf(t->arena, "gradients of params %lld", (long long)e->microbatch), "params",
	         TRACK_MICROBATCHES, free, e->params);
	put_span(t, name, "messages", TRACK_MESSAGES, e->end, e->sent);
}

/* As many microbatches as the events allow, in whole rounds of interleaved chunks. The stages' order is the same up to
 * there in a step of so many more that the last ones do not change it. */
static int64_t drawn_of(const struct pipeline *p, struct pipeline *played)
{
	int64_t round = p->chunks > 1 ? p->stages : 1, each = 4 * p->stages * p->chunks;
	int64_t most = (TRACE_MAX_EVENTS / 2 / each - 2 * p->stages) / round * round;
	*played = *p;
	if (most < round)
		most = round;
	if (most + 2 * p->stages >= p->microbatches)
		return p->microbatches;
	played->microbatches = most + 2 * p->stages;
	return most;
}

static void put_training_step(struct tracer *t, const struct training *training, const struct training_time *time)
{
	struct pipeline played;
	int64_t n = drawn_of(&training->pipeline, &played), entries = stage_entries(&played);
	bool whole = n == training->pipeline.microbatches;
	const struct pipeline_event *events = pipeline_events(t->arena, &played, &time->pieces);
	double after = time->microbatches, end = time->seconds - time->fixed;
	for (t->stage = 0; t->stage < played.stages; t->stage++) {
		for (int64_t i = 0; i < entries; i++) {
			const struct pipeline_event *e = &events[t->stage * entries + i];
			bool moved = !whole && played.order == PIPELINE_FILL_DRAIN && e->program == STAGE_BACKWARD;
			if (e->microbatch < n && !moved)
				put_entry(t, &played, &time->pieces, e);
		}
		double synced = after + time->stage_sync[t->stage];
		put_span(t, "gradients over ranks", "gradients", TRACK_AFTER, after, synced);
		put_span(t, "optimizer", "optimizer", TRACK_AFTER, synced, synced + time->stage_optimizer[t->stage]);
		put_span(t, "what the engine adds", "engine", TRACK_AFTER, end, time->seconds);
	}
}

/* ---- names ----------------------------------------------------------------------------------- */

static void put_name(struct tracer *t, const char *what, int track, const char *name)
{
	json_t *event = json_object(), *args = json_object();
	json_set(event, "name", json_string(what));
	json_set(event, "ph", json_string("M"));
	json_set(event, "pid", json_integer(t->stage));
	json_set(event, "tid", json_integer(track));
	json_set(args, "name", json_text(name));
	json_set(event, "args", args);
	put(t, event);
}

static void put_training_names(struct tracer *t, int64_t stages)
{
	static const char *const tracks[TRAINING_TRACKS] = {"microbatches", "messages", "after the microbatches"};
	for (t->stage = 0; t->stage < stages; t->stage++) {
		put_name(t, "process_name", 0, arena_printf(t->arena, "stage %d", t->stage));
		for (int i = 0; i < TRAINING_TRACKS; i++)
			put_name(t, "thread_name", i, tracks[i]);
	}
}

static void put_names(struct tracer *t)
{
	for (t->stage = 0; t->stage < t->plan->schedule->stages.n; t->stage++) {
		put_name(t, "process_name", 0, arena_printf(t->arena, "stage %d", t->stage));
		put_name(t, "thread_name", TRACK_LAYERS, "layers");
		for (int q = 0; q < QUEUES; q++)
			put_name(t, "thread_name", TRACK_QUEUES + q, queue_name((enum queue)q));
	}
}

static json_t *about(const struct plan *p, const char *spec, const struct training_time *training)
{
	json_t *other = json_document("deployc-trace", TRACE_JSON_VERSION);
	const struct metrics *m = &p->metrics;
	json_set(other, "spec", json_text(spec));
	json_set(other, "deploy", json_text(p->deploy->name));
	json_set(other, "basis", json_text_or_null(m->basis));
	json_set(other, "prefill_seconds", m->prefill ? json_figure(m->prefill->seconds) : json_null());
	json_set(other, "decode_seconds", m->decode ? json_figure(m->decode->seconds) : json_null());
	json_set(other, "step_seconds", training ? json_figure(training->seconds) : json_null());
	return other;
}

void trace_json(struct arena *arena, const struct plan *p, const char *spec, FILE *out)
{
	struct tracer t = {.arena = arena, .plan = p, .out = out, .first = true};
	fputs("{\"displayTimeUnit\":\"ms\",\"otherData\":", out);
	struct training_time training;
	if (p->training)
		training = training_time_of(p->training, arena);
	json_put(about(p, spec, p->training ? &training : NULL), out);
	fputs(",\"traceEvents\":[", out);
	if (p->training) {
		put_training_names(&t, p->training->pipeline.stages);
		put_training_step(&t, p->training, &training);
		fputs("\n]}\n", out);
		return;
	}
	put_names(&t);
	if (p->metrics.prefill)
		put_step(&t, p->metrics.prefill, &p->metrics.prefill_load);
	if (p->metrics.decode)
		put_step(&t, p->metrics.decode, &p->metrics.decode_load);
	fputs("\n]}\n", out);
}
