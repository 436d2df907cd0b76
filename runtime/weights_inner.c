/* The tensors of a language model whose names have a prefix in the checkpoint, mostly that of a larger model: before
 * the name that they have without it (language_model.model.norm.weight, transformer.wte.weight), or after the first
 * part of that name (model.language_model.norm.weight). The name of the first param decides which. */
#include <stdlib.h>
#include <string.h>
#include "no_memory.h"
#include "runtime.h"

struct inner {
	const struct plan *plan;
	char key[KEY_BYTES]; /* of the first param */
	size_t first;        /* bytes of the key's first part, with its dot, before the prefix; 0: the prefix is in front */
	char prefix[KEY_BYTES];
	int candidates;
	bool larger; /* tensors of other names belong to a larger model */
	int beside;  /* tensors with a param's names that lack the prefix of the others */
	struct problems *p;
};

static size_t first_part(const char *name) { return strcspn(name, "."); }

static bool starts(const char *name, const char *with, size_t n) { return strlen(name) >= n && !memcmp(name, with, n); }

static bool same_first_part(const char *a, const char *b)
{
	return first_part(a) == first_part(b) && starts(a, b, first_part(b));
}

/* Notes the prefix if the name is the key with one after its first `first` bytes. */
static void consider(struct inner *k, const char *name, size_t first)
{
	size_t rest = strlen(k->key) - first, n = strlen(name);
	if (n < first + rest || n - first - rest >= sizeof k->prefix || !starts(name, k->key, first)
	    || strcmp(name + n - rest, k->key + first) != 0)
		return;
	size_t between = n - first - rest;
	if (between && name[first + between - 1] != '.')
		return;
	k->candidates++;
	snprintf(k->prefix, sizeof k->prefix, "%.*s", (int)between, name + first);
	k->first = first;
}

static void find_prefix(struct inner *k, const struct checkpoint *c, struct problems *p)
{
	size_t first = first_part(k->key);
	for (int i = 0; i < checkpoint_size(c); i++) {
		const char *name = checkpoint_at(c, i)->name;
		if (!strcmp(name, k->key)) {
			k->first = 0, k->candidates = 1, *k->prefix = 0;
			return;
		}
		consider(k, name, 0);
		if (k->key[first])
			consider(k, name, first + 1);
	}
	if (k->candidates > 1)
		problem(p, "%d tensors could be %s of the language model", k->candidates, k->key);
}

static bool lists_first_part(const struct plan *plan, struct dr_span list, const char *name)
{
	const struct dr_span *known = plan_array(plan, struct dr_span, list);
	for (uint32_t i = 0; i < list.n; i++)
		if (same_first_part(plan_string(plan, known[i]), name))
			return true;
	return false;
}

static bool is_of_param(const struct plan *plan, const char *name)
{
	for (uint32_t i = 0; i < plan->head->params.n; i++)
		if (same_first_part(plan_string(plan, plan->params[i].key), name))
			return true;
	return false;
}

/* Is it in a part of the language model, by the first part of its name? */
static bool is_known(const struct plan *plan, const char *name)
{
	if (is_of_param(plan, name))
		return true;
	const struct dr_span *copies = plan_array(plan, struct dr_span, plan->head->copies);
	for (uint32_t i = 0; i < plan->head->copies.n; i++)
		if (lists_first_part(plan, copies[i], name))
			return true;
	return lists_first_part(plan, plan->head->unused, name);
}

static char *own_name(void *context, const char *name)
{
	struct inner *k = context;
	size_t n = strlen(k->prefix);
	bool part = k->first && starts(name, k->key, k->first);
	bool within = n && (part || !k->first) && starts(name + k->first, k->prefix, n);
	bool other = !within && (part || !is_known(k->plan, name));
	char *own = NULL;
	if (n && !k->first && !within && is_of_param(k->plan, name) && !k->beside++)
		problem(k->p, "tensor %.200s lacks the prefix of %.200s%s", name, k->prefix, k->key);
	if (other && k->larger)
		return NULL;
	if (asprintf(&own, "%.*s%s", within ? (int)k->first : 0, name, name + (within ? k->first + n : 0)) < 0)
		no_memory(strlen(name) + 1);
	return own;
}

void weights_inner(const struct plan *plan, struct checkpoint *c, bool larger, struct problems *p)
{
	struct inner k = {.plan = plan, .larger = larger, .p = p};
	int64_t digit[MAX_AXES] = {0};
	if (!plan->head->params.n)
		return;
	param_key(plan, &plan->params[0], 0, digit, k.key, sizeof k.key);
	find_prefix(&k, c, p);
	if (k.candidates == 1)
		checkpoint_rename(c, own_name, &k, p);
}
