/* Tensors of a checkpoint that no param reads. The model lists those that may be unread, and copies of tensors that are
 * read. Others are rejected: they belong to a part of the model that the program lacks. --unverified accepts them,
 * except a copy that differs from its original, and a scale of a tensor that is read: results would be wrong without
 * it. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include "no_memory.h"
#include "number.h"
#include "runtime.h"

enum { LISTED = 8 };

/* A module is the part of a tensor's name before the last dot. narrow: a tensor in it with less than 16 bits is read.
 */
struct module {
	const char *name;
	size_t n;
	bool narrow;
};
struct unread {
	const struct plan *plan;
	const struct checkpoint *c;
	const bool *read;
	struct unverified *u;
	struct problems *p;
	struct module *modules;
	size_t n_modules; /* modules of tensors that are read, sorted */
	int rejected, scales;
	FILE *names;
	char *text;
	size_t size; /* bytes of the first few rejected tensors */
};

static struct module module_of(const struct tensor *t)
{
	const char *dot = strrchr(t->name, '.');
	bool narrow = t->dtype != TENSOR_OTHER_DTYPE && dtype_size(t->dtype) < 2;
	return (struct module){t->name, dot ? (size_t)(dot - t->name) : 0, narrow};
}

static int by_module(const void *a, const void *b)
{
	const struct module *x = a, *y = b;
	int order = memcmp(x->name, y->name, x->n < y->n ? x->n : y->n);
	return order ? order : (x->n > y->n) - (x->n < y->n);
}

static void find_modules(struct unread *k)
{
	int n = checkpoint_size(k->c);
	k->modules = host_alloc((size_t)n, sizeof *k->modules);
	for (int i = 0; i < n; i++)
		if (k->read[i])
			k->modules[k->n_modules++] = module_of(checkpoint_at(k->c, i));
	qsort(k->modules, k->n_modules, sizeof *k->modules, by_module);
	size_t kept = 0;
	for (size_t i = 0; i < k->n_modules; i++)
		if (kept && !by_module(&k->modules[kept - 1], &k->modules[i]))
			k->modules[kept - 1].narrow |= k->modules[i].narrow;
		else
			k->modules[kept++] = k->modules[i];
	k->n_modules = kept;
}

/* Is it a quantiser's name for data of a weight: weight_scale_inv, scales, qzeros, weight.absmax, SCB, g_idx? */
static bool is_named_as_scale(const char *name)
{
	static const char *const parts[] = {"scale", "zero", "absmax", "quant", "scb", "g_idx"};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strcasestr(name, parts[i]))
			return true;
	return false;
}

/* Is it a scale of a tensor that is read? In the module of that tensor, such names are, and all names if the tensor has
 * less than 16 bits. */
static bool is_scale(const struct unread *k, const struct tensor *t)
{
	struct module m = module_of(t);
	const struct module *beside = bsearch(&m, k->modules, k->n_modules, sizeof m, by_module);
	char *owner = strndup(t->name, m.n);
	const struct tensor *of = checkpoint_find(k->c, owner); /* weight.absmax belongs to weight */
	free(owner);
	if (of && !k->read[of - checkpoint_at(k->c, 0)])
		of = NULL;
	bool narrow = (beside && beside->narrow) || (of && module_of(of).narrow);
	return narrow || ((beside || of) && is_named_as_scale(t->name + m.n));
}

static bool is_listed(const struct plan *plan, const char *name)
{
	const struct dr_span *glob = plan_array(plan, struct dr_span, plan->head->unused);
	for (uint32_t i = 0; i < plan->head->unused.n; i++)
		if (!fnmatch(plan_string(plan, glob[i]), name, 0))
			return true;
	return false;
}

/* The tensor that this one must equal; NULL: none. */
static const char *original_of(const struct plan *plan, const char *name)
{
	const struct dr_span *list = plan_array(plan, struct dr_span, plan->head->copies);
	for (uint32_t i = 0; i < plan->head->copies.n; i++) {
		const struct dr_span *names = plan_array(plan, struct dr_span, list[i]);
		for (uint32_t n = 1; n < list[i].n; n++)
			if (!strcmp(plan_string(plan, names[n]), name))
				return plan_string(plan, names[0]);
	}
	return NULL;
}

static bool same_bits(const struct tensor *a, const struct tensor *b)
{
	return a->dtype == b->dtype && a->dtype != TENSOR_OTHER_DTYPE && a->dims == b->dims
	       && !memcmp(a->dim, b->dim, (size_t)a->dims * sizeof *a->dim)
	       && !memcmp(a->data, b->data, a->count * dtype_size(a->dtype));
}

/* false: the checkpoint has no tensor to compare with. */
static bool check_copy(struct unread *k, const struct tensor *t)
{
	const char *name = original_of(k->plan, t->name);
	const struct tensor *original = name ? checkpoint_find(k->c, name) : NULL;
	if (!original || !k->read[original - checkpoint_at(k->c, 0)])
		return false;
	if (k->p && !same_bits(t, original))
		problem(k->p, "tensor %.200s differs from %s, which %s reads instead", t->name, name,
		        plan_string(k->plan, k->plan->head->model));
	return true;
}

static void check_one(struct unread *k, const struct tensor *t)
{
	if (is_scale(k, t)) {
		if (k->p && k->scales++ < LISTED)
			problem(k->p, "tensor %.200s is a scale, and %s does not multiply by it: the checkpoint is quantised",
			        t->name, plan_string(k->plan, k->plan->head->model));
		return;
	}
	if (is_listed(k->plan, t->name) || check_copy(k, t) || unverified_has(k->u, t->name))
		return;
	if (k->rejected++ < LISTED)
		fprintf(k->names, "%s%.100s", k->rejected > 1 ? ", " : "", t->name);
}

static void report_rejected(struct unread *k)
{
	if (k->rejected > LISTED)
		fprintf(k->names, " and %d more", k->rejected - LISTED);
	if (fclose(k->names))
		no_memory(BUFSIZ);
	if (k->rejected && k->p)
		problem(k->p, "%d tensor%s that nothing in %s reads: %s; --unverified=NAME, which may be a glob, runs anyway",
		        k->rejected, k->rejected == 1 ? "" : "s", plan_string(k->plan, k->plan->head->model), k->text);
	if (k->scales > LISTED && k->p)
		problem(k->p, "%d more scales", k->scales - LISTED);
	free(k->text);
}

void weights_unread_check(const struct plan *plan, const struct checkpoint *c, const bool *read, struct unverified *u,
                          struct problems *p)
{
	struct unread k = {.plan = plan, .c = c, .read = read, .u = u, .p = p};
	k.names = open_memstream(&k.text, &k.size);
	if (!k.names)
		no_memory(BUFSIZ);
	find_modules(&k);
	for (int i = 0; i < checkpoint_size(c); i++)
		if (!read[i])
			check_one(&k, checkpoint_at(c, i));
	report_rejected(&k);
	free(k.modules);
}
