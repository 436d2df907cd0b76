/* Reads dr_blob, and computes mesh coordinates of ranks. */
#include "plan.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *plan_open(struct plan *p, const unsigned char *blob)
{
	const struct dr_program *h = (const struct dr_program *)(const void *)blob;
	if (h->magic != DR_MAGIC)
		return "the launcher has no program";
	if (h->version != DR_ABI_VERSION)
		return "the launcher's program and its runtime have different versions";
	*p = (struct plan){.blob = blob, .head = h, .n_groups = (int)h->groups.n};
	p->atoms = plan_array(p, struct dr_atom, h->atoms);
	p->groups = plan_array(p, struct dr_group, h->groups);
	p->collectives = plan_array(p, struct dr_collective, h->collectives);
	p->stages = plan_array(p, struct dr_stage, h->stages);
	p->params = plan_array(p, struct dr_param, h->params);
	p->programs = plan_array(p, struct dr_step_program, h->programs);
	p->constants = plan_array(p, struct dr_constant, h->constants);
	p->maps = plan_array(p, struct dr_map, h->maps);
	p->config = plan_array(p, struct dr_config, h->config);
	p->op_names = plan_array(p, struct dr_span, h->op_names);
	p->kernels = h->kernels.n ? plan_array(p, struct dr_kernel, h->kernels) : NULL;
	p->pools = plan_array(p, struct dr_pool, h->pools);
	p->n_pools = (int)h->pools.n;
	p->n_stages = (int)h->stages.n;
	p->n_owners = plan_group_size(p, (int)h->owner_group);
	uint64_t ranks = 1;
	for (uint32_t i = 0; i < h->atoms.n; i++)
		ranks *= p->atoms[i].size;
	if (ranks != h->ranks)
		return "the mesh of the launcher's program does not have as many ranks as the program";
	if (plan_group_size(p, (int)h->stage_group) != p->n_stages)
		return "the stages of the launcher's program are not those of its mesh";
	if (h->programs.n != DR_PHASES)
		return "the launcher's program does not prefill and decode";
	if (p->n_pools < 1 || p->n_pools > DR_POOLS || p->pools[0].reach)
		return "the launcher's program has pools of pages that its runtime does not know";
	if (h->order >= PIPELINE_ORDERS || h->chunks != 1)
		return "the launcher's program has a pipeline that its runtime does not know";
	return NULL;
}

const char *plan_string(const struct plan *p, struct dr_span s) { return (const char *)p->blob + s.at; }

int plan_coordinate(const struct plan *p, uint32_t atom, int rank)
{
	return rank / (int)p->atoms[atom].stride % (int)p->atoms[atom].size;
}

int plan_group_size(const struct plan *p, int group)
{
	return group == p->n_groups ? (int)p->head->ranks : (int)p->groups[group].size;
}

int plan_max_tokens(const struct plan *p)
{
	uint32_t most = 0;
	for (uint32_t i = 0; i < p->head->programs.n; i++)
		most = p->programs[i].max_tokens > most ? p->programs[i].max_tokens : most;
	return (int)most;
}

int plan_max_rows(const struct plan *p)
{
	uint32_t most = 0;
	for (uint32_t i = 0; i < p->head->programs.n; i++)
		most = p->programs[i].max_rows > most ? p->programs[i].max_rows : most;
	return (int)most;
}

int plan_group_index(const struct plan *p, int group, int rank)
{
	if (group == p->n_groups)
		return rank;
	const struct dr_group *g = &p->groups[group];
	const uint32_t *atom = plan_array(p, uint32_t, g->atoms);
	int index = 0;
	for (uint32_t a = 0; a < g->atoms.n; a++)
		index = index * (int)p->atoms[atom[a]].size + plan_coordinate(p, atom[a], rank);
	return index;
}

int plan_group_member(const struct plan *p, int group, int rank, int i)
{
	if (group == p->n_groups)
		return i;
	const struct dr_group *g = &p->groups[group];
	const uint32_t *atom = plan_array(p, uint32_t, g->atoms);
	for (uint32_t a = g->atoms.n; a-- > 0;) {
		const struct dr_atom *at = &p->atoms[atom[a]];
		int digit = i % (int)at->size;
		i /= (int)at->size;
		rank += (digit - plan_coordinate(p, atom[a], rank)) * (int)at->stride;
	}
	return rank;
}

bool plan_group_has(const struct plan *p, int group, uint32_t atom)
{
	const uint32_t *at = plan_array(p, uint32_t, p->groups[group].atoms);
	for (uint32_t a = 0; a < p->groups[group].atoms.n; a++)
		if (at[a] == atom)
			return true;
	return false;
}

struct owners plan_owners(const struct plan *p, uint32_t group, int rank)
{
	int n = p->n_owners / plan_group_size(p, (int)group);
	return (struct owners){plan_group_index(p, (int)group, rank) * n, n};
}

int plan_stage(const struct plan *p, int rank) { return plan_group_index(p, (int)p->head->stage_group, rank); }

struct pipeline plan_pipeline(const struct plan *p, int microbatches)
{
	return (struct pipeline){(enum pipeline_order)p->head->order, p->n_stages, microbatches, p->head->chunks, false};
}

uint64_t plan_space_bytes(const struct plan *p, int stage, enum dr_space space, int workers)
{
	return p->stages[stage].bytes[space] * (space == DR_SPACE_WORKSPACE ? (uint64_t)workers : 1);
}

uint64_t plan_bytes(const struct plan *p, int rank, int workers)
{
	uint64_t sum = 0;
	for (int i = 0; i < DR_SPACES; i++)
		sum += plan_space_bytes(p, plan_stage(p, rank), (enum dr_space)i, workers);
	return sum;
}

void plan_rank_name(const struct plan *p, int rank, char *out, size_t n)
{
	size_t at = (size_t)snprintf(out, n, "rank %d", rank);
	for (uint32_t a = 0; a < p->head->atoms.n && at < n; a++)
		at += (size_t)snprintf(out + at, n - at, "%s%s=%d", a ? ", " : " (", plan_string(p, p->atoms[a].name),
		                       plan_coordinate(p, a, rank));
	if (p->head->atoms.n && at < n)
		snprintf(out + at, n - at, ")");
}

const char *plan_op(const struct plan *p, int op)
{
	return op >= 0 && op < (int)p->head->op_names.n ? plan_string(p, p->op_names[op]) : "?";
}

const uint32_t *plan_bodies(const struct plan *p, int64_t layer)
{
	return plan_array(p, uint32_t, p->head->body_of) + layer;
}

bool plan_has_param(const struct plan *p, const struct dr_param *param, int64_t layer)
{
	return !param->in_loop || *plan_bodies(p, layer) == param->body;
}

uint64_t plan_layer_bytes(const struct plan *p, int64_t layer)
{
	return plan_array(p, struct dr_body, p->head->bodies)[*plan_bodies(p, layer)].param_bytes;
}
