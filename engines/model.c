/* The model: a folder with a config.json, a name that people give to a checkpoint, or a shape. */
#include "internal.h"
#include <ctype.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../import/import.h"
#include "../sema/deploy.h"
#include "../sema/module.h"

/* ---- what a model is ------------------------------------------------------------------------- */

/* A text of the language, loaded to look at its records; what it reports is dropped. */
struct looked_at {
	struct sink sink;
	struct sources sources;
	struct sema *sema;
};

static struct sema *look_at(struct request *r, struct looked_at *l, const char *text)
{
	*l = (struct looked_at){.sources.arena = r->arena};
	l->sink = (struct sink){.arena = r->arena, .sources = &l->sources};
	struct sema_options *o = arena_new(r->arena, struct sema_options);
	*o = *r->options->sema;
	o->set = NULL, o->n_set = 0;
	o->overlays = overlays_with(r->arena, &r->options->sema->overlays, "-", (struct file_text){text, strlen(text)});
	l->sema = sema_new(r->arena, r->names, &l->sink, o);
	return sema_load(l->sema, "-") ? l->sema : NULL;
}

static struct record *model_record(struct sema *s, const char *name)
{
	struct def *d = s ? module_own(s->main, name) : NULL;
	return d && !d->failed && !strcmp(d->kind, "model") ? def_record(s, d) : NULL;
}

/* The number of a field that may be missing: 0. */
static int64_t size_of(struct record *r, const char *field) { return record_field(r, field) ? count_of(r, field) : 0; }

/* Sizes that Megatron-LM's flags have too. A model without experts has none of the last three. */
struct shape {
	int64_t layers, hidden, heads, kv_heads, ffn, experts, expert_ffn, top_k;
	int64_t vocabulary, head_dim;
};

static struct shape shape_of(struct record *r)
{
	struct shape s = {.layers = size_of(r, "layers"), .hidden = size_of(r, "d_model"), .ffn = size_of(r, "ffn")};
	s.kv_heads = size_of(r, "kv_heads");
	s.heads = s.kv_heads ? s.kv_heads * size_of(r, "q_group") : size_of(r, "heads");
	s.experts = size_of(r, "expert"), s.expert_ffn = size_of(r, "expert_ffn"), s.top_k = size_of(r, "top_k");
	s.vocabulary = size_of(r, "vocab"), s.head_dim = size_of(r, "head_dim");
	return s;
}

/* ---- a name ---------------------------------------------------------------------------------- */

static bool is_folder(struct request *r, const char *path)
{
	struct stat s;
	return !stat(path, &s)
	       && (S_ISREG(s.st_mode) ? true : !access(arena_printf(r->arena, "%s/config.json", path), F_OK));
}

static bool use_folder(struct draft *d, const char *path)
{
	struct request *r = d->request;
	struct import_options how = {r->options->sema, r->options->output};
	struct imported m = import_checkpoint(r->arena, r->names, r->sink, path, &how);
	const char *name = m.text ? strstr(m.text, "\nmodel ") : NULL;
	if (!name)
		return false;
	name += strlen("\nmodel ");
	d->model_text = m.text;
	d->model = arena_strndup(r->arena, name, strcspn(name, " "));
	return true;
}

static bool unknown_model(struct draft *d, struct span at, const char *name)
{
	struct request *r = d->request;
	struct diag *g = diag_report(r->sink, DIAG_E1007, at, "the library has no model for `%s`", name);
	diag_help(r->sink, g, "name the folder of its config.json: `deployc import DIR --from ...`");
	return false;
}

static bool is_library_model(struct request *r, const char *name)
{
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_')
			return false;
	struct looked_at l;
	struct sema *s = look_at(r, &l, arena_printf(r->arena, "use std.models { %s }\nmodel It_ = %s {}\n", name, name));
	return s && !l.sink.errors && model_record(s, "It_");
}

static bool use_name(struct draft *d, const char *name, struct span at)
{
	struct request *r = d->request;
	const struct published *p = published_find(name);
	if (!p && !is_library_model(r, name))
		return unknown_model(d, at, name);
	d->model = p ? p->model : arena_strndup(r->arena, name, strlen(name));
	if (p && *p->settings)
		vec_push(r->arena, &d->formats, p->settings);
	if (p && p->quantised)
		diag_report(r->sink, DIAG_W1005, at, "the weights of `%s` are %s: the spec stores %s", name, p->quantised,
		            *p->settings ? "fp8_e4m3 without scales" : "bf16");
	return true;
}

/* ---- a shape --------------------------------------------------------------------------------- */

/* What the flags say of the shape; 0: nothing. */
static struct shape said_shape(struct request *r)
{
	struct shape s = {.layers = said_count(r, MEANS_LAYERS, 1, 0), .hidden = said_count(r, MEANS_HIDDEN, 1, 0)};
	s.heads = said_count(r, MEANS_HEADS, 1, 0);
	s.kv_heads = said_count(r, MEANS_KV_HEADS, 1, 0);
	s.experts = said_count(r, MEANS_EXPERTS, 1, 0), s.top_k = said_count(r, MEANS_TOP_K, 1, 0);
	s.ffn = said_count(r, MEANS_FFN, 1, 0);
	s.expert_ffn = said_count(r, MEANS_EXPERT_FFN, 1, s.experts ? s.ffn : 0);
	s.vocabulary = said_count(r, MEANS_VOCABULARY, 1, 0), s.head_dim = said_count(r, MEANS_HEAD_DIM, 1, 0);
	if (s.experts)
		s.ffn = 0; /* that of dense layers, which a model of experts may lack */
	return s;
}

struct size_pair {
	enum flag_meaning flag;
	int64_t said, has;
};

/* The sizes that are said, beside those of the model. Returns their number. */
static int pair_sizes(const struct shape *said, const struct shape *has, struct size_pair out[10])
{
	const struct size_pair all[] = {
		{MEANS_LAYERS, said->layers, has->layers},
		{MEANS_HIDDEN, said->hidden, has->hidden},
		{MEANS_HEADS, said->heads, has->heads},
		{MEANS_KV_HEADS, said->kv_heads, has->kv_heads},
		{MEANS_FFN, said->ffn, has->ffn},
		{MEANS_EXPERTS, said->experts, has->experts},
		{MEANS_EXPERT_FFN, said->expert_ffn, has->expert_ffn},
		{MEANS_TOP_K, said->top_k, has->top_k},
		{MEANS_VOCABULARY, said->vocabulary, has->vocabulary},
		{MEANS_HEAD_DIM, said->head_dim, has->head_dim},
	};
	int n = 0;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i].said)
			out[n++] = all[i];
	return n;
}

static bool same_shape(const struct shape *said, const struct shape *has)
{
	struct size_pair pairs[10];
	int n = pair_sizes(said, has, pairs);
	for (int i = 0; i < n; i++)
		if (pairs[i].said != pairs[i].has)
			return false;
	return (said->experts > 0) == (has->experts > 0);
}

/* Finds the model of the library that has the shape. */
static bool use_shape(struct draft *d)
{
	struct request *r = d->request;
	struct shape want = said_shape(r);
	struct looked_at l;
	struct sema *s = look_at(r, &l, "use std.models as all\n");
	struct module *all = s ? module_std(s, "models", (struct span){0}) : NULL;
	struct text found = {.arena = r->arena};
	int n = 0;
	for (int i = 0; all && i < all->own.n; i++) {
		struct def *def = all->own.at[i];
		struct record *record = !strcmp(def->kind, "model") ? def_record(s, def) : NULL;
		struct shape has = record ? shape_of(record) : (struct shape){0};
		if (!record || !has.layers || !same_shape(&want, &has))
			continue;
		text_add(&found, "%s%s", n++ ? ", " : "", def->name);
		d->model = def->name;
	}
	if (n == 1)
		return true;
	struct diag *g = diag_report(r->sink, DIAG_E1007, said_at(r, MEANS_LAYERS),
	                             n ? "several models of the library have this shape: %s"
	                               : "no model of the library has this shape%s",
	                             n ? found.at : "");
	diag_help(r->sink, g, "name the folder of its config.json: `deployc import DIR --from ...`");
	return false;
}

/* Does the model have the sizes that flags say? */
static void compare_shape(struct draft *d, struct record *record)
{
	struct request *r = d->request;
	struct shape said = said_shape(r), has = shape_of(record);
	struct size_pair pairs[10];
	int n = pair_sizes(&said, &has, pairs);
	for (int i = 0; i < n; i++) {
		const struct said *s = said_of(r, pairs[i].flag);
		if (s && pairs[i].said != pairs[i].has)
			diag_report(r->sink, DIAG_E1002, s->value.at, "`%s %s`, and `%s` has %lld", s->name, s->value.text,
			            d->model, (long long)pairs[i].has);
	}
}

/* ---- which ----------------------------------------------------------------------------------- */

static bool find_model(struct draft *d)
{
	struct request *r = d->request;
	const struct said *named = said_of(r, MEANS_MODEL);
	if (r->options->folder)
		return use_folder(d, r->options->folder);
	if (named)
		return is_folder(r, named->value.text) ? use_folder(d, named->value.text)
		                                       : use_name(d, named->value.text, named->value.at);
	const char *name = said_text(r, MEANS_MODEL_NAME), *flavor = said_text(r, MEANS_MODEL_FLAVOR);
	if (name && flavor)
		return use_name(d, arena_printf(r->arena, "torchtitan/%s/%s", name, flavor), said_at(r, MEANS_MODEL_FLAVOR));
	if (said_of(r, MEANS_LAYERS) && said_of(r, MEANS_HIDDEN))
		return use_shape(d);
	if (r->sink->errors)
		return false; /* what names it was refused */
	struct diag *g = diag_report(r->sink, DIAG_E1007, r->command, "the command line names no model");
	diag_help(r->sink, g, "name the folder of its config.json: `deployc import DIR --from ...`");
	return false;
}

/* ---- a deployment's -------------------------------------------------------------------------- */

static void add_size(struct text *t, enum flag_meaning m, int64_t size)
{
	char name[FLAG_NAME];
	if (size > 0)
		text_add(t, " %s %lld", flag_name(flag_meaning_row(FLAGS_MEGATRON, m), name), (long long)size);
}

static const char *megatron_sizes(struct arena *a, const struct shape *s, int64_t positions)
{
	struct text t = {.arena = a};
	add_size(&t, MEANS_LAYERS, s->layers), add_size(&t, MEANS_HIDDEN, s->hidden), add_size(&t, MEANS_HEADS, s->heads);
	add_size(&t, MEANS_KV_HEADS, s->kv_heads), add_size(&t, MEANS_HEAD_DIM, s->head_dim);
	add_size(&t, MEANS_FFN, s->experts ? s->expert_ffn : s->ffn), add_size(&t, MEANS_EXPERTS, s->experts);
	add_size(&t, MEANS_TOP_K, s->top_k), add_size(&t, MEANS_VOCABULARY, s->vocabulary);
	add_size(&t, MEANS_POSITIONS_MODEL, positions);
	return t.at;
}

/* torchtitan's name and flavor of a model of the library; "": it has none. */
static const char *torchtitan_name(struct arena *a, const char *model)
{
	const struct published *p = published_of(model, "torchtitan/", "");
	if (!p)
		return "";
	const char *name = p->names + strlen("torchtitan/"), *slash = strchr(name, '/');
	char of[FLAG_NAME], flavor[FLAG_NAME];
	return arena_printf(a, " %s %.*s %s %s", flag_name(flag_meaning_row(FLAGS_TORCHTITAN, MEANS_MODEL_NAME), of),
	                    (int)(slash - name), name,
	                    flag_name(flag_meaning_row(FLAGS_TORCHTITAN, MEANS_MODEL_FLAVOR), flavor), slash + 1);
}

/* Is the deployment's model the library's of that name, in all sizes? */
static bool is_published(struct request *r, const struct shape *has, int64_t max_ctx, const char *model)
{
	struct looked_at l;
	struct sema *s = look_at(r, &l, arena_printf(r->arena, "use std.models { %s }\nmodel It_ = %s {}\n", model, model));
	struct record *record = model_record(s, "It_");
	struct shape want = record ? shape_of(record) : (struct shape){0};
	return record && !memcmp(&want, has, sizeof want) && size_of(record, "max_ctx") == max_ctx;
}

struct model_facts facts_of(struct arena *arena, const struct deploy *d, enum flag_program program)
{
	struct record *model = record_of(d->record, "model");
	struct shape has = shape_of(model);
	struct model_facts f = {.model = d->model_name, .has_experts = has.experts > 0, .layers = has.layers};
	f.max_ctx = size_of(model, "max_ctx");
	f.device = d->machine.device.name, f.device_memory = d->machine.device.memory;
	struct names names = {.arena = arena};
	struct sema_options sema = {0};
	struct engine_options options = {.sema = &sema};
	struct request r = {.arena = arena, .names = &names, .options = &options};
	struct val weight = value_of(model, "weight");
	const char *stored = weight.kind == V_DTYPE ? arena_printf(arena, "weight = %s", dtype_name(weight.dtype)) : "";
	const struct published *p = published_of(d->model_name, "", stored);
	p = p ? p : published_of(d->model_name, "", "");
	bool published = p && is_published(&r, &has, f.max_ctx, d->model_name);
	f.checkpoint = published ? arena_strndup(arena, p->names, strcspn(p->names, " ")) : "PATH";
	f.flags = program == FLAGS_MEGATRON ? megatron_sizes(arena, &has, f.max_ctx)
	          : published               ? torchtitan_name(arena, d->model_name)
	                                    : "";
	return f;
}

bool draft_model(struct draft *d)
{
	struct request *r = d->request;
	const struct model_facts *f = r->options->facts;
	if (f) {
		d->model = f->model, d->has_experts = f->has_experts, d->max_ctx = f->max_ctx, d->layers = f->layers;
		d->device = f->device, d->device_memory = f->device_memory;
		return true;
	}
	if (!find_model(d))
		return false;
	struct looked_at l;
	const char *text = d->model_text
	                       ? d->model_text
	                       : arena_printf(r->arena, "use std.models { %s }\nmodel It_ = %s {}\n", d->model, d->model);
	struct sema *s = look_at(r, &l, text);
	struct record *record = model_record(s, d->model_text ? d->model : "It_");
	if (!record)
		internal_error("the model %s that was found has no record", d->model);
	compare_shape(d, record);
	d->has_experts = size_of(record, "expert") > 0;
	d->max_ctx = size_of(record, "max_ctx");
	d->layers = size_of(record, "layers");
	return true;
}
