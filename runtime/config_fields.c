/* Fields of config.json that the program does not know. They are rejected unless they are known to be harmless. A null
 * is ignored. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "config_value.h"
#include "json_text.h"
#include "runtime.h"

enum { LISTED = 8, SHOWN = 200 };

struct fields {
	const struct plan *plan;
	struct unverified *unverified;
	struct problems *p;
	int unknown;
};

bool unverified_has(struct unverified *u, const char *name)
{
	bool has = false;
	for (int i = 0; i < u->n; i++)
		if (!strcmp(u->name[i], name) || !fnmatch(u->name[i], name, 0)) {
			u->used[i] = true;
			has = true;
		}
	return has;
}

void unverified_check(const struct unverified *u, struct problems *p)
{
	for (int i = 0; i < u->n; i++)
		if (!u->used[i])
			problem(p, "--unverified=%s: no missing or unknown field of config.json and no unread tensor has this name",
			        u->name[i]);
}

static void report_unknown(void *context, const char *path, json_t *v)
{
	struct fields *f = context;
	char *text;
	if (unverified_has(f->unverified, path) || f->unknown++ >= LISTED)
		return;
	text = json_text_show(v);
	problem(f->p, "config.json: %.*s is %.*s, and %s does not say what that means; --unverified=%.*s runs anyway",
	        SHOWN, path, SHOWN, text ? text : "?", plan_string(f->plan, f->plan->head->model), SHOWN, path);
	free(text);
}

void config_fields_check(const struct plan *plan, struct json_t *root, struct unverified *u, struct problems *p)
{
	const struct dr_program *h = plan->head;
	const struct dr_span *harmless = plan_array(plan, struct dr_span, h->harmless);
	struct fields f = {plan, u, p, 0};
	struct config_names names = {host_alloc(h->config.n + h->harmless.n, sizeof *names.at), 0};
	for (uint32_t i = 0; i < h->config.n; i++)
		names.at[names.n++] = plan_string(plan, plan->config[i].name);
	for (uint32_t i = 0; i < h->harmless.n; i++)
		names.at[names.n++] = plan_string(plan, harmless[i]);
	config_unknown(root, &names, report_unknown, &f);
	free(names.at);
	if (f.unknown > LISTED)
		problem(p, "config.json: %d more fields that %s does not know", f.unknown - LISTED,
		        plan_string(plan, h->model));
}
