/* The text of a spec from a draft, in canonical form. */
#include "internal.h"
#include <ctype.h>
#include <string.h>
#include "../parser/format.h"

/* "a; b; c" */
static void add_joined(struct text *t, const char *const *at, int n)
{
	for (int i = 0; i < n; i++)
		text_add(t, "%s%s", i ? "; " : "", at[i]);
}

static void write_uses(const struct draft *d, struct text *t)
{
	if (!d->model_text)
		text_add(t, "use std.models { %s }\n", d->model);
	text_add(t, "use std.clusters { %s }\nuse std.engines { %s }\nuse std.plans { %s }\n", d->cluster, d->engine,
	         d->plan);
	bool optimizer = false;
	for (int i = 0; i < d->work.n; i++)
		optimizer |= strstr(d->work.at[i], "AdamW") != NULL;
	text_add(t, "use std.workload { %s }\n\n", optimizer ? "AdamW, Training" : d->training ? "Training" : "Inference");
}

static void write_model(const struct draft *d, struct text *t)
{
	text_add(t, "  model = %s", d->model);
	if (d->formats.n) {
		text_add(t, " { ");
		add_joined(t, d->formats.at, d->formats.n);
		text_add(t, " }");
	}
	text_add(t, "\n");
}

static void write_cluster(const struct draft *d, struct text *t)
{
	bool fraction = d->used > 0;
	text_add(t, "  cluster = %s", d->cluster);
	if (d->nodes || fraction)
		text_add(t, " { %s%s", d->nodes ? d->nodes : "", d->nodes && fraction ? "; " : "");
	if (fraction)
		text_add(t, "reserve { memory = %.6g%% * device.memory }", (1 - d->used) * 100);
	text_add(t, "%s\n  gpus = %lld\n", d->nodes || fraction ? " }" : "", (long long)d->ranks);
}

static void write_plan(const struct draft *d, struct text *t)
{
	text_add(t, "  plan = %s {", d->plan);
	if (d->rules.n)
		text_add(t, "\n    ");
	else
		text_add(t, " ");
	add_joined(t, d->mesh.at, d->mesh.n);
	for (int i = 0; i < d->rules.n; i++)
		text_add(t, "%s    %s", i || d->mesh.n ? "\n" : "", d->rules.at[i]);
	text_add(t, d->rules.n ? "\n  }\n" : " }\n");
}

/* The records of the library by the names that engine_export gives its modules. */
void draft_overrides(const struct draft *d, struct text *t)
{
	text_add(t, "  plan = exported_plans.%s {\n    ", d->plan);
	add_joined(t, d->mesh.at, d->mesh.n);
	for (int i = 0; i < d->rules.n; i++)
		text_add(t, "\n    %s", d->rules.at[i]);
	text_add(t, "\n  }\n  workload = exported_workload.%s { ", d->training ? "Training" : "Inference");
	for (int i = 0; i < d->work.n; i++) {
		const char *adam = strstr(d->work.at[i], "AdamW");
		text_add(t, "%.*s%s%s; ", (int)(adam ? adam - d->work.at[i] : (long)strlen(d->work.at[i])), d->work.at[i],
		         adam ? "exported_workload." : "", adam ? adam : "");
	}
	if (!d->training)
		text_add(t, "cache = %lld ", (long long)d->cache);
	text_add(t, "}\n");
}

static void write_deploy(const struct draft *d, struct text *t)
{
	if (d->fills)
		text_add(t, "// deploy: allow W0702 the cache takes what is left, as %s does\n",
		         flag_program_name(d->request->program));
	text_add(t, "deploy Imported {\n");
	write_model(d, t);
	write_cluster(d, t);
	write_plan(d, t);
	text_add(t, "  engine = %s\n  workload = %s { ", d->engine, d->training ? "Training" : "Inference");
	add_joined(t, d->work.at, d->work.n);
	if (!d->training)
		text_add(t, "; cache = %lld", (long long)d->cache);
	text_add(t, " }\n");
	if (d->fixed_share > 0)
		text_add(t, "  require memory.weights + memory.kv <= %.6g%% * cluster.device.memory\n", d->fixed_share * 100);
	text_add(t, "}\n");
}

/* A line of a comment: a control character, such as a newline, would leave it. */
static void write_comment(struct text *t, const char *text)
{
	text_add(t, "//   ");
	for (; *text; text++)
		text_add(t, "%c", iscntrl((unsigned char)*text) ? ' ' : *text);
	text_add(t, "\n");
}

static void write_notes(const struct draft *d, struct text *t)
{
	const struct request *r = d->request;
	text_add(t, "\n// Not on the command line, so taken:\n");
	write_comment(t, arena_printf(r->arena, "cluster: %s, the devices", d->cluster));
	for (int i = 0; i < d->notes.n; i++)
		write_comment(t, d->notes.at[i]);
	if (r->beside.n)
		text_add(t, "// On it, and without effect on the plan:\n");
	for (int i = 0; i < r->beside.n; i++)
		write_comment(t, r->beside.at[i]);
}

const char *draft_text(const struct draft *d)
{
	struct text t = {.arena = d->request->arena};
	text_add(&t, "// From %s, by `deployc import --from`.\n", flag_program_name(d->request->program));
	write_uses(d, &t);
	if (d->model_text)
		text_add(&t, "%s\n", d->model_text);
	write_deploy(d, &t);
	write_notes(d, &t);
	return t.at;
}

const char *draft_formatted(const struct draft *d)
{
	struct arena *a = d->request->arena;
	struct sources sources = {.arena = a};
	struct sink sink = {.arena = a, .sources = &sources};
	const char *text = draft_text(d);
	sources_add(&sources, "imported", "imported", text, strlen(text));
	struct formatted f = format_module(a, d->request->names, &sink, 0);
	if (!f.text)
		internal_error("the imported spec cannot be parsed:\n%s", text);
	return arena_strndup(a, f.text, f.size);
}
