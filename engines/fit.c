/* What follows from the machine: nodes, and a cache that takes what is left of the memory. */
#include "internal.h"
#include <string.h>
#include "../planner/passes.h"

/* One planning of the draft. What is reported is dropped: `deployc check` of the spec reports it. */
struct planning {
	struct arena arena;
	struct names names;
	struct sources sources;
	struct sink sink;
	struct planned planned;
};

/* The deployment of the draft, or NULL. The caller frees both arenas. */
static struct deploy *load(const struct draft *d, struct planning *p, const char *text)
{
	const struct engine_options *o = d->request->options;
	*p = (struct planning){.arena.heap = o->heap, .planned.arena.heap = o->heap};
	p->names.arena = p->sources.arena = p->sink.arena = &p->arena;
	p->sink.sources = &p->sources;
	struct sema_options *sema = arena_new(&p->arena, struct sema_options);
	*sema = *o->sema;
	sema->set = NULL, sema->n_set = 0;
	sema->overlays = overlays_with(&p->arena, &o->sema->overlays, "-", (struct file_text){text, strlen(text)});
	struct sema *s = sema_new(&p->arena, &p->names, &p->sink, sema);
	int n = 0;
	struct deploy **all = sema_load(s, "-") ? sema_deploys(s, &n) : NULL;
	p->planned.deploy = n ? all[0] : NULL;
	return p->planned.deploy;
}

static void unload(struct planning *p)
{
	arena_free(&p->planned.arena);
	arena_free(&p->arena);
}

bool draft_machine(struct draft *d)
{
	struct request *r = d->request;
	d->cluster = r->options->cluster ? r->options->cluster : "DGX_H100";
	struct planning p;
	const char *text =
		arena_printf(r->arena,
	                 "use std.models { Qwen3_0_6B }\nuse std.clusters { %s }\nuse std.plans { VLLM }\n"
	                 "use std.workload { Inference }\ndeploy It { model = Qwen3_0_6B; cluster = %s; gpus = 1\n"
	                 "plan = VLLM {}; workload = Inference { batch = 1; seq = 1 } }\n",
	                 d->cluster, d->cluster);
	const struct deploy *it = load(d, &p, text);
	bool found = it && it->machine.device.name && it->machine.device.memory > 0;
	if (found) {
		d->device = arena_strndup(r->arena, it->machine.device.name, strlen(it->machine.device.name));
		d->device_memory = it->machine.device.memory;
	} else
		complain("std.clusters declares no cluster `%s` of devices", d->cluster);
	unload(&p);
	return found;
}

/* As many units of the cluster as hold the ranks; the last one may stay part empty. */
static void set_nodes(struct draft *d)
{
	struct planning p;
	const struct deploy *it = load(d, &p, draft_text(d));
	struct suggestion values[2];
	int64_t size = it ? it->machine.devices : 0; /* 0: the draft has a mistake, which `check` reports */
	int64_t units = size ? (d->ranks + size - 1) / size : 1;
	int n = units > 1 ? deploy_devices(it, units * size, &p.arena, values) : 0;
	for (int i = 0; i < n; i++)
		if (!strncmp(values[i].path, "cluster.", 8))
			d->nodes = arena_printf(d->request->arena, "%s = %s", values[i].path + 8, values[i].value);
	unload(&p);
}

/* Does the spec hold so many positions? */
static bool fits(struct draft *d, int64_t cache)
{
	struct planning p;
	d->cache = cache;
	bool holds = false;
	if (load(d, &p, draft_text(d))) {
		struct passes passes = {NULL, &p.names, &p.sink, d->request->options->target, true};
		passes_run(&passes, &p.planned);
		holds = !p.sink.errors && p.planned.schedule;
		if (holds && d->fixed_share > 0) {
			const struct schedule *schedule = p.planned.schedule;
			struct memory m = planner_stage_memory(schedule, planner_fullest_stage(schedule));
			holds = m.weights + m.kv <= d->fixed_share * d->device_memory;
		}
	}
	unload(&p);
	return holds;
}

/* The largest number of pages of a group with which the spec fits, at least those of the longest sequence. */
static void set_cache(struct draft *d)
{
	int64_t least = (d->longest + d->page - 1) / d->page, most = least * ((d->batch + d->owners - 1) / d->owners);
	int64_t unit = d->page * d->owners;
	if (fits(d, most * unit) || !fits(d, least * unit)) {
		return; /* all sequences at their longest; or not even one, which `check` reports with what it takes */
	}
	while (most - least > 1 + least / 256) {
		int64_t middle = least + (most - least) / 2;
		*(fits(d, middle * unit) ? &least : &most) = middle;
	}
	d->cache = least * unit;
	d->fills = d->fixed_share == 0;
}

void draft_fit(struct draft *d)
{
	int64_t cache = d->cache;
	if (!d->training && !cache)
		d->cache = d->longest * d->owners;
	set_nodes(d);
	if (!d->training && !cache)
		set_cache(d);
}
