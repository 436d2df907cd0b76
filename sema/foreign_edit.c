/* Edits that move an item of a deployment to the record that has its field. */
#include "foreign.h"
#include <string.h>

const char *home_name(enum home home)
{
	static const char *const names[HOMES] = {"deploy", "plan", "workload", "model", "cluster"};
	return names[home];
}

const char *foreign_source(const struct sema *s, struct span at)
{
	return arena_strndup(s->arena, s->sink->sources->files.at[at.file].text + at.lo, at.hi - at.lo);
}

static bool holds(struct span outer, struct span inner)
{
	return outer.file == inner.file && outer.lo <= inner.lo && inner.hi <= outer.hi;
}

struct surroundings foreign_surroundings(struct sema *s, struct module *m, const struct node *item)
{
	struct surroundings at = {.sema = s, .module = m, .item = item};
	for (int i = 0; i < m->items.n; i++) {
		const struct node *x = m->items.at[i];
		if (x->kind == N_NAMED && !strcmp(x->named.kind.name, "deploy") && holds(x->span, item->span))
			at.deploy = x;
	}
	return at;
}

static struct nodes deploy_body(const struct node *deploy)
{
	if (deploy->named.tail == TAIL_BLOCK || deploy->named.tail == TAIL_OF)
		return deploy->named.body;
	if (deploy->named.tail == TAIL_IS && deploy->named.value->kind == N_REFINE)
		return deploy->named.value->sub2.body;
	return (struct nodes){0};
}

const struct node *foreign_home_item(const struct surroundings *at, enum home home)
{
	struct nodes body = at->deploy ? deploy_body(at->deploy) : (struct nodes){0};
	for (int i = 0; i < body.n; i++) {
		const struct node *x = body.at[i];
		struct path p = x->kind == N_SET ? x->set.path : x->kind == N_SUB ? x->sub.path : (struct path){0};
		if (p.n == 1 && !strcmp(p.at[0].name, home_name(home)))
			return x;
	}
	return NULL;
}

struct nodes foreign_body(const struct node *x)
{
	if (x->kind == N_SUB)
		return x->sub.body;
	return x->set.value->kind == N_REFINE ? x->set.value->sub2.body : (struct nodes){0};
}

static const struct node *base_of(const struct node *x)
{
	const struct node *value = x->kind == N_SET ? x->set.value : NULL;
	value = value && value->kind == N_REFINE ? value->sub2.base : value;
	return value && value->kind == N_ID ? value : NULL;
}

struct record *foreign_base(const struct surroundings *at, const struct node *x)
{
	const struct node *base = base_of(x);
	struct binding *b = base ? module_find(at->sema, at->module, base->ident.name) : NULL;
	return b && b->def && !b->def->busy && !def_is_program(b->def) ? def_record(at->sema, b->def) : NULL;
}

/* ---- places in the text ---------------------------------------------------------------------- */

static const char *text_of(const struct surroundings *at)
{
	return at->sema->sink->sources->files.at[at->item->span.file].text;
}

static bool is_space(char c) { return c == ' ' || c == '\t'; }

/* The item with what separates it from others: its line, if it is alone there. */
static struct span removal(const struct surroundings *at)
{
	const char *text = text_of(at);
	struct span x = at->item->span;
	uint32_t lo = x.lo, hi = x.hi;
	while (lo && is_space(text[lo - 1]))
		lo--;
	while (is_space(text[hi]))
		hi++;
	if (lo && text[lo - 1] == '\n' && (text[hi] == '\n' || !text[hi]))
		return (struct span){x.file, lo - 1, hi};
	if (text[hi] == ';') {
		for (hi++; is_space(text[hi]); hi++)
			;
		return (struct span){x.file, x.lo, hi};
	}
	return (struct span){x.file, lo && text[lo - 1] == ';' ? lo - 1 : x.lo, x.hi};
}

/* Before the closing brace at `close`, after the last item: on a line of its own if the braces are on several. */
static struct edit insertion(const struct surroundings *at, uint32_t close, const char *item)
{
	const char *text = text_of(at);
	struct arena *a = at->sema->arena;
	uint32_t end = close, line;
	while (strchr(" \t\r\n", text[end - 1]))
		end--;
	struct span place = {at->item->span.file, end, end};
	if (!memchr(text + end, '\n', close - end))
		return (struct edit){place, text[end - 1] == '{' ? arena_printf(a, " %s%s", item, close == end ? " " : "")
		                                                 : arena_printf(a, "; %s", item)};
	for (line = close; line && text[line - 1] != '\n'; line--)
		;
	return (struct edit){place, arena_printf(a, "\n%.*s  %s", (int)strspn(text + line, " \t"), text + line, item)};
}

struct edit foreign_import(struct sema *s, uint32_t file, const char *module, const char *name)
{
	const struct source *f = &s->sink->sources->files.at[file];
	const char *list = arena_printf(s->arena, "use %s {", module);
	uint32_t first = 0;
	bool found = false;
	for (int i = 0; i < f->n_lines && diag_affords(s->sink, "-", 1); i++) {
		const char *line = f->text + f->lines[i];
		uint32_t at = f->lines[i] + (uint32_t)strlen(list);
		if (!strncmp(line, list, strlen(list)))
			return (struct edit){{file, at, at}, arena_printf(s->arena, " %s,", name)};
		if (!found && !strncmp(line, "use ", 4)) {
			first = f->lines[i];
			found = true;
		}
	}
	return (struct edit){{file, first, first}, arena_printf(s->arena, "use %s { %s }\n", module, name)};
}

/* 1 and the edit, if the file has no such name; else 0. */
static int import(const struct surroundings *at, const char *module, const char *name, struct edit *out)
{
	if (module_find(at->sema, at->module, name))
		return 0;
	*out = foreign_import(at->sema, at->item->span.file, module, name);
	return 1;
}

/* A new item in place of the wrong one, which is in the deployment. The edit reaches back to the deployment's name, so
 * that of two such edits only one is applied. */
static bool create(const struct surroundings *at, struct diag *d, enum home home, const char *text)
{
	static const char *const usual[HOMES][2] = {
		[HOME_PLAN] = {"std.plans", "Megatron"}, [HOME_WORKLOAD] = {"std.workload", "Inference"}};
	struct span name = at->deploy->named.name.span;
	struct nodes body = deploy_body(at->deploy);
	struct edit edits[3];
	int n = 0;
	bool inside = false;
	for (int i = 0; i < body.n; i++)
		inside |= body.at[i] == at->item;
	if (!inside || !usual[home][0])
		return false;
	edits[n++] = (struct edit){{name.file, name.lo, name.lo}, ""};
	edits[n++] = (struct edit){at->item->span,
	                           arena_printf(at->sema->arena, "%s = %s { %s }", home_name(home), usual[home][1], text)};
	n += import(at, usual[home][0], usual[home][1], &edits[n]);
	diag_fix_edits(at->sema->sink, d, edits, n);
	return true;
}

/* Into the braces of the item that sets the record, which it gets if it has none. */
static bool into(const struct surroundings *at, const struct node *x, const char *text, struct edit *out)
{
	const struct node *value = x->kind == N_SET ? x->set.value : NULL;
	if (x->kind == N_SUB || (value && value->kind == N_REFINE)) {
		*out = insertion(at, x->span.hi - 1, text);
		return text_of(at)[x->span.hi - 1] == '}';
	}
	*out = (struct edit){{x->span.file, x->span.hi, x->span.hi}, arena_printf(at->sema->arena, " { %s }", text)};
	return value && (value->kind == N_ID || value->kind == N_DOT);
}

bool foreign_replace(const struct surroundings *at, struct diag *d, const char *text)
{
	diag_fix(at->sema->sink, d, *text ? at->item->span : removal(at), text);
	return true;
}

bool foreign_move(const struct surroundings *at, struct diag *d, enum home home, const char *text)
{
	if (!at->deploy)
		return false;
	const struct node *x = home == HOME_DEPLOY ? at->deploy : foreign_home_item(at, home);
	struct edit edits[2] = {{removal(at), ""}};
	if (!x)
		return create(at, d, home, text);
	if (home == HOME_DEPLOY) {
		edits[1] = insertion(at, x->span.hi - 1, text);
		if (text_of(at)[x->span.hi - 1] != '}')
			return false;
	} else if (!into(at, x, text, &edits[1])) {
		return false;
	}
	diag_fix_edits(at->sema->sink, d, edits, 2);
	return true;
}

void foreign_template(const struct surroundings *at, struct diag *d, const struct node *base, const char *name)
{
	struct edit edits[3] = {{removal(at), ""}, {base->span, name}};
	int n = 2 + import(at, "std.plans", name, &edits[2]);
	diag_fix_edits(at->sema->sink, d, edits, n);
}
