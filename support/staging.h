/* Device memory in which collectives lay out their blocks. NCCL sends and receives one run of bytes for each member;
 * where a member has several blocks, they are copied to a run first, or from one afterwards. Planner and runtime agree
 * on how much that takes. */
#ifndef DEPLOYC_STAGING_H
#define DEPLOYC_STAGING_H
#include "round.h"

enum { STAGING_ALIGN = 256 };

/* Bytes of all members' runs, sent and received; 0: the operand has them already. */
struct staging {
	int64_t sent, received;
};

/* Of `bytes` that a rank sends and receives; *_blocks: blocks of each member in the source and in the result. */
static inline struct staging staging_of(int64_t sent_blocks, int64_t received_blocks, int64_t bytes)
{
	return (struct staging){sent_blocks > 1 ? bytes : 0, received_blocks > 1 ? bytes : 0};
}

/* What is received comes after what is sent. */
static inline int64_t staging_bytes(struct staging s) { return round_up(s.sent, STAGING_ALIGN) + s.received; }
#endif
