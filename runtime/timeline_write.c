/* The measured timeline of all ranks in Chrome's trace format, as `deployc trace` writes the predicted one. All ranks
 * are processes of one host, whose clock they share. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "files.h"
#include "meter.h"
#include "runtime.h"

static struct timeline take_timeline(struct rank *r, int rank)
{
	int64_t head[2];
	r->comm->take(r->comm, rank, head, sizeof head);
	struct timeline t = {.n = head[0], .dropped = head[1]};
	t.at = host_alloc((size_t)t.n + 1, sizeof *t.at);
	r->comm->take(r->comm, rank, t.at, (size_t)t.n * sizeof *t.at);
	return t;
}

/* ---- the file -------------------------------------------------------------------------------- */
struct writer {
	const struct plan *plan;
	FILE *out;
	bool more;
	int64_t origin;
};

static void put(struct writer *w, json_t *event)
{
	fputs(w->more ? ",\n" : "\n", w->out);
	w->more = true;
	json_dumpf(event, w->out, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(event);
}

static void put_name(struct writer *w, const char *what, int rank, int track, const char *name)
{
	put(w, json_pack("{s:s, s:s, s:i, s:i, s:{s:s}}", "name", what, "ph", "M", "pid", rank, "tid", track, "args",
	                 "name", name));
}

static void put_names(struct writer *w, int rank)
{
	char name[64];
	int stage = plan_stage(w->plan, rank);
	snprintf(name, sizeof name, (int)w->plan->head->ranks == w->plan->n_stages ? "stage %d" : "stage %d, rank %d",
	         stage, rank);
	put_name(w, "process_name", rank, 0, name);
	put_name(w, "thread_name", rank, TRACK_LAYERS, "layers");
	for (int q = 0; q < QUEUES; q++)
		put_name(w, "thread_name", rank, TRACK_QUEUES + q, queue_name((enum queue)q));
}

static void put_event(struct writer *w, int rank, const struct timed *x)
{
	char layer[96];
	const char *program = plan_string(w->plan, w->plan->programs[x->phase].name), *name = layer;
	json_t *args = json_pack("{s:i}", "microbatch", x->microbatch);
	if (x->op >= 0) {
		name = plan_op(w->plan, x->op);
		json_object_set_new(args, "sent", json_real(x->sent));
	} else
		snprintf(layer, sizeof layer, x->layer < 0 ? "%.48s, outside layers" : "%.48s, layer %d", program, x->layer);
	put(w, json_pack("{s:s, s:s, s:s, s:i, s:i, s:f, s:f, s:o}", "name", name, "cat",
	                 x->op < 0 ? "layers" : term_kind_name((enum term_kind)x->kind), "ph", "X", "pid", rank, "tid",
	                 x->op < 0 ? TRACK_LAYERS : TRACK_QUEUES + (int)x->queue, "ts",
	                 (double)(x->begin - w->origin) / 1e3, "dur", (double)(x->end - x->begin) / 1e3, "args", args));
}

static int64_t earliest(const struct timeline *of, int ranks)
{
	int64_t least = INT64_MAX;
	for (int i = 0; i < ranks; i++)
		for (int64_t k = 0; k < of[i].n; k++)
			least = of[i].at[k].begin < least ? of[i].at[k].begin : least;
	return least;
}

static void write_all(const struct plan *plan, const struct timeline *of, FILE *out)
{
	int ranks = (int)plan->head->ranks;
	struct writer w = {plan, out, false, earliest(of, ranks)};
	int64_t dropped = 0;
	for (int i = 0; i < ranks; i++)
		dropped += of[i].dropped;
	json_t *about =
		json_pack("{s:s, s:i, s:s, s:b, s:i, s:I}", "format", "deployc-trace", "version", TRACE_JSON_VERSION, "deploy",
	              plan_string(plan, plan->head->deploy), "measured", 1, "ranks", ranks, "dropped", (json_int_t)dropped);
	fputs("{\"displayTimeUnit\":\"ms\",\"otherData\":", out);
	json_dumpf(about, out, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(about);
	fputs(",\"traceEvents\":[", out);
	for (int i = 0; i < ranks; i++)
		put_names(&w, i);
	for (int i = 0; i < ranks; i++)
		for (int64_t k = 0; k < of[i].n; k++)
			put_event(&w, i, &of[i].at[k]);
	fputs("\n]}\n", out);
}

void timeline_write(struct rank *r)
{
	const struct plan *plan = r->job->plan;
	int ranks = (int)plan->head->ranks;
	struct timeline *all = host_alloc((size_t)ranks, sizeof *all);
	struct whole_file file;
	r->step.head->phase = STEP_TIMELINE;
	rank_step(r);
	all[0] = *r->timeline;
	for (int i = 1; i < ranks; i++)
		all[i] = take_timeline(r, i);
	activity(r, ACTIVITY_PRINT);
	bool opened = whole_open(&file, r->job->options->trace);
	if (opened)
		write_all(plan, all, file.out);
	if (!opened || !whole_close(&file))
		rank_fail(&r->reporter, "cannot write %s: %s", r->job->options->trace, strerror(errno));
	activity(r, ACTIVITY_WAIT);
	for (int i = 1; i < ranks; i++)
		free(all[i].at);
	free(all);
}
