/* Compiles the resulting model and compares it with the file, as a launcher for it would. */
#include "internal.h"
#include "../sema/module.h"
#include <string.h>

static struct config_value value_of(const struct config_entry *c)
{
	return (struct config_value){c->type, c->b, c->i, c->f, c->s};
}

static const char *entry_text(struct import *m, const struct config_entry *c)
{
	struct config_value want = value_of(c);
	char text[256];
	config_text(&want, text, sizeof text);
	return arena_strndup(m->arena, text, strlen(text));
}

/* Is it null in the file where absence means a constant? null removes that default. */
static bool is_null_for_constant(struct import *m, const struct config_entry *c)
{
	return c->null_differs && c->type != CONFIG_NONE && json_says_null(m->root, c->name);
}

/* Is the name in an object that the file lacks? Older files have no rope_parameters. */
static bool is_word_of_absent_object(struct import *m, const struct config_entry *c)
{
	const char *dot = strchr(c->name, '.');
	return dot && c->type == CONFIG_STRING
	       && !json_at(m->root, arena_strndup(m->arena, c->name, (size_t)(dot - c->name)));
}

/* Does the file lack a literal, and `absent` does not say what that means? solve.c handles fields. */
static bool is_unsaid(struct import *m, const struct config_entry *c)
{
	bool literal = !strcmp(c->field, c->name);
	if (!literal || c->type == CONFIG_NONE || c->absent || json_at(m->root, c->name) || is_word_of_absent_object(m, c))
		return false;
	complain("%s: %s is missing, and %s does not say in `absent` what that means", m->source, c->name, m->family->name);
	return true;
}

static bool compare(struct import *m, const struct program *p)
{
	bool same = true;
	for (int i = 0; i < p->config.n; i++) {
		const struct config_entry *c = &p->config.at[i];
		struct config_value want = value_of(c);
		json_t *v = json_at(m->root, c->name);
		if (v ? config_agrees(&want, v) : !is_null_for_constant(m, c)) {
			same = !is_unsaid(m, c) && same;
			continue;
		}
		complain("%s: %s is %s, and %s has %s", m->source, c->name, v ? json_value_text(m->arena, v) : "null",
		         m->family->name, entry_text(m, c));
		same = false;
	}
	return same;
}

enum { LISTED = 8 };
struct unknown {
	struct import *m;
	int n;
};

static void report_unknown(void *context, const char *path, json_t *v)
{
	struct unknown *u = context;
	if (u->n++ < LISTED)
		complain("%s: %s is %s, and %s does not say what that means", u->m->source, path,
		         json_value_text(u->m->arena, v), u->m->family->name);
}

static bool all_known(struct import *m, const struct program *p)
{
	struct unknown u = {m, 0};
	struct config_names names = {arena_array(m->arena, const char *, p->config.n + p->harmless.n), 0};
	for (int i = 0; i < p->config.n; i++)
		names.at[names.n++] = p->config.at[i].name;
	for (int i = 0; i < p->harmless.n; i++)
		names.at[names.n++] = p->harmless.at[i];
	config_unknown(m->root, &names, report_unknown, &u);
	if (!u.n)
		return true;
	if (u.n > LISTED)
		complain("%s: %d more fields that %s does not know", m->source, u.n - LISTED, m->family->name);
	complain("a field that does not change the result belongs in `harmless` of the family");
	return false;
}

bool compare_with_file(struct import *m, const char *text)
{
	struct sema *s = sema_new(m->arena, m->sema->names, m->sema->sink, m->options->sema);
	struct span nowhere = {0};
	const char *file = arena_printf(m->arena, "%s/", out_folder(m));
	s->main = module_file(s, file, arena_printf(m->arena, "the model of %s", m->source),
	                      (struct file_text){text, strlen(text)}, nowhere);
	struct def *d = module_own(s->main, names_str(s->names, m->name));
	struct record *r = d ? def_record(s, d) : NULL;
	if (!r || !record_check(r, false) || s->sink->errors)
		return false;
	struct program *p = walk_model(s, r, nowhere);
	if (!p)
		return false;
	bool same = compare(m, p);
	return all_known(m, p) && same;
}
