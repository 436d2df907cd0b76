/* Which generator takes a contraction, and with how many blocks. */
#include "contract.h"

/* Blocks that a multiprocessor shall hold: for few rows, as many as have enough reads on their way (docs/gpu.md); for
 * many rows, sums fill the registers. */
enum { FEW_AT_ONCE = 3, MANY_AT_ONCE = 1 };

/* Can the matrix units do it: two 16-bit formats that are equal, pieces of x aligned? */
static bool multiplies(const struct gpu_kernel *gk)
{
	const struct kernel_contract *k = &gk->kernel->contract;
	const int piece = PIECE_BYTES / 2;
	return k->x == k->w && (k->w == DTYPE_BF16 || k->w == DTYPE_F16) && gk->align[CONTRACT_X] % PIECE_BYTES == 0
	       && k->k % piece == 0 && k->x_stride % piece == 0 && k->x_batch % piece == 0;
}

/* Blocks at once for few rows. With several weights, or with groups and a last run that is not whole, a thread needs a
 * few registers more than three blocks leave it. */
static int few_at_once(const struct kernel_contract *k)
{
	bool cut = k->grouped && k->k * dtype_bytes(k->w) % RUN_BYTES;
	return k->more || cut ? BLOCKS_AT_ONCE : FEW_AT_ONCE;
}

/* Few rows: their products wait for the weights alone. With groups, rows are taken to be spread over them. */
static int64_t few_rows(const struct kernel_contract *k)
{
	int64_t spread = k->grouped ? k->groups * FEW_ROWS / 2 : FEW_ROWS;
	return spread > FEW_ROWS ? spread : FEW_ROWS;
}

static struct dr_entry *add_entry(struct arena *arena, struct gpu_kernel *gk, const char *suffix, int threads,
                                  int at_once)
{
	const char *name = arena_printf(arena, "dr_%s%s", gk->kernel->name, suffix);
	gk->entry[gk->entries] = gpu_entry(name, threads, CONTRACT_M);
	gk->at_once[gk->entries] = at_once;
	return &gk->entry[gk->entries++];
}

static bool plan(struct arena *arena, struct gpu_kernel *gk)
{
	const struct kernel_contract *k = &gk->kernel->contract;
	struct dr_entry *e;
	if (multiplies(gk)) {
		e = add_entry(arena, gk, "_few", FEW_THREADS, few_at_once(k));
		e->upto = few_rows(k);
		e->per = UINT32_MAX;
		e->times = (uint32_t)(contract_columns(k, FEW_OUTPUTS) * (k->grouped ? k->groups : k->batch));
		for (int rows = TILE_FEW; rows <= TILE_MANY; rows *= 2) {
			bool some = rows == TILE_FEW;
			e = add_entry(arena, gk, some ? "_some" : "", TILE_THREADS, some ? BLOCKS_AT_ONCE : MANY_AT_ONCE);
			if (some)
				e->upto = k->grouped ? few_rows(k) * TILE_FEW / FEW_ROWS : TILE_FEW;
			e->shared = (uint32_t)contract_tiles_shared(rows);
			tiles_plan(k, rows, TILE_OUTPUTS, e);
		}
	} else {
		gk->adds = true;
		for (int rows = FMA_FEW; rows <= FMA_MANY; rows *= 4) {
			e = add_entry(arena, gk, rows == FMA_FEW ? "_few" : "", FMA_THREADS, BLOCKS_AT_ONCE);
			if (rows == FMA_FEW)
				e->upto = few_rows(k);
			tiles_plan(k, rows, FMA_OUTPUTS, e);
		}
	}
	return true;
}

static void emit(struct codegen *g, const struct gpu_kernel *gk, int entry, const char *name)
{
	if (!multiplies(gk))
		contract_fma(g, gk, name, entry == 0 ? FMA_FEW : FMA_MANY);
	else if (entry == 0)
		contract_few(g, gk, name);
	else
		contract_tiles(g, gk, name, entry == 1 ? TILE_FEW : TILE_MANY);
}

const struct gpu_family gpu_contract = {plan, emit};
