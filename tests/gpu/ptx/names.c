/* What names mean: registers and variables of the scopes that are open, variables of the module, special registers. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "lower.h"

struct binding {
	struct binding *next;
	const char *name;
	size_t length;
	int count; /* registers: %r<count>; 0: one register; -1: a variable */
	int first; /* the first virtual register */
	struct place place;
};

static struct binding *bind(struct lowering *lo, const char *name)
{
	struct binding *b = arena_take(lo->l->arena, sizeof *b);
	*b = (struct binding){.next = lo->bindings, .name = name, .length = strlen(name)};
	lo->bindings = b;
	return b;
}

void bind_registers(struct lowering *lo, const struct statement *s)
{
	struct binding *b = bind(lo, s->name);
	b->count = s->count;
	b->first = lo->n_registers;
	for (int i = 0; i < (s->count ? s->count : 1); i++)
		new_register(lo, s->type->size, s->type->kind);
}

void bind_variable(struct lowering *lo, const struct variable *v, struct place place)
{
	struct binding *b = bind(lo, v->name);
	b->count = -1;
	b->place = place;
}

/* "%r12" is number 12 of %r<13>, or a register of that name. */
bool find_register(const struct lowering *lo, const char *name, uint32_t *op)
{
	size_t length = strlen(name), prefix = length;
	while (prefix && isdigit((unsigned char)name[prefix - 1]))
		prefix--;
	int number = atoi(name + prefix);
	for (const struct binding *b = lo->bindings; b; b = b->next) {
		int index = -1;
		if (b->count > 0 && b->length == prefix && prefix < length && !memcmp(b->name, name, prefix)
		    && number < b->count)
			index = b->first + number;
		else if (b->count == 0 && b->length == length && !memcmp(b->name, name, length))
			index = b->first;
		if (index < 0)
			continue;
		*op = (uint32_t)index << 2 | (lo->registers[index].size ? AREA_REGISTERS : AREA_PREDICATES);
		return true;
	}
	return false;
}

static uint32_t round_up(uint32_t n, uint32_t align) { return (n + align - 1) / align * align; }

static uint32_t take(uint32_t *bytes, const struct variable *v)
{
	uint32_t at = round_up(*bytes, v->align);
	*bytes = at + v->size;
	return at;
}

struct place place_local(struct lowering *lo, const struct variable *v)
{
	bool shared = v->space == SPACE_SHARED;
	return (struct place){v->space,
	                      shared ? STATIC_SHARED + take(&lo->k->shared_bytes, v) : take(&lo->k->local_bytes, v)};
}

/* A kernel has the module's shared variables that it uses. */
static void place_shared(struct lowering *lo, struct variable *v)
{
	if (v->placed_in == lo->k)
		return;
	v->placed_in = lo->k;
	v->address = v->external ? 0 : STATIC_SHARED + take(&lo->k->shared_bytes, v);
}

bool find_variable_place(struct lowering *lo, const char *name, struct place *place)
{
	for (const struct binding *b = lo->bindings; b; b = b->next)
		if (b->count < 0 && !strcmp(b->name, name)) {
			*place = b->place;
			return true;
		}
	for (struct variable *v = lo->l->variables; v; v = v->next)
		if (!strcmp(v->name, name)) {
			if (v->space == SPACE_SHARED)
				place_shared(lo, v);
			*place = (struct place){v->space, v->address};
			return true;
		}
	return false;
}

/* ---- special registers ---- */
static const struct {
	const char *name;
	int special, size;
} specials[] = {
	{"%tid.x", SPECIAL_TID, 4},
	{"%tid.y", SPECIAL_TID + 1, 4},
	{"%tid.z", SPECIAL_TID + 2, 4},
	{"%ntid.x", SPECIAL_NTID, 4},
	{"%ntid.y", SPECIAL_NTID + 1, 4},
	{"%ntid.z", SPECIAL_NTID + 2, 4},
	{"%ctaid.x", SPECIAL_CTAID, 4},
	{"%ctaid.y", SPECIAL_CTAID + 1, 4},
	{"%ctaid.z", SPECIAL_CTAID + 2, 4},
	{"%nctaid.x", SPECIAL_NCTAID, 4},
	{"%nctaid.y", SPECIAL_NCTAID + 1, 4},
	{"%nctaid.z", SPECIAL_NCTAID + 2, 4},
	{"%laneid", SPECIAL_LANE, 4},
	{"%warpid", SPECIAL_WARP, 4},
	{"%nwarpid", SPECIAL_WARPS, 4},
	{"%lanemask_eq", SPECIAL_MASK_EQ, 4},
	{"%lanemask_lt", SPECIAL_MASK_LT, 4},
	{"%lanemask_le", SPECIAL_MASK_LE, 4},
	{"%lanemask_gt", SPECIAL_MASK_GT, 4},
	{"%lanemask_ge", SPECIAL_MASK_GE, 4},
	{"%total_smem_size", SPECIAL_SHARED_TOTAL, 4},
	{"%dynamic_smem_size", SPECIAL_SHARED_DYNAMIC, 4},
	{"%smid", SPECIAL_ZERO, 4},
	{"%clusterid.x", SPECIAL_CLUSTERID, 4},
	{"%clusterid.y", SPECIAL_CLUSTERID + 1, 4},
	{"%clusterid.z", SPECIAL_CLUSTERID + 2, 4},
	{"%nclusterid.x", SPECIAL_NCLUSTERID, 4},
	{"%nclusterid.y", SPECIAL_NCLUSTERID + 1, 4},
	{"%nclusterid.z", SPECIAL_NCLUSTERID + 2, 4},
	{"%cluster_ctaid.x", SPECIAL_CLUSTER_CTAID, 4},
	{"%cluster_ctaid.y", SPECIAL_CLUSTER_CTAID + 1, 4},
	{"%cluster_ctaid.z", SPECIAL_CLUSTER_CTAID + 2, 4},
	{"%cluster_nctaid.x", SPECIAL_CLUSTER_NCTAID, 4},
	{"%cluster_nctaid.y", SPECIAL_CLUSTER_NCTAID + 1, 4},
	{"%cluster_nctaid.z", SPECIAL_CLUSTER_NCTAID + 2, 4},
	{"%cluster_ctarank", SPECIAL_CLUSTER_RANK, 4},
	{"%cluster_nctarank", SPECIAL_CLUSTER_RANKS, 4},
	{"%nsmid", SPECIAL_ONE, 4},
};

int special_named(const char *name, int *size)
{
	for (size_t i = 0; i < sizeof specials / sizeof *specials; i++)
		if (!strcmp(specials[i].name, name)) {
			*size = specials[i].size;
			return specials[i].special;
		}
	return -1;
}

handler *changing_special(const char *name, int *size)
{
	static const struct {
		const char *name;
		handler *run;
		int size;
	} clocks[] = {{"%clock", x_clock, 4},
	              {"%clock_hi", x_clock, 4},
	              {"%clock64", x_clock64, 8},
	              {"%globaltimer", x_timer, 8},
	              {"%globaltimer_lo", x_clock, 4}};
	for (size_t i = 0; i < sizeof clocks / sizeof *clocks; i++)
		if (!strcmp(clocks[i].name, name)) {
			*size = clocks[i].size;
			return clocks[i].run;
		}
	return NULL;
}
