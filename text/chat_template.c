/* Reading and rendering, and the limits of both. */
#include <stdio.h>
#include "chat_template.h"
#include "jinja/frames.h"
#include "jinja/interpreter.h"
#include "utf8.h"

struct chat_template {
	struct work work; /* the memory of the tree */
	struct nodes body;
	struct names hidden;
	char *name;
};

struct reading {
	struct chat_template *t;
	struct span source;
};

static void read_body(void *context)
{
	struct reading *r = context;
	struct work *w = &r->t->work;
	size_t good = utf8_well_formed(r->source.at, r->source.n);
	w->line = 1;
	if (r->source.n > CHAT_MAX_TEMPLATE)
		work_fail(w, "a template has at most %d bytes", CHAT_MAX_TEMPLATE);
	if (good < r->source.n)
		work_fail(w, "is not UTF-8: byte %zu", good);
	if (r->source.n && memchr(r->source.at, 0, r->source.n))
		work_fail(w, "has a NUL byte");
	r->t->body = parse_template(w, r->source);
	r->t->hidden = hidden_names(w, &r->t->body);
}

struct chat_template *chat_template_read(const char *name, const char *text, size_t n, struct text_error *e)
{
	struct chat_template *t = text_grow(NULL, 1, sizeof *t);
	struct reading reading = {t, {text, n}};
	*t = (struct chat_template){.name = strdup(name)};
	if (!t->name)
		no_memory(strlen(name));
	t->work = (struct work){.name = t->name, .error = e, .steps = CHAT_MAX_STEPS, .max_used = CHAT_MAX_MEMORY};
	t->work.max_depth = CHAT_MAX_NESTING;
	if (work_run(&t->work, read_body, &reading))
		return t;
	chat_template_close(t);
	return NULL;
}

void chat_template_close(struct chat_template *t)
{
	if (!t)
		return;
	work_free(&t->work);
	free(t->name);
	free(t);
}

struct rendering {
	const struct chat_template *t;
	const json_t *variables;
	struct work work;
	struct text text;
};

static void render(void *context)
{
	struct rendering *r = context;
	struct work *w = &r->work;
	struct scope globals = {.parent = NULL}, top = {.parent = &globals};
	struct interpreter p = {.w = w, .scope = &top, .out = &r->text};
	w->line = 1;
	if (!json_is_object(r->variables))
		work_fail(w, "its variables are not an object");
	globals.names = value_of_json(w, r->variables);
	top.names = dict_new(w, DICT);
	r->text.max = CHAT_MAX_OUTPUT;
	execute_template(&p, &r->t->body, &r->t->hidden);
}

bool chat_template_render(const struct chat_template *t, const json_t *variables, const struct tm *now, char **out,
                          size_t *n, struct text_error *e)
{
	struct rendering r = {.t = t, .variables = variables};
	r.work =
		(struct work){.name = t->name, .error = e, .steps = CHAT_MAX_STEPS, .max_used = CHAT_MAX_MEMORY, .now = now};
	r.work.max_depth = CHAT_MAX_DEPTH;
	r.text.work = &r.work;
	bool done = work_run(&r.work, render, &r);
	if (done) {
		*n = r.text.n;
		*out = text_grow(NULL, r.text.n + 1, 1);
		memcpy(*out, text_end(&r.text).at, r.text.n);
		(*out)[r.text.n] = 0;
	}
	work_free(&r.work);
	return done;
}
