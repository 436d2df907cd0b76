/* The plan of a first spec: splits are tried in turn, with the rules of `deployc check`. */
#include "init.h"
#include <string.h>
#include "../sema/internal.h"

enum { MAX_GPUS = 4096, LOADS = 4 };

/* Lengths of prompts and answers, the longest that the model's context has room for, and sequences in flight. */
static const struct lengths_tried {
	int64_t seq, output, batch;
} loads[LOADS] = {{4096, 512, 32}, {1024, 256, 32}, {512, 128, 16}, {64, 16, 4}};

struct split {
	int64_t pp, dp, ep, tp;
};

static int64_t ranks(struct split x) { return x.pp * x.dp * x.ep * x.tp; }

/* ---- the text -------------------------------------------------------------------------------- */

static void put_cluster(const struct first_spec *f, int64_t gpus, struct text *t)
{
	int64_t each = f->devices / f->units, count = f->units;
	const char *from = f->here ? "here." : "";
	while (f->field && count * each < gpus)
		count++;
	text_add(t, "  cluster  = %s%s", from, f->cluster);
	if (f->field && count != f->units)
		text_add(t, " { %s = %lld }", f->field, (long long)count);
	text_add(t, "\n");
	if (gpus != count * each)
		text_add(t, "  gpus     = %lld\n", (long long)gpus);
}

static void put_split(struct split x, struct text *t)
{
	const struct {
		const char *name;
		int64_t size;
	} axes[] = {{"pp", x.pp}, {"dp", x.dp}, {"ep", x.ep}, {"tp", x.tp}};
	text_add(t, "  plan     = Megatron");
	for (int i = 0, n = 0; i < 4; i++)
		if (axes[i].size > 1)
			text_add(t, "%s%s = %lld", n++ ? "; " : " { ", axes[i].name, (long long)axes[i].size);
	text_add(t, "%s\n", ranks(x) > 1 ? " }" : "");
}

static const char *spec_text(const struct first_spec *f, struct split x, const struct lengths_tried *load)
{
	struct text t = {.arena = f->arena};
	const char *slash = f->here ? strrchr(f->here, '/') : NULL;
	text_add(&t, "use std.models { %s }\n", f->model);
	if (!f->here)
		text_add(&t, "use std.clusters { %s }\n", f->cluster);
	text_add(&t, "use std.plans { Megatron }\nuse std.workload { Inference }\n");
	if (f->here)
		text_add(&t, "use \"%s\" as here\n", slash ? slash + 1 : f->here);
	text_add(&t, "\n/// Prompts of up to %lld tokens, answers of up to %lld, %lld of them at a time.\n",
	         (long long)load->seq, (long long)load->output, (long long)load->batch);
	text_add(&t, "deploy Serve {\n  model    = %s%s%s%s\n", f->model, *f->settings ? " { " : "", f->settings,
	         *f->settings ? " }" : "");
	put_cluster(f, ranks(x), &t);
	put_split(x, &t);
	text_add(&t, "  workload = Inference { batch = %lld; seq = 1..%lld; output = %lld }\n}\n", (long long)load->batch,
	         (long long)load->seq, (long long)load->output);
	return t.at;
}

/* ---- trials ---------------------------------------------------------------------------------- */

/* The file that a trial stands in for: beside the cluster that it imports. NULL after a message. */
static const char *place(const struct first_spec *f)
{
	const char *folder = real_path(f->arena, f->here ? folder_of(f->arena, f->here) : ".");
	if (!folder)
		complain("the folder of the spec cannot be found: %s", file_error());
	return folder ? arena_printf(f->arena, "%s/first spec", folder) : NULL;
}

struct outcome {
	bool holds, too_long; /* too_long: the context of the model is shorter */
	int warnings;
	const char *first; /* the first error, or NULL */
};

static struct outcome try_spec(const struct first_spec *f, const char *text)
{
	struct outcome out = {.holds = false};
	struct variant v;
	struct options o = *f->options;
	struct overlay spec = {place(f), {text, strlen(text)}};
	if (!spec.path)
		return out;
	o.sema.overlays = (struct overlays){&spec, 1};
	int status = variant_plan(&v, &o, spec.path, NULL);
	const struct sink *sink = &v.compilation.sink;
	for (int i = 0; i < sink->diags.n; i++) {
		const struct diag *d = sink->diags.at[i];
		if (diag_is_error(d->code) && !out.first)
			out.first = arena_printf(f->arena, "%s [%s]", d->message, diag_code_name(d->code));
		out.too_long |= d->code == DIAG_E0703 || d->code == DIAG_E0705;
	}
	out.holds = status == EXIT_OK && !sink->errors && v.plan;
	out.warnings = sink->warnings;
	variant_free(&v);
	return out;
}

/* The longest lengths that the model has room for: the split does not matter. */
static const struct lengths_tried *choose_load(const struct first_spec *f)
{
	for (int i = 0; i < LOADS; i++)
		if (!try_spec(f, spec_text(f, (struct split){1, 1, 1, 1}, &loads[i])).too_long)
			return &loads[i];
	return &loads[LOADS - 1];
}

struct choice_of_split {
	const char *text, *refused;
	int warnings;
};

static void try_split(const struct first_spec *f, struct split x, const struct lengths_tried *load,
                      struct choice_of_split *best)
{
	const char *text = spec_text(f, x, load);
	struct outcome now = try_spec(f, text);
	if (now.holds && (!best->text || now.warnings < best->warnings))
		*best = (struct choice_of_split){text, NULL, now.warnings};
	else if (!now.holds && !best->text && now.first)
		best->refused = now.first;
}

/* Has the model experts? */
static bool has_experts(const struct first_spec *f)
{
	struct def *d = module_own(module_std(f->library.sema, "models", (struct span){0}), f->model);
	struct record *r = d ? def_record(f->library.sema, d) : NULL;
	return r && record_field(r, "expert");
}

/* All splits of so many ranks, with the widest tensor parallelism first, as it answers one request soonest; then
 * experts, copies of the model, and stages. */
static struct choice_of_split split_ranks(const struct first_spec *f, int64_t gpus, const struct lengths_tried *load)
{
	struct choice_of_split best = {NULL, NULL, 0};
	bool experts = has_experts(f);
	for (int64_t pp = 1; pp <= gpus && !best.text; pp++)
		for (int64_t tp = gpus / pp; gpus % pp == 0 && tp >= 1 && !(best.text && !best.warnings); tp--)
			for (int64_t dp = 1; gpus / pp % tp == 0 && dp <= gpus / pp / tp && !(best.text && !best.warnings); dp++)
				if (gpus / pp / tp % dp == 0 && tp <= 16)
					try_split(f,
					          experts ? (struct split){pp, dp, gpus / pp / tp / dp, tp}
					                  : (struct split){pp, gpus / pp / tp / dp, dp, tp},
					          load, &best);
	return best;
}

const char *init_plan(struct first_spec *f)
{
	const struct lengths_tried *load = choose_load(f);
	int64_t most = f->field ? MAX_GPUS : f->devices;
	struct choice_of_split best = {NULL, NULL, 0};
	if (!f->field && f->gpus > f->devices) {
		complain("%s has %lld devices, %lld are asked for", f->cluster, (long long)f->devices, (long long)f->gpus);
		return NULL;
	}
	if (f->gpus)
		best = split_ranks(f, f->gpus, load);
	for (int64_t n = 1; n <= most && !f->gpus && !best.text; n *= 2)
		best = split_ranks(f, n, load);
	if (!best.text)
		complain("no split of %s over %s%lld devices holds: %s", f->model, f->gpus ? "" : "up to ",
		         (long long)(f->gpus ? f->gpus : most), best.refused ? best.refused : "none was found");
	return best.text;
}
