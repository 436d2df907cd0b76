/* Names of the library that are meant by names from elsewhere: `meta-llama/Llama-3.1-8B-Instruct`, `H100`. */
#include "foreign.h"
#include <ctype.h>
#include <string.h>
#include "../support/flags.h"

enum { MAX_WORDS = 16, MAX_LENGTH = 96 };

/* The words of a name, in lower case: letters and digits between other characters. */
struct words {
	char text[MAX_LENGTH];
	const char *at[MAX_WORDS];
	int n;
};

static struct words *split(struct sema *s, const char *name)
{
	struct words *w = arena_new(s->arena, struct words);
	size_t n = strlen(name);
	bool inside = false;
	for (size_t i = 0; i < n && n < MAX_LENGTH; i++) {
		bool word = isalnum((unsigned char)name[i]);
		w->text[i] = word ? (char)tolower((unsigned char)name[i]) : 0;
		if (word && !inside && w->n < MAX_WORDS)
			w->at[w->n++] = &w->text[i];
		inside = word;
	}
	return w;
}

/* Words [first, end) in a row. */
static const char *joined(struct sema *s, const struct words *w, int first, int end)
{
	struct text t = {.arena = s->arena};
	text_add(&t, "%s", "");
	for (int i = first; i < end; i++)
		text_add(&t, "%s", w->at[i]);
	return t.at;
}

/* Is `part` some of the words of `name` in a row? */
static bool has_words(struct sema *s, const char *name, const char *part)
{
	struct words *w = split(s, name), *p = split(s, part);
	const char *wanted = joined(s, p, 0, p->n);
	for (int i = 0; i < w->n && p->n; i++)
		for (int j = i + 1; j <= w->n; j++)
			if (!strcmp(joined(s, w, i, j), wanted))
				return true;
	return false;
}

/* ---- published models ------------------------------------------------------------------------ */

/* The model of the library that has the same words. */
static const char *model_of_words(struct sema *s, const char *name)
{
	struct module *models = module_std(s, "models", (struct span){0});
	struct words *w = split(s, name);
	const char *wanted = joined(s, w, 0, w->n);
	for (int i = 0; i < models->own.n; i++) {
		struct words *own = split(s, models->own.at[i]->name);
		if (!strcmp(joined(s, own, 0, own->n), wanted))
			return models->own.at[i]->name;
	}
	return NULL;
}

struct published_model foreign_model(struct sema *s, const char *name)
{
	const struct published *p = published_find(name);
	if (!p)
		return (struct published_model){strchr(name, '/') ? NULL : model_of_words(s, name), "", NULL};
	return (struct published_model){p->model, p->quantised ? "" : p->settings, p->quantised};
}

const char *foreign_refined(struct sema *s, struct published_model m)
{
	return *m.settings ? arena_printf(s->arena, "%s { %s }", m.name, m.settings) : m.name;
}

/* ---- other names ----------------------------------------------------------------------------- */

const char *foreign_related(struct sema *s, struct module *m, const char *name, const char *kind)
{
	for (int i = 0; i < m->own.n; i++) {
		const struct def *d = m->own.at[i];
		if (d->name[0] != '_' && (!kind || !strcmp(kind, d->kind)) && has_words(s, d->name, name))
			return d->name;
	}
	return NULL;
}

/* The name before the braces of a value, or NULL. */
static const char *base_name(const struct node *value)
{
	value = value->kind == N_REFINE ? value->sub2.base : value;
	return value->kind == N_ID ? value->ident.name : NULL;
}

const char *foreign_wanted(const struct module *m, const char *name)
{
	for (int i = 0; i < m->items.n; i++) {
		const struct node *x = m->items.at[i];
		struct nodes body = x->kind == N_NAMED ? x->named.body : (struct nodes){0};
		for (int k = 0; k < body.n; k++) {
			const struct node *set = body.at[k];
			const char *base = set->kind == N_SET && set->set.path.n == 1 ? base_name(set->set.value) : NULL;
			if (base && !strcmp(base, name))
				return set->set.path.at[0].name;
		}
	}
	return NULL;
}

const char *foreign_dashed(struct sema *s, struct span at, struct span *whole)
{
	const char *text = s->sink->sources->files.at[at.file].text;
	uint32_t end = at.hi;
	while (isalnum((unsigned char)text[end]) || (text[end] && strchr("-._", text[end])))
		end++;
	if (end == at.hi || (text[at.hi] != '-' && text[at.hi] != '.'))
		return NULL;
	char *name = arena_strndup(s->arena, text + at.lo, end - at.lo);
	for (char *c = name; *c; c++)
		*c = isalnum((unsigned char)*c) ? *c : '_';
	*whole = (struct span){at.file, at.lo, end};
	return name;
}

const char *foreign_cluster(struct sema *s, const char *device)
{
	struct module *m = module_std(s, "clusters", (struct span){0});
	for (int i = 0; i < m->own.n; i++) {
		const struct def *d = m->own.at[i];
		struct nodes body = !strcmp(d->kind, "cluster") ? d->node->named.body : (struct nodes){0};
		for (int k = 0; k < body.n; k++) {
			const struct node *x = body.at[k];
			const char *base = x->kind == N_SET && x->set.path.n == 1 && !strcmp(x->set.path.at[0].name, "device")
			                       ? base_name(x->set.value)
			                       : NULL;
			if (base && !strcmp(base, device))
				return d->name;
		}
	}
	return NULL;
}
