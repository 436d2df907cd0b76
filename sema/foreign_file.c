/* A file of another engine in place of a spec: one report, which shows the same settings as a spec. */
#include "foreign_file.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MESH_AXES = 4, MAX_SHOWN = 12 };
static const char *const mesh[MESH_AXES] = {"pp", "dp", "ep", "tp"};

/* What the settings say, in our words. NULL or 0: nothing. */
struct spec {
	struct sema *sema;
	const char *name, *model, *flavor;
	int64_t mesh[MESH_AXES];
	int64_t batch, context, seq, output, chunk, each_batch, microbatch, gpus;
	bool training;
	struct text formats, rules, claims, left;
	int n_left;
};

static bool is(const char *a, const char *b) { return !strcmp(a, b); }

static int64_t number(const char *text)
{
	return strlen(text) < 10 && strspn(text, "0123456789") == strlen(text) ? atoll(text) : 0;
}

/* ---- one setting ----------------------------------------------------------------------------- */

static void take_field(struct spec *out, const struct foreign_word *w, const char *value)
{
	const struct {
		const char *field;
		int64_t *at;
	} fields[] = {{"seq", &out->seq}, {"output", &out->output}, {"chunk", &out->chunk}, {"gpus", &out->gpus}};
	int64_t n = number(value);
	for (int i = 0; i < MESH_AXES && w->home == HOME_PLAN; i++)
		if (is(w->ours, mesh[i]))
			out->mesh[i] = n;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (is(w->ours, fields[i].field))
			*fields[i].at = n;
	if (is(w->ours, "batch"))
		out->batch = n;
}

static void take_format(struct spec *out, const struct foreign_word *w, const char *value)
{
	const char *format = foreign_format(value);
	if (format && is(w->ours, "weight") && strncmp(format, "fp8", 3) != 0)
		text_add(&out->formats, "%sweight = %s; act = %s", out->formats.n ? "; " : "", format, format);
	else if (format)
		text_add(&out->formats, "%s%s = %s", out->formats.n ? "; " : "", w->ours, format);
}

static void take_claim(struct spec *out, const struct foreign_word *w, const char *value)
{
	const char *at = strstr(w->ours, "%s");
	if (isdigit((unsigned char)value[0]))
		text_add(&out->claims, "  %.*s%s%s\n", (int)(at - w->ours), w->ours, value, at + 2);
}

static void take_zero(struct spec *out, const char *value)
{
	static const char *const classes[] = {"optimizer", "gradients", "weights"};
	int64_t stage = number(value);
	out->training = true;
	if (stage >= 1 && stage <= 3)
		text_add(&out->rules, "; store %s { d_model -> dp }", classes[stage - 1]);
}

static bool take_word(struct spec *out, const struct foreign_word *w, const char *value)
{
	switch (w->how) {
	case HOW_AS_IS:       take_field(out, w, value); return w->home != HOME_MODEL && w->home != HOME_CLUSTER;
	case HOW_PER_REPLICA: out->each_batch = number(value); return true;
	case HOW_CONTEXT:     out->context = number(value); return true;
	case HOW_MICROBATCH:  out->microbatch = number(value); return out->training = true;
	case HOW_FORMAT:      take_format(out, w, value); return true;
	case HOW_CLAIM:       take_claim(out, w, value); return true;
	case HOW_ZERO:        take_zero(out, value); return true;
	case HOW_LEAVE_OUT:   return true;
	case HOW_RULE:
	case HOW_TEMPLATE:
	case HOW_DECIDE:      return false;
	}
	return false;
}

static bool names_model(const struct foreign_setting *x)
{
	static const char *const keys[] = {
		"model",      "model-path", "model_path",    "model_name_or_path", "model-name-or-path",
		"model_name", "modelId",    "hf_assets_path"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (is(x->key, keys[i]))
			return true;
	return is(x->section, "model") && is(x->key, "name");
}

/* Another spelling that says where the key is: `zero_optimization_stage`. */
static const struct foreign_word *word_of(struct sema *s, const struct foreign_setting *x)
{
	const struct foreign_word *w = foreign_word(s->arena, arena_printf(s->arena, "%s_%s", x->section, x->key));
	return w ? w : foreign_word(s->arena, x->key);
}

/* Keys of a manifest that say nothing of a plan are not listed as left out. */
static bool is_envelope(const struct foreign_setting *x)
{
	static const char *const keys[] = {"apiVersion", "kind", "name", "image", "app", "enabled"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (is(x->key, keys[i]))
			return true;
	return false;
}

static void take(struct spec *out, const struct foreign_setting *x)
{
	const struct foreign_word *w = word_of(out->sema, x);
	if (names_model(x))
		out->model = x->value;
	else if (is(x->section, "model") && is(x->key, "flavor"))
		out->flavor = x->value;
	else if (is(x->section, "metadata") && is(x->key, "name"))
		out->name = x->value;
	else if (is(x->key, "nvidia.com/gpu"))
		out->gpus = 0; /* the mesh says how many */
	else if ((!w || !take_word(out, w, x->value)) && !is_envelope(x) && out->n_left++ < MAX_SHOWN)
		text_add(&out->left, "%s%s = %s", out->left.n ? ", " : "", x->key, x->value);
	if (w && w->trains)
		out->training |= w->home == HOME_WORKLOAD;
}

/* ---- the spec -------------------------------------------------------------------------------- */

static const char *identifier(struct arena *a, const char *text, bool capital)
{
	char *name = arena_strndup(a, text, strlen(text));
	for (char *c = name; *c; c++)
		*c = isalnum((unsigned char)*c) ? *c : '_';
	if (capital)
		*name = (char)toupper((unsigned char)*name);
	return isalpha((unsigned char)*name) ? name : arena_printf(a, "M_%s", name);
}

static int64_t size(const struct spec *x, int axis) { return x->mesh[axis] > 0 ? x->mesh[axis] : 1; }

static void put_plan(const struct spec *x, struct text *t)
{
	bool any = false;
	text_add(t, "  plan     = Megatron { ");
	for (int i = 0; i < MESH_AXES; i++)
		if (size(x, i) > 1) {
			text_add(t, "%s%s = %lld", any ? "; " : "", mesh[i], (long long)size(x, i));
			any = true;
		}
	text_add(t, "%s", any ? "" : "tp = 1");
	int64_t groups = size(x, 1) * size(x, 2);
	if (x->microbatch && x->batch && x->batch % (groups * x->microbatch) == 0)
		text_add(t, "; pipeline { microbatches = %lld }", (long long)(x->batch / groups / x->microbatch));
	text_add(t, "%s }\n", x->rules.n ? x->rules.at : "");
}

static void put_workload(const struct spec *x, struct text *t)
{
	int64_t usual = 8 * size(x, 1) * size(x, 2);
	int64_t batch = x->each_batch ? x->each_batch * size(x, 1) : x->batch,
			seq = x->seq ? x->seq : x->context - x->output;
	bool range = !x->training;
	text_add(t, "  workload = %s { batch = %lld; seq = %s%lld", x->training ? "Training" : "Inference",
	         (long long)(batch > 0 ? batch : usual), range ? "1.." : "", (long long)(seq > 0 ? seq : 2048));
	if (x->output && !x->training)
		text_add(t, "; output = %lld", (long long)x->output);
	if (x->chunk && !x->training)
		text_add(t, "; chunk = %lld", (long long)x->chunk);
	text_add(t, " }%s\n",
	         batch > 0 && seq > 0 ? ""
	         : batch > 0          ? "  // lengths are not stated"
	                              : "  // the batch is not stated");
}

/* The text of the whole spec. */
static const char *put_spec(struct spec *x, const char *model)
{
	struct arena *a = x->sema->arena;
	struct text t = {.arena = a};
	int64_t ranks = size(x, 0) * size(x, 1) * size(x, 2) * size(x, 3), nodes = (ranks + 7) / 8;
	text_add(
		&t,
		"use std.models { %s }\nuse std.clusters { DGX_H100 }\nuse std.plans { Megatron }\nuse std.workload { %s }\n\n",
		model, x->training ? "Training" : "Inference");
	text_add(&t, "deploy %s {\n  model    = %s%s%s%s\n",
	         identifier(a,
	                    x->name       ? x->name
	                    : x->training ? "Pretrain"
	                                  : "Serve",
	                    true),
	         model, x->formats.n ? " { " : "", x->formats.n ? x->formats.at : "", x->formats.n ? " }" : "");
	text_add(&t,
	         nodes > 1 ? "  cluster  = DGX_H100 { nodes = %lld }  // the machine is not stated\n"
	                   : "  cluster  = DGX_H100  // the machine is not stated\n",
	         (long long)nodes);
	if (ranks != 8 * nodes)
		text_add(&t, "  gpus     = %lld\n", (long long)ranks);
	put_plan(x, &t);
	put_workload(x, &t);
	text_add(&t, "%s", x->claims.n ? x->claims.at : "");
	if (x->left.n)
		text_add(&t, "  // not a part of a plan: %s%s\n", x->left.at, x->n_left > MAX_SHOWN ? " ..." : "");
	text_add(&t, "}\n");
	return t.at;
}

static void show(struct sema *s, struct diag *d, const char *text)
{
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");
		diag_table(s->sink, d, "%.*s", (int)n, line);
		line += n + (line[n] == '\n');
	}
}

bool foreign_file(struct sema *s, uint32_t source)
{
	const struct source *f = &s->sink->sources->files.at[source];
	enum foreign_format format = foreign_format_of(f->text);
	struct foreign_settings settings = {0};
	struct spec x = {.sema = s};
	x.formats.arena = x.rules.arena = x.claims.arena = x.left.arena = s->arena;
	if (format == FOREIGN_NONE)
		return false;
	uint32_t first = (uint32_t)(foreign_start(f->text) - f->text);
	struct diag *d =
		sema_report(s, DIAG_E0010, (struct span){source, first, first + (uint32_t)strcspn(f->text + first, "\r\n")},
	                "this is %s; a spec is a `deploy` with its fields", foreign_format_name(format));
	if (format == FOREIGN_COMMAND) {
		diag_help(s->sink, d, "`deployc import --from %s` writes the spec of it", f->label);
		return true;
	}
	foreign_read(s->arena, format, f->text, &settings);
	for (int i = 0; i < settings.n; i++)
		take(&x, &settings.at[i]);
	const char *stated = x.flavor ? arena_printf(s->arena, "%s-%s", x.model ? x.model : "", x.flavor) : x.model;
	struct published_model known = {NULL, "", NULL};
	if (stated)
		known = foreign_model(s, stated);
	const char *model = known.name;
	if (*known.settings)
		text_add(&x.formats, "%s%s", x.formats.n ? "; " : "", known.settings);
	const char *slash = stated ? strrchr(stated, '/') : NULL;
	const char *text = put_spec(&x, model ? model
	                                      : identifier(s->arena,
	                                                   slash               ? slash + 1
	                                                   : stated && *stated ? stated
	                                                                       : "Model",
	                                                   true));
	show(s, d, text);
	if (model && known.stored) {
		diag_help(s->sink, d, "write it so, if bf16 is meant: the published weights are %s, which is not built",
		          known.stored);
	} else if (model) {
		diag_help(s->sink, d, "write it so; check what is not stated");
		diag_fix(s->sink, d, (struct span){source, 0, f->size}, text);
	} else if (stated) {
		diag_help(
			s->sink, d,
			"write it so, with a model: `std.models` has no `%s`; `deployc import DIR` writes it from its config.json",
			stated);
	} else {
		diag_help(s->sink, d, "write it so, with a model: it is not stated; nor are the machines");
	}
	return true;
}
