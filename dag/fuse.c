/* Joins launches, list by list. */
#include "fuse.h"

/* ---- lists ----------------------------------------------------------------------------------- */
typedef void visit_list(struct fusing *f);

static void each_list(struct fusing *f, visit_list *visit)
{
	const struct step_program *p = f->w->step;
	for (int b = 0; b < p->blocks.n; b++)
		for (int body = 0; body < p->blocks.at[b].n; body++) {
			f->list = &p->blocks.at[b].body[body];
			visit(f);
		}
}

static void count_list(struct fusing *f)
{
	for (int i = 0; i < f->list->n; i++)
		fuse_count_reads(f, &f->list->at[i], 1);
}

static bool is_on(const struct fusing *f, enum fusion what) { return !(f->w->target->unfused >> what & 1); }

static void fuse_list(struct fusing *f)
{
	for (int i = 0, at; i < f->list->n && is_on(f, FUSION_ROWS); i++)
		while ((at = fuse_rows(f, i)) >= 0)
			i = at;
	for (int i = 0; i < f->list->n && is_on(f, FUSION_PRODUCTS); i++)
		while (fuse_products(f, i))
			;
}

void fuse_launches(struct lower *w)
{
	struct fusing f = {.w = w, .reads = arena_array(w->arena, int, w->buffers.n + 1)};
	each_list(&f, count_list);
	each_list(&f, fuse_list);
}

/* ---- what is left ---------------------------------------------------------------------------- */
const char *fusion_name(enum fusion what)
{
	static const char *const names[FUSIONS] = {
#define FUSION(NAME, name, what) [FUSION_##NAME] = name,
#include "fuse.def"
	};
	return names[what];
}

typedef void visit_instr(struct instr *i, int *kernels, int *ops);

static void mark(struct instr *i, int *kernels, int *ops)
{
	ops[i->op] = 1;
	if (i->kind == INSTR_LAUNCH)
		kernels[i->launch.kernel] = 1;
}

static void renumber(struct instr *i, int *kernels, int *ops)
{
	i->op = ops[i->op];
	if (i->kind == INSTR_LAUNCH)
		i->launch.kernel = kernels[i->launch.kernel];
}

static void each_instr(struct schedule *s, visit_instr *visit, int *kernels, int *ops)
{
	for (int p = 0; p < s->programs.n; p++)
		for (int b = 0; b < s->programs.at[p].blocks.n; b++)
			for (int body = 0; body < s->programs.at[p].blocks.at[b].n; body++) {
				struct instrs *in = &s->programs.at[p].blocks.at[b].body[body];
				for (int i = 0; i < in->n; i++)
					visit(&in->at[i], kernels, ops);
			}
}

/* Kernels keep their order; of each family they are numbered from 0 again. */
static void keep_kernels(struct schedule *s, int *number)
{
	int n = 0, of_family[KERNEL_FAMILIES] = {0};
	for (int i = 0; i < s->kernels.n; i++) {
		if (!number[i])
			continue;
		struct kernel *k = &s->kernels.at[n];
		*k = s->kernels.at[i];
		snprintf(k->name, sizeof k->name, "%s_%d", kernel_family_name(k->family), of_family[k->family]++);
		number[i] = n++;
	}
	s->kernels.n = n;
}

void drop_unused(struct schedule *s, struct arena *arena)
{
	int *kernels = arena_array(arena, int, s->kernels.n + 1), *ops = arena_array(arena, int, s->op_names.n + 1), n = 0;
	each_instr(s, mark, kernels, ops);
	if (s->tile_kernel >= 0)
		kernels[s->tile_kernel] = 1;
	keep_kernels(s, kernels);
	if (s->tile_kernel >= 0)
		s->tile_kernel = kernels[s->tile_kernel];
	for (int i = 0; i < s->op_names.n; i++)
		if (ops[i]) {
			s->op_names.at[n] = s->op_names.at[i];
			ops[i] = n++;
		}
	s->op_names.n = n;
	each_instr(s, renumber, kernels, ops);
}
