/* The passes, in order, over one spec. */
#include "compile.h"
#include <errno.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../lsp/lsp.h"
#include "../parser/parser.h"
#include "../planner/pools.h"
#include "../planner/share.h"
#include "../support/json.h"
#include "search.h"

enum { MAX_GAP = 1 << 20 };

/* ---- one deployment -------------------------------------------------------------------------- */

static struct passes passes_of(struct compilation *c)
{
	return (struct passes){c->sema, &c->names, &c->sink, &c->target, c->options->no_goals};
}

void plan_deployment(struct compilation *c, struct planned *p)
{
	struct passes passes = passes_of(c);
	passes_run(&passes, p);
}

struct overlays compilation_overlays(const struct compilation *c, struct arena *a)
{
	const struct source *main = &c->sources.files.at[sema_source(c->sema)];
	struct file_text text = {main->text, main->size};
	return overlays_with(a, &c->options->sema.overlays, c->spec, text);
}

/* What the command makes of a deployment. */
static const char *product(const struct options *o)
{
	switch (o->command) {
	case COMMAND_GRAPH:  return "a graph";
	case COMMAND_REPORT: return "a report";
	case COMMAND_TRACE:  return "a trace";
	default:             return o->emit == EMIT_LAUNCHER ? "a launcher" : "generated code";
	}
}

/* What can be checked but not built. */
static void refuse_to_build(struct compilation *c, const struct deploy *d)
{
	bool drawn = c->options->command == COMMAND_GRAPH;
	if (d->needs_training && (c->options->command == COMMAND_BUILD || drawn)) {
		struct diag *diag = diag_report(&c->sink, DIAG_E0917, d->work.span, "%s",
		                                drawn ? "training is planned, but no graph is drawn of it in this version"
		                                      : "training is planned, not built, in this version");
		if (drawn)
			diag_help(&c->sink, diag, "`deployc report` and `deployc trace` show its stages and microbatches");
	}
	if (!d->has_auto)
		return;
	const char *text = c->sources.files.at[d->auto_span.file].text + d->auto_span.lo;
	struct diag *diag = diag_report(&c->sink, DIAG_E0804, d->auto_span, "`%.*s` is left open: %s needs a decided plan",
	                                (int)(d->auto_span.hi - d->auto_span.lo), text, product(c->options));
	if (c->lock)
		diag_note(&c->sink, diag, "%s", lock_trouble(&c->arena, c->lock));
	diag_help(&c->sink, diag, "`deployc search` chooses the value, and keeps it in a lock");
}

/* check --locked: all that is open is in a fresh lock. */
static void check_lock(struct compilation *c, const struct deploy *d)
{
	if (!c->options->locked || !d->has_auto)
		return;
	struct diag *diag =
		diag_report(&c->sink, DIAG_E0813, d->auto_span, "no lock decides what is open in `%s`", d->name);
	diag_note(&c->sink, diag, "%s", lock_trouble(&c->arena, c->lock));
	diag_help(&c->sink, diag, "`deployc search` writes it");
}

/* ---- outputs --------------------------------------------------------------------------------- */

static struct codegen_options codegen_options(struct compilation *c, struct planned *p)
{
	const struct plan *plan = planner_plan(&p->arena, p->deploy, p->schedule, NULL);
	return (struct codegen_options){.cpu = c->options->cpu,
	                                .level = c->options->level,
	                                .heap = c->arena.heap,
	                                .sanitizer = c->sanitizer,
	                                .plan_text = plan_text(&p->arena, plan),
	                                .forecast = planner_forecast(&p->arena, plan)};
}

/* false: there is nothing to write, which was reported, or writing failed, which was printed. */
static bool write_form(struct compilation *c, struct planned *p, FILE *out)
{
	enum emit emit = c->options->emit;
	if (emit == EMIT_DAG && p->deploy->program) {
		program_print(p->deploy->program, out);
		return true;
	}
	if (emit == EMIT_DAG_LOCAL && p->local) {
		local_print(p->local, out);
		return true;
	}
	if (emit == EMIT_DAG_SCHED && p->schedule) {
		schedule_print(p->schedule, out);
		return true;
	}
	if (emit < EMIT_LLVM || !p->schedule || c->sink.errors)
		return false;
	struct codegen_options o = codegen_options(c, p);
	return codegen_emit(p->schedule, &o, (enum codegen_form)(emit - EMIT_LLVM + CODEGEN_LLVM), out);
}

static bool emit_form(struct compilation *c, struct planned *p)
{
	struct out_file out;
	if (!output_open(&c->arena, &out, c->options->output))
		return false;
	bool written = write_form(c, p, out.file);
	return output_close(&out, written) && written;
}

static bool build_launcher(struct compilation *c, struct planned *p)
{
	struct out_file out;
	if (c->sink.errors || !p->schedule || !output_reserve(&c->arena, &out, c->options->output))
		return false;
	struct codegen_options o = codegen_options(c, p);
	struct object_code object;
	bool written = codegen_object(&p->arena, p->schedule, &o, &object) && link_launcher(object, out.temporary);
	return output_close(&out, written) && written;
}

static bool emit_ast(struct compilation *c)
{
	struct out_file out;
	if (!output_open(&c->arena, &out, c->options->output))
		return false;
	ast_print(sema_items(c->sema), out.file);
	return output_close(&out, true);
}

/* ---- plans ----------------------------------------------------------------------------------- */

static void print_plan(struct compilation *c, struct planned *p)
{
	struct plan *plan = planner_plan(&p->arena, p->deploy, p->schedule, p->training);
	plan->goals = p->goals;
	if (c->options->format == FORM_JSON)
		json_array_append_new(c->plans, plan_json(plan));
	else
		fputs(plan_text(&p->arena, plan), stdout);
}

static void print_plans(struct compilation *c)
{
	json_t *document = json_document("deployc-plan", PLAN_JSON_VERSION);
	json_object_set_new(document, "spec", json_text(c->label));
	json_object_set_new(document, "plans", c->plans);
	json_object_set_new(document, "serves", c->serves);
	json_object_set_new(document, "shares", c->shares);
	json_put_lines(document, stdout);
}

static bool draw_graph(struct compilation *c, struct planned *p)
{
	struct out_file out;
	if (!p->schedule || !output_open(&c->arena, &out, c->options->output))
		return false;
	const struct graph *graph = planner_graph(&p->arena, planner_plan(&p->arena, p->deploy, p->schedule, p->training));
	if (c->options->format == FORM_JSON) {
		json_t *document = json_document("deployc-graph", GRAPH_JSON_VERSION);
		json_object_set_new(document, "spec", json_text(c->label));
		json_object_update_new(document, graph_json(&p->arena, graph));
		json_put_lines(document, out.file);
	} else
		graph_dot(&p->arena, graph, out.file);
	return output_close(&out, true);
}

static struct page_note note_of(struct compilation *c, const struct diag *d)
{
	int line, column;
	sources_position(&c->sources, d->at, &line, &column);
	const char *place = arena_printf(&c->arena, "%s:%d:%d", c->sources.files.at[d->at.file].label, line, column);
	return (struct page_note){diag_code_name(d->code), d->message, place, diag_is_error(d->code)};
}

/* Errors first; what is allowed is left out. */
static void add_notes(struct compilation *c, struct page *page)
{
	struct diag *const *sorted = diag_sorted(&c->sink);
	for (int warnings = 0; warnings < 2; warnings++)
		for (int i = 0; i < c->sink.diags.n; i++)
			if (!sorted[i]->allowed && diag_is_error(sorted[i]->code) == !warnings) {
				struct page_note note = note_of(c, sorted[i]);
				vec_push(&c->arena, &page->notes, note);
			}
}

static bool write_page(struct compilation *c, struct planned *p)
{
	struct out_file out;
	if (!p->schedule && !p->training)
		return false;
	struct plan *plan = planner_plan(&p->arena, p->deploy, p->schedule, p->training);
	plan->goals = p->goals;
	struct page *page = planner_page(&p->arena, plan, c->label);
	allow_apply(&c->sink, false);
	add_notes(c, page);
	search_for_page(c, p, page);
	page_finish(&p->arena, page);
	if (!output_open(&c->arena, &out, c->options->output)) {
		json_decref(page->data);
		return false;
	}
	if (c->options->format == FORM_JSON)
		json_put_lines(json_incref(page->data), out.file);
	else
		page_html(&p->arena, page, out.file);
	json_decref(page->data);
	return output_close(&out, true);
}

static bool write_trace(struct compilation *c, struct planned *p)
{
	struct out_file out;
	if (!p->schedule && !p->training)
		return false;
	const struct plan *plan = planner_plan(&p->arena, p->deploy, p->schedule, p->training);
	if (plan->metrics.lacks || (!plan->metrics.prefill && !plan->metrics.decode && !p->training)) {
		complain("%s has no times: %s", p->deploy->name,
		         plan->metrics.lacks ? plan->metrics.lacks : "no step is timed");
		return false;
	}
	if (!output_open(&c->arena, &out, c->options->output))
		return false;
	trace_json(&p->arena, plan, c->label, out.file);
	return output_close(&out, true);
}

/* ---- which deployments ----------------------------------------------------------------------- */

static const char *names_of(struct compilation *c, struct deploy **all, int n)
{
	struct text t = {.arena = &c->arena};
	for (int i = 0; i < n; i++)
		text_add(&t, "%s%s", i ? ", " : "", all[i]->name);
	return t.at;
}

/* Moves a deployment to place `at`, unless it is in front of it. Returns the place after the last one moved. */
static int move_to(struct deploy **all, int at, const struct deploy *d)
{
	for (int i = 0; d; i++)
		if (all[i] == d) {
			if (i < at)
				return at;
			struct deploy *moved = all[i];
			all[i] = all[at], all[at] = moved;
			return at + 1;
		}
	return at;
}

static bool takes_several(enum command c)
{
	return c == COMMAND_BUILD || c == COMMAND_CHECK || c == COMMAND_PLAN || c == COMMAND_WHAT_IF || c == COMMAND_GRAPH;
}

/* The name may be that of two pools: the command is then about their deployments too, which come to the front. Returns
 * their number; 0: it is not; -1 after a message. */
static int choose_joint(struct compilation *c, struct deploy **all)
{
	int n, chosen = 0;
	struct joint **joints = sema_joints(c->sema, &n);
	for (int i = 0; c->options->deploy && i < n; i++)
		if (!strcmp(joints[i]->self->name, c->options->deploy))
			c->joint = joints[i];
	for (int i = 0; c->joint && i < c->joint->members.n; i++)
		chosen = move_to(all, chosen, c->joint->members.at[i].deploy);
	if (!c->joint || takes_several(c->options->command))
		return chosen;
	complain("`%s` is several deployments, choose one of them: %s", c->options->deploy, names_of(c, all, chosen));
	return -1;
}

/* Moves the deployments that the command is about to the front of `all`. Returns their number; -1 after a message. */
static int choose(struct compilation *c, struct deploy **all, int n)
{
	const char *name = c->options->deploy;
	int of_joint = choose_joint(c, all);
	if (of_joint)
		return of_joint;
	for (int i = 0; name && i < n; i++)
		if (!strcmp(all[i]->name, name)) {
			struct deploy *chosen = all[i];
			all[i] = all[0], all[0] = chosen; /* goals may name the others */
			return 1;
		}
	if (name && n) {
		complain("%s has no deployment `%s`: there %s %s", c->label, name, n == 1 ? "is" : "are", names_of(c, all, n));
		return -1;
	}
	if (n > 1 && c->options->command != COMMAND_CHECK && c->options->command != COMMAND_PLAN) {
		complain("%s has %d deployments, choose one with --deploy: %s", c->label, n, names_of(c, all, n));
		return -1;
	}
	return n;
}

/* ---- deployments together -------------------------------------------------------------------- */

/* A launcher has the ranks of one deployment, and hands over nothing. */
static int refuse_joint(struct compilation *c)
{
	const struct joint *j = c->joint;
	struct diag *d = diag_report(&c->sink, DIAG_E0919, j->self->name_span,
	                             "several deployments are planned together, not built, in this version");
	struct text names = {.arena = &c->arena};
	for (int i = 0; i < j->members.n; i++)
		if (j->members.at[i].deploy)
			text_add(&names, "%s`--deploy=%s`", names.n ? ", " : "", j->members.at[i].deploy->name);
	if (names.n)
		diag_help(&c->sink, d, "build a launcher of each deployment: %s", names.at);
	return EXIT_ERRORS;
}

const struct plan *plan_joint(struct compilation *c, struct arena *arena, struct joint *j, struct joint_texts *out)
{
	struct passes passes = passes_of(c);
	return passes_joint(&passes, arena, j, out);
}

/* `deployc graph` of deployments together. false: there is nothing to draw, or writing failed; either was said. */
static bool draw_joint(struct compilation *c, struct joint *j)
{
	struct arena arena = {.heap = c->options->heap};
	struct graph_joint graphs;
	struct out_file out;
	bool planned = j->kind == JOINT_SHARE
	                   ? share_graphs(&arena, planner_share(&arena, &c->names, &c->sink, j, &c->target), &graphs)
	                   : pools_graphs(&arena, planner_pools(&arena, &c->names, &c->sink, j, &c->target), &graphs);
	planned = planned && !c->sink.errors && output_open(&c->arena, &out, c->options->output);
	if (planned && c->options->format == FORM_JSON) {
		json_t *document = json_document("deployc-graph", GRAPH_JSON_VERSION);
		json_object_set_new(document, "spec", json_text(c->label));
		json_object_update_new(document, graph_joint_json(&arena, &graphs));
		json_put_lines(document, out.file);
	} else if (planned)
		graph_joint_dot(&arena, &graphs, out.file);
	bool written = planned && output_close(&out, true);
	arena_free(&arena);
	return written;
}

static void deliver_joint(struct compilation *c, struct joint *j)
{
	struct arena arena = {.heap = c->options->heap};
	struct joint_texts texts;
	plan_joint(c, &arena, j, &texts);
	text_add(&c->checked, "%s", texts.summary);
	if (c->options->command == COMMAND_PLAN && c->options->format == FORM_JSON)
		json_array_append(j->kind == JOINT_SHARE ? c->shares : c->serves, texts.json);
	else if (c->options->command == COMMAND_PLAN)
		fputs(texts.text, stdout);
	json_decref(texts.json);
	arena_free(&arena);
}

/* What is planned together of the deployments that the command is about. */
static void plan_joints(struct compilation *c)
{
	int n;
	struct joint **joints = sema_joints(c->sema, &n);
	enum command command = c->options->command;
	bool plans = (command == COMMAND_CHECK || command == COMMAND_PLAN) && !sema_guessed(c->sema);
	for (int i = 0; plans && i < n; i++)
		if (!c->options->deploy || joints[i] == c->joint)
			deliver_joint(c, joints[i]);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool deliver(struct compilation *c, struct planned *p)
{
	if (sema_guessed(c->sema))
		return false;
	if (p->deploy->program)
		text_add(&c->checked, "%s", planner_summary(&p->arena, p->deploy, p->schedule, p->training));
	if (c->options->command == COMMAND_PLAN && p->deploy->program && !p->deploy->refused)
		print_plan(c, p);
	if (c->options->kernels && p->schedule && !c->sink.errors && !print_kernels(c, p))
		return false;
	enum command command = c->options->command;
	bool draws = command == COMMAND_GRAPH || command == COMMAND_REPORT || command == COMMAND_TRACE;
	bool builds = c->options->command == COMMAND_BUILD;
	if (!builds && !draws)
		return true;
	if (p->deploy->program && (c->options->emit == EMIT_LAUNCHER || c->options->emit >= EMIT_LLVM))
		refuse_to_build(c, p->deploy);
	if (draws && c->joint) /* all of them are drawn together */
		return true;
	if (draws)
		return command == COMMAND_GRAPH    ? draw_graph(c, p)
		       : command == COMMAND_REPORT ? write_page(c, p)
		                                   : write_trace(c, p);
	return c->options->emit == EMIT_LAUNCHER ? build_launcher(c, p) : emit_form(c, p);
}

bool compilation_load(struct compilation *c)
{
	if (sema_load(c->sema, c->spec))
		return true;
	complain("cannot read %s: %s", c->label, strerror(errno));
	return false;
}

struct deploy **compilation_deploys(struct compilation *c, int *n, int *status)
{
	struct deploy **deploys = sema_deploys(c->sema, n);
	*n = choose(c, deploys, *n);
	*status = *n < 0 ? EXIT_USAGE : EXIT_OK;
	if (!*n && c->options->command != COMMAND_CHECK && !c->sink.errors) {
		complain("%s has no deployment", c->label);
		*status = EXIT_ERRORS;
	}
	return deploys;
}

static int run_passes(struct compilation *c)
{
	int n, status;
	if (!compilation_load(c))
		return EXIT_ERRORS;
	if (c->options->emit == EMIT_AST)
		return emit_ast(c) && !c->sink.errors ? EXIT_OK : EXIT_ERRORS;
	struct deploy **deploys = compilation_deploys(c, &n, &status);
	if (status != EXIT_OK)
		return status;
	if (c->joint && c->options->command == COMMAND_BUILD)
		return refuse_joint(c);
	bool delivered = true, in_json = c->options->command == COMMAND_PLAN && c->options->format == FORM_JSON;
	c->plans = in_json ? json_array() : NULL;
	c->serves = in_json ? json_array() : NULL;
	c->shares = in_json ? json_array() : NULL;
	for (int i = 0; i < n; i++) {
		struct planned p = {.deploy = deploys[i], .arena.heap = c->options->heap};
		plan_deployment(c, &p);
		check_lock(c, p.deploy);
		delivered &= deliver(c, &p);
		arena_free(&p.arena);
	}
	plan_joints(c);
	if (c->joint && c->options->command == COMMAND_GRAPH)
		delivered &= draw_joint(c, c->joint);
	if (in_json)
		print_plans(c);
	return delivered && !c->sink.errors ? EXIT_OK : EXIT_ERRORS;
}

static void print_summary(const struct sink *s, FILE *out)
{
	if (s->errors)
		fprintf(out, "%d error%s%s", s->errors, s->errors == 1 ? "" : "s", s->warnings ? ", " : "\n");
	if (s->warnings)
		fprintf(out, "%d warning%s\n", s->warnings, s->warnings == 1 ? "" : "s");
}

static void print_form(const struct options *o, const struct sink *sink, bool first, FILE *out)
{
	switch (o->error_form) {
	case ERRORS_JSON:  diag_print_json(sink, out); return;
	case ERRORS_SARIF: sarif_run(sink, out, DEPLOYC_VERSION, first); return;
	case ERRORS_GCC:   diag_print_gcc(sink, out); return;
	case ERRORS_TEXT:
	case ERROR_FORMS:  break;
	}
	(o->color ? diag_print_colored : diag_print)(sink, out);
	print_summary(sink, out);
}

static void drop(void *out)
{
	__fpurge(out);
	fclose(out);
}

/* Standard error has no buffer: thousands of diagnostics would be hundreds of thousands of writes. */
void print_diagnostics(const struct options *o, const struct sink *sink, bool first)
{
	char buffer[64 << 10];
	int fd = dup(STDERR_FILENO);
	FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out && errno == ENOMEM)
		out_of_memory(sizeof buffer);
	struct undo undo = {drop, out, NULL};
	if (out) {
		setvbuf(out, buffer, _IOFBF, sizeof buffer);
		undo_add(&undo);
	}
	print_form(o, sink, first, out ? out : stderr); /* which may be closed, or not open to be written */
	undo_remove(&undo);
	if (out)
		fclose(out);
	else if (fd >= 0)
		close(fd);
}

/* Did every pass run over all deployments of the file, as it is written? Only then is an unused `allow` a mistake. */
static bool is_complete(const struct options *o) { return o->command == COMMAND_CHECK && !o->deploy && !o->sema.n_set; }

/* What was checked. Only the text form says it: programs read the others, and want only what is wrong. */
static void print_checked(const struct compilation *c)
{
	const struct options *o = c->options;
	if (o->command != COMMAND_CHECK || o->error_form != ERRORS_TEXT || o->quiet || c->sink.errors)
		return;
	if (c->checked.n)
		fputs(c->checked.at, stdout);
	else
		printf("%s: no mistakes; it has no deployment\n", c->label);
	for (int i = 0; i < c->lock->values.n; i++)
		printf("  %s = %s, by %s\n", c->lock->values.at[i].path, c->lock->values.at[i].value, c->lock->path);
}

static bool find_target(const struct options *o, struct target *out)
{
	if (o->cuda)
		*out = target_gpu();
	else if (!target_find(o->cpu, out) && !codegen_target(o->cpu, out))
		return false;
	out->unfused = o->unfused;
	return true;
}

/* DEPLOYC_GAPS=BYTES and DEPLOYC_SANITIZE, for tests: see docs/testing.md. */
static bool set_gap(struct target *target)
{
	const char *text = getenv("DEPLOYC_GAPS");
	char *end = NULL;
	target->gap = text ? strtoll(text, &end, 10) : 0;
	if (!text || (*text && !*end && target->gap >= 0 && target->gap <= MAX_GAP && target->gap % 64 == 0))
		return true;
	fprintf(stderr, "deployc: DEPLOYC_GAPS must be a multiple of 64 up to %d, not `%s`\n", MAX_GAP, text);
	return false;
}

static bool set_sanitizer(const char **sanitizer)
{
	*sanitizer = getenv("DEPLOYC_SANITIZE");
	if (!*sanitizer || !strcmp(*sanitizer, "address") || !strcmp(*sanitizer, "thread"))
		return true;
	fprintf(stderr, "deployc: DEPLOYC_SANITIZE must be address or thread, not `%s`\n", *sanitizer);
	return false;
}

void compilation_begin(struct compilation *c, const struct options *o, const char *spec)
{
	*c = (struct compilation){
		.options = o, .spec = spec, .label = strcmp(spec, "-") ? spec : "standard input", .arena.heap = o->heap};
	c->names.arena = c->sources.arena = c->sink.arena = c->checked.arena = &c->arena;
	c->sink.sources = &c->sources;
	c->sema = sema_new(&c->arena, &c->names, &c->sink, &o->sema);
}

bool compilation_target(struct compilation *c)
{
	return find_target(c->options, &c->target) && set_gap(&c->target) && set_sanitizer(&c->sanitizer);
}

static int compile_spec(const struct options *given, int i)
{
	struct compilation c;
	struct lock lock;
	struct arena arena = {.heap = given->heap};
	struct options locked = lock_use(given, given->specs[i], &arena, &lock);
	const struct options *o = &locked;
	compilation_begin(&c, o, o->specs[i]);
	c.lock = &lock;
	struct passes passes = passes_of(&c);
	struct trials trials = {.passes = &passes, .options = &o->sema, .spec = c.spec, .heap = o->heap};
	c.sink.check = trial_check;
	c.sink.context = &trials;
	int status = compilation_target(&c) ? run_passes(&c) : EXIT_USAGE;
	allow_apply(&c.sink, is_complete(o));
	print_diagnostics(o, &c.sink, i == 0);
	if (status == EXIT_OK)
		print_checked(&c);
	arena_free(&c.arena);
	arena_free(&arena);
	return status;
}

int compile(const struct options *o, int i) { return run_alone(o, compile_spec, i); }

int serve_editor(const struct options *o)
{
	struct lsp_options lsp = {.sema = o->sema, .deploy = o->deploy};
	return find_target(o, &lsp.target) ? lsp_serve(&lsp, STDIN_FILENO, STDOUT_FILENO) : EXIT_USAGE;
}
