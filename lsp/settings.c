/* What the client's settings change: values, folders of modules, the deployment that is planned. */
#include "server.h"
#include <string.h>

static void read_defines(struct server *s, const json_t *defines, struct sema_options *o)
{
	const char *path;
	json_t *value;
	struct arena *a = &s->settings;
	struct suggestion *set = arena_array(a, struct suggestion, o->n_set + (int)json_object_size(defines) + 1);
	for (int i = 0; i < o->n_set; i++)
		set[i] = o->set[i];
	json_object_foreach ((json_t *)defines, path, value) {
		char *number = json_dumps(value, JSON_ENCODE_ANY);
		const char *text = json_is_string(value) ? json_string_value(value) : number ? number : "";
		set[o->n_set++] = (struct suggestion){arena_printf(a, "%s", path), arena_printf(a, "%s", text)};
		if (number)
			json_text_free(number);
	}
	o->set = set;
}

static void read_includes(struct server *s, const json_t *includes, struct sema_options *o)
{
	size_t i;
	json_t *value;
	const char **all = arena_array(&s->settings, const char *, o->n_include + (int)json_array_size(includes) + 1);
	for (int k = 0; k < o->n_include; k++)
		all[k] = o->include[k];
	json_array_foreach (includes, i, value)
		if (json_is_string(value))
			all[o->n_include++] = arena_printf(&s->settings, "%s", json_string_value(value));
	o->include = all;
}

/* {"deploy": {"deployment": "Chat", "define": {"Chat.plan.tp": 4}, "include": ["lib"]}}, or what is inside. */
void settings_read(struct server *s, const json_t *settings)
{
	const json_t *inner = json_object_get(settings, "deploy");
	settings = inner ? inner : settings;
	const char *deploy = json_string_value(json_object_get(settings, "deployment"));
	arena_free(&s->settings);
	s->sema = s->options->sema;
	s->sema.library = s->files;
	s->deploy = deploy && *deploy ? arena_printf(&s->settings, "%s", deploy) : s->options->deploy;
	read_defines(s, json_object_get(settings, "define"), &s->sema);
	read_includes(s, json_object_get(settings, "include"), &s->sema);
	server_make_stale(s, NULL);
}
