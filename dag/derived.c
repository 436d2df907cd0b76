/* Answers what a deployment's goals ask about its layouts: the number of collectives, and the layout of a value. */
#include <string.h>
#include "local.h"

/* Does the region's own path end with `path` ("layer.attn")? */
static bool region_is(const struct program *p, int region, const char *path, size_t n)
{
	const char *name = p->regions.at[region].name;
	size_t length = strlen(name);
	if (length > n || memcmp(path + n - length, name, length))
		return false;
	if (length == n)
		return true;
	return path[n - length - 1] == '.' && p->regions.at[region].parent >= 0
	       && region_is(p, p->regions.at[region].parent, path, n - length - 1);
}

static bool below(const struct program *p, int region, const char *path)
{
	for (; region >= 0; region = p->regions.at[region].parent)
		if (region_is(p, region, path, strlen(path)))
			return true;
	return false;
}

/* Is the local value a collective of this kind? A dispatch or combine is one all_to_all, whatever it sends beside the
 * rows. */
static int is_kind(const struct local *l, const struct local_value *v, const char *kind)
{
	static const char *const text[LOCAL_OPS] = {[LOCAL_ALL_REDUCE] = "all_reduce",
	                                            [LOCAL_REDUCE_SCATTER] = "reduce_scatter",
	                                            [LOCAL_ALL_GATHER] = "all_gather",
	                                            [LOCAL_ALL_TO_ALL] = "all_to_all"};
	if (v->op != LOCAL_OP)
		return text[v->op] && !strcmp(text[v->op], kind);
	const struct expert_atoms *experts = experts_of(l, v);
	return experts && experts->exchange.n && !strcmp(kind, "all_to_all");
}

bool dag_has_region(const struct program *p, const char *region)
{
	for (int i = 0; i < p->regions.n; i++)
		if (region_is(p, i, region, strlen(region)))
			return true;
	return false;
}

int dag_count(const struct local *l, const char *kind, const char *region)
{
	const struct program *p = l->program;
	int most = 0;
	bool there = !*region || dag_has_region(p, region);
	for (int phase = 0; phase < PHASES && there; phase++) {
		int n = l->stage_layers.n > 1 && (!strcmp(kind, "send") || !strcmp(kind, "recv"));
		for (int i = 0; i < l->phase[phase].values.n; i++) {
			const struct local_value *v = &l->phase[phase].values.at[i];
			n += (!*region || below(p, v->region, region)) && is_kind(l, v, kind);
		}
		most = n > most ? n : most;
	}
	return there ? most : -1;
}

/* The program value named by `path`: the labels of its regions, then its own name. States and params have paths too. */
static int value_at_path(const struct program *p, const char *path)
{
	const char *dot = strrchr(path, '.'), *name = dot ? dot + 1 : path;
	for (int i = 0; i < p->values.n; i++) {
		const struct value *v = &p->values.at[i];
		if (!v->name || strcmp(v->name, name))
			continue;
		if (dot ? region_is(p, v->region, path, (size_t)(dot - path)) : p->regions.at[v->region].parent < 0)
			return i;
	}
	return -1;
}

const char *dag_layout(const struct local *l, const char *path, int phase, enum dtype *format)
{
	const struct program *p = l->program;
	int source = value_at_path(p, path), at = source < 0 ? -1 : l->phase[phase].of_program[source];
	if (at < 0)
		return NULL;
	const struct local_value *v = &l->phase[phase].values.at[at];
	const struct value *s = &p->values.at[source];
	*format = s->op == OP_APPEND  ? p->states.at[s->append.state].dtype
	          : s->op == OP_PARAM ? p->params.at[s->param].dtype
	                              : s->dtype;
	struct text t = {.arena = l->arena};
	local_layout_text(l, v, &t);
	return t.at;
}
