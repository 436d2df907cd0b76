/* Who accessed which bytes last. */
#ifndef GPU_SHADOW_H
#define GPU_SHADOW_H
#include <stdbool.h>
#include <stdint.h>

/* An access: who, when, in which instruction. 0: none. Strong ones are atomic, or the like. */
typedef uint64_t epoch;
enum { AGENT_BITS = 24, CLOCK_BITS = 20, INS_BITS = 19, MAX_CLOCK = (1 << CLOCK_BITS) - 2 };
/* The time of a copy that nobody has waited for yet. */
enum { PENDING = MAX_CLOCK + 1 };

static inline epoch epoch_of(uint64_t agent, uint32_t clock, uint32_t ins, bool strong)
{
	return (agent + 1) << (CLOCK_BITS + INS_BITS + 1) | (uint64_t)clock << (INS_BITS + 1) | (uint64_t)ins << 1 | strong;
}
static inline uint64_t epoch_agent(epoch e) { return (e >> (CLOCK_BITS + INS_BITS + 1)) - 1; }
static inline uint32_t epoch_clock(epoch e) { return e >> (INS_BITS + 1) & ((1 << CLOCK_BITS) - 1); }
static inline uint32_t epoch_ins(epoch e) { return e >> 1 & ((1 << INS_BITS) - 1); }
static inline bool epoch_strong(epoch e) { return e & 1; }

/* Of a few bytes: the last write, and some reads since. Reads that a later one is ordered after are forgotten; where
 * there is no room, so are others. */
enum { READS = 3 };
struct cell {
	epoch write, reads[READS];
};

struct shadow {
	struct shadow_page **pages;
	int n, cap; /* cap: a power of 2, or 0 */
	struct shadow_page *recent;
};

/* The cells of `bytes` bytes, which lie in one piece of 16; *n of them. */
struct cell *shadow_cells(struct shadow *s, uint64_t at, unsigned bytes, int *n);
void shadow_forget(struct shadow *s);
#endif
