/* Warps while they run. A warp holds its lanes' registers; lanes that took different ways are parked where they wait,
 * and the group with the lowest position runs. The loader orders blocks so that lanes then meet where their ways join
 * (ptx/blocks.c). */
#ifndef GPU_WARP_H
#define GPU_WARP_H
#include <setjmp.h>
#include "code.h"
#include "../counters.h"
#include "memory.h"

/* A launch that failed: the driver's code, and what happened where. */
struct fault {
	int code;
	char text[1024];
};

struct launch {
	const struct kernel *kernel;
	unsigned grid[3], block[3], cluster[3];
	uint32_t dynamic_shared;
	unsigned resident; /* CTAs that a multiprocessor holds */
	int multiprocessors;
	int device;
	unsigned char params[4352];
};

struct parked {
	uint32_t lanes;
	int pc;
};

enum { CLUSTER_BARRIER = BARRIERS };
enum warp_state { WARP_RUNS, WARP_WAITS, WARP_DONE };

/* An mbarrier, of any CTA of a cluster. */
struct mbarrier_at {
	struct cta *cta;
	uint64_t at; /* in the CTA's shared memory */
};

struct warp {
	unsigned char *area[3]; /* registers, constants, specials */
	uint32_t *predicates;
	uint32_t active, alive;     /* lanes that run now; lanes that have not exited */
	uint32_t exec;              /* of the active ones, those for which the guard holds */
	uint32_t carry;             /* the condition code of add.cc, a bit per lane */
	int pc, meets_at;           /* meets_at: the lowest position where lanes are parked, or INT32_MAX */
	const struct ins *in;       /* the instruction that runs */
	const struct range *recent; /* the allocation that was used last */
	unsigned char *local;       /* LANES times local_bytes */
	struct parked parked[LANES];
	int n_parked;
	int index;
	enum warp_state state;
	const struct ins *waits_in;  /* WARP_WAITS: the barrier instruction, */
	unsigned waits_for;          /* and the barrier, or CLUSTER_BARRIER, */
	uint32_t votes;              /* and the lanes that vote yes in a bar.red */
	struct pending_copy *copies; /* async.c */
	int n_copies, cap_copies;
	struct pending_product *products; /* wgmma.c */
	int n_products;
	uint32_t products_committed;
	bool product_fence;             /* there was one */
	bool cluster_arrived;           /* it has arrived at the cluster's barrier, */
	unsigned cluster_phase;         /* in that phase, and will wait */
	uint32_t committed[LANES];      /* groups of copies that each lane has committed, */
	uint32_t bulk_committed[LANES]; /* and of those in bulk */
	struct cta *cta;
	struct weak *weak;         /* weak.h; NULL: no memory is shared with other devices */
	uint64_t acquired;         /* since when it sees what other devices did (weak.c) */
	bool watched;              /* watch.h wants to know of memory accesses, */
	uint32_t unchanged;        /* and which lanes store what is there already */
	bool yields;               /* the turn ends: it polls, */
	struct mbarrier_at awaits; /* and if that is not NULL, this mbarrier */
	const struct ins *polled;  /* the last instruction that polled, */
	uint64_t found;            /* and what it found, */
	unsigned polls;            /* how often in a row */
};

/* CTAs that reach each other's shared memory. */
struct cluster {
	struct cta *ctas[MAX_CLUSTER]; /* NULL: it has ended */
	int n, live;
	uint64_t number;         /* of its first CTA */
	unsigned arrived, phase; /* of its barrier: threads, and how often it opened */
};

struct barrier {
	unsigned arrived, expected; /* threads; expected 0: all that have not exited */
};

struct cta {
	struct grid *grid;
	unsigned char *file; /* registers, predicates, specials and local memory of all warps */
	unsigned char *shared;
	unsigned at[3];
	uint64_t number;
	struct cluster *cluster;
	int rank;
	struct async_op *ops;          /* bulk.c */
	int n_ops, cap_ops, under_way; /* under_way: those that come by themselves */
	uint32_t n_copies;             /* that have begun */
	struct race_cta *races;        /* NULL: not looked for */
	uint64_t acquired;             /* what its warps have handed on to each other (weak.c) */
	struct warp warps[MAX_WARPS];
	int n_warps, live_warps;
	struct barrier barriers[BARRIERS];
};

struct grid {
	const struct launch *launch;
	const struct memory_map *map;
	uint64_t seed;
	uint64_t instructions, limit; /* warp instructions that ran, and how many may */
	struct fault fault;
	jmp_buf failed;
	struct cta **ctas; /* those that are resident, then memory of others, or NULL */
	int n_live, n_resident;
	int cluster_size;
	uint64_t n_clusters, started, step, first; /* CTAs start in the order i * step + first, by clusters */
	struct cta *turn;                          /* it takes turns now, */
	uint64_t stay, longest;                    /* so many more; and so many at most */
	uint64_t stuck_since;                      /* since when all warps wait or poll; 0: some do not */
	bool went_on;                              /* a warp polled, and found something new */
	bool counting;
	struct races *races; /* NULL: not looked for */
	struct weak *weak;   /* NULL: no memory is shared */
	struct emu_counters counters;
};

/* A grid that runs, a while at a time: grids of other devices may go on in between. */
enum grid_state { GRID_RUNS, GRID_WAITS, GRID_ENDED }; /* GRID_WAITS: all its warps wait or poll */
struct grid *grid_start(const struct launch *l, const struct memory_map *map, uint64_t seed, uint64_t limit);
/* `alone`: nothing else went on since the last time, so what it waits for is late. */
enum grid_state grid_go(struct grid *g, bool alone);
/* Frees a grid, which may be in the middle. The fault, if its code is not 0, says why it ended. */
void grid_end(struct grid *g, struct fault *fault, uint64_t *instructions);

/* Ends the launch. `lane` -1: the whole warp is meant. */
_Noreturn void warp_fault(struct warp *w, int code, int lane, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* warp.c: control flow. Lanes of `exec` go to `target`, the other active ones go on. */
void warp_branch(struct warp *w, int target);
void warp_exit(struct warp *w);
/* Makes the group with the lowest position run; groups at one position become one. */
void warp_regroup(struct warp *w);

uint64_t random_next(uint64_t *seed);

/* The CTA whose shared memory an address means: its own, or another one of the cluster. *at becomes the address there;
 * NULL: no CTA. */
static inline struct cta *shared_owner(const struct warp *w, uint64_t *at)
{
	struct cta *c = w->cta;
	uint64_t rank = *at / SHARED_OF_CTA;
	*at %= SHARED_OF_CTA;
	if (!rank)
		return c;
	return rank <= (uint64_t)c->cluster->n ? c->cluster->ctas[rank - 1] : NULL;
}

/* ---- operands ---- */
static inline void *warp_operand(const struct warp *w, uint32_t op)
{
	return __builtin_assume_aligned(w->area[op & AREA_MASK] + (op & ~(uint32_t)AREA_MASK), 64);
}
#define OPERAND(type, i) ((type *)warp_operand(w, in->op[i]))

static inline uint32_t warp_predicate(const struct warp *w, uint32_t op) { return w->predicates[op >> 2]; }
static inline void warp_set_predicate(struct warp *w, uint32_t op, uint32_t lanes)
{
	uint32_t *p = &w->predicates[op >> 2];
	*p = (*p & ~w->exec) | (lanes & w->exec);
}

/* ---- lanes: a whole warp takes the loop that the C compiler vectorises. Operands overlap exactly or not at all. ----
 */
#ifdef __clang__
#define INDEPENDENT /* it finds out by itself, and complains where it is asked to and cannot */
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif
#define ALL_LANES (~UINT32_C(0))
#define EACH_LANE(...)                                                   \
	do {                                                                 \
		if (w->exec == ALL_LANES) {                                      \
			INDEPENDENT for (int l = 0; l < LANES; l++) { __VA_ARGS__; } \
		} else {                                                         \
			for (uint32_t left_ = w->exec; left_; left_ &= left_ - 1) {  \
				int l = __builtin_ctz(left_);                            \
				__VA_ARGS__;                                             \
			}                                                            \
		}                                                                \
	} while (0)

/* The next lane that runs after this one, or -1. */
static inline int warp_next_lane(const struct warp *w, int lane)
{
	uint32_t left = lane < LANES - 1 ? w->exec >> (lane + 1) << (lane + 1) : 0;
	return left ? __builtin_ctz(left) : -1;
}
/* Lanes one after another, where they may depend on each other. */
#define LANES_IN_TURN(l) for (int l = -1; (l = warp_next_lane(w, l)) >= 0;)

/* Handlers of the forms of `name(operands) = expression`, where a, b, c, e are the sources. */
#define UNARY(name, D, S, expression)                    \
	void x_##name(struct warp *w, const struct ins *in)  \
	{                                                    \
		D *d_ = OPERAND(D, 0);                           \
		const S *a_ = OPERAND(S, 1);                     \
		EACH_LANE(S a = a_[l]; d_[l] = (D)(expression)); \
	}
#define BINARY2(name, D, S, T, expression)                            \
	void x_##name(struct warp *w, const struct ins *in)               \
	{                                                                 \
		D *d_ = OPERAND(D, 0);                                        \
		const S *a_ = OPERAND(S, 1);                                  \
		const T *b_ = OPERAND(T, 2);                                  \
		EACH_LANE(S a = a_[l]; T b = b_[l]; d_[l] = (D)(expression)); \
	}
#define BINARY(name, D, S, expression) BINARY2(name, D, S, S, expression)
#define TERNARY3(name, D, S, T, U, expression)                                     \
	void x_##name(struct warp *w, const struct ins *in)                            \
	{                                                                              \
		D *d_ = OPERAND(D, 0);                                                     \
		const S *a_ = OPERAND(S, 1);                                               \
		const T *b_ = OPERAND(T, 2);                                               \
		const U *c_ = OPERAND(U, 3);                                               \
		EACH_LANE(S a = a_[l]; T b = b_[l]; U c = c_[l]; d_[l] = (D)(expression)); \
	}
#define TERNARY(name, D, S, expression) TERNARY3(name, D, S, S, S, expression)
#endif
