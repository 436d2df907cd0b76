/* Chat templates of checkpoints. */
#include "chat.h"
#include <stdlib.h>
#include <string.h>
#include "../text/chat_template.h"
#include "files.h"

struct chat {
	struct chat_template *template;
	json_t *config; /* tokenizer_config.json; NULL: none */
};

/* The template in tokenizer_config.json: a text, or the one called `default` of a list. */
static const char *template_in(const json_t *config)
{
	const json_t *v = json_object_get(config, "chat_template");
	for (size_t i = 0; i < json_array_size(v); i++) {
		const json_t *one = json_array_get(v, i);
		const char *name = json_string_value(json_object_get(one, "name"));
		if (name && !strcmp(name, "default"))
			return json_string_value(json_object_get(one, "template"));
	}
	return json_string_value(v);
}

static struct chat_template *read_template(const char *name, const char *text, size_t n, struct problems *p)
{
	struct text_error e;
	struct chat_template *t = chat_template_read(name, text, n, &e);
	if (!t)
		problem(p, "%s", e.text);
	return t;
}

struct chat *chat_open(const char *folder, struct problems *p)
{
	int before = p->n;
	size_t n = 0;
	char *path = join_path(folder, "chat_template.jinja"), *config_path = join_path(folder, "tokenizer_config.json");
	struct chat *c = host_alloc(1, sizeof *c);
	*c = (struct chat){.config = file_exists(config_path) ? json_file(config_path, p) : NULL};
	char *text = file_exists(path) ? file_text(path, CHAT_MAX_TEMPLATE, &n, p) : NULL;
	const char *inside = template_in(c->config);
	if (text)
		c->template = read_template(path, text, n, p);
	else if (inside && p->n == before)
		c->template = read_template(config_path, inside, strlen(inside), p);
	else if (p->n == before)
		problem(p, "%s has no chat template: neither chat_template.jinja nor one in tokenizer_config.json", folder);
	free(text);
	free(path);
	free(config_path);
	if (p->n == before)
		return c;
	chat_close(c);
	return NULL;
}

void chat_close(struct chat *c)
{
	if (!c)
		return;
	chat_template_close(c->template);
	json_decref(c->config);
	free(c);
}

/* A special token of tokenizer_config.json: a text, or an object with its `content`. */
static json_t *token_text(const struct chat *c, const char *name)
{
	json_t *v = json_object_get(c->config, name), *content = json_object_get(v, "content");
	return json_is_string(v) ? json_incref(v) : json_is_string(content) ? json_incref(content) : json_string("");
}

char *chat_text(const struct chat *c, json_t *messages, size_t *n, char why[CHAT_WHY_BYTES])
{
	struct text_error e;
	char *out = NULL;
	time_t seconds = time(NULL);
	struct tm now;
	json_t *variables =
		json_pack("{s:O, s:b, s:o, s:o, s:n, s:n}", "messages", messages, "add_generation_prompt", 1, "bos_token",
	              token_text(c, "bos_token"), "eos_token", token_text(c, "eos_token"), "tools", "documents");
	localtime_r(&seconds, &now);
	if (!chat_template_render(c->template, variables, &now, &out, n, &e)) {
		snprintf(why, CHAT_WHY_BYTES, "%s", e.text);
		out = NULL;
	}
	json_decref(variables);
	return out;
}
