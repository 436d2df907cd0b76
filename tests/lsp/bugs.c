/* A deployc with bugs, for the tests of the language server: names in a text say which pass or answer has one. */
#include <string.h>
#include "../../lsp/server.h"

bool __real_sema_load(struct sema *s, const char *path);
bool __wrap_sema_load(struct sema *s, const char *path);
bool __wrap_sema_load(struct sema *s, const char *path)
{
	if (strstr(path, "bug_in_sema"))
		internal_error("reading `%s`", strrchr(path, '/') + 1);
	return __real_sema_load(s, path);
}

void __real_passes_run(const struct passes *with, struct planned *p);
void __wrap_passes_run(const struct passes *with, struct planned *p);
void __wrap_passes_run(const struct passes *with, struct planned *p)
{
	static int runs;
	const char *name = p->deploy->name;
	runs += !strcmp(name, "BugLater");
	if (!strcmp(name, "BugInPasses") || (!strcmp(name, "BugLater") && runs > 1))
		internal_error("planning `%s`", name);
	__real_passes_run(with, p);
}

void __real_planner_goals(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                          const struct training *t, const struct target *target, struct goal_list *out);
void __wrap_planner_goals(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                          const struct training *t, const struct target *target, struct goal_list *out);
void __wrap_planner_goals(struct sema *sema, const struct deploy *d, const struct local *l, const struct schedule *s,
                          const struct training *t, const struct target *target, struct goal_list *out)
{
	if (!strcmp(d->name, "BugInGoals"))
		internal_error("judging `%s`", d->name);
	__real_planner_goals(sema, d, l, s, t, target, out);
}

json_t *__real_hover_at(struct server *s, const json_t *params);
json_t *__wrap_hover_at(struct server *s, const json_t *params);
json_t *__wrap_hover_at(struct server *s, const json_t *params)
{
	const struct document *d = server_target(s, params);
	if (d && strstr(d->text, "BugInHover"))
		internal_error("a hover");
	return __real_hover_at(s, params);
}
