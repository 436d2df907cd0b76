/* What the threads of a block do together, as LLVM IR. A warp is 32 threads with a common instruction. Numbers are i32
 * unless said otherwise. */
#ifndef DEPLOYC_GPU_BLOCK_H
#define DEPLOYC_GPU_BLOCK_H
#include "../emit.h"

enum { WARP = 32, PIECE_BYTES = 16 /* the widest access of a thread */ };

LLVMValueRef block_thread(struct codegen *g); /* of the block */
LLVMValueRef block_index(struct codegen *g);  /* of the grid's blocks */
LLVMValueRef block_count(struct codegen *g);
LLVMValueRef block_lane(struct codegen *g); /* of the warp */
LLVMValueRef block_warp(struct codegen *g); /* of the block */

/* All threads of the block wait for each other; what they wrote before, all can read after. */
void block_barrier(struct codegen *g);
/* v (f32 or i32) of the lane with the number `lane ^ bits`. All lanes take part. */
LLVMValueRef warp_exchange(struct codegen *g, LLVMValueRef v, int bits);
/* Reduces v over each run of `lanes` lanes, a power of two; all of them get the result, by the same tree. */
LLVMValueRef warp_reduce(struct codegen *g, LLVMValueRef v, int lanes, ir_binary *op);

/* Likewise over all threads of a block, first of each warp, then of the warps in their order, through shared memory: an
 * element for each warp. The block may use it again afterwards. */
LLVMValueRef block_reduce(struct codegen *g, LLVMValueRef v, int threads, LLVMValueRef shared, ir_binary *op);

/* All lanes of the warp wait for each other, as block_barrier(). */
void warp_barrier(struct codegen *g);
/* v (i32) of lane `lane`; and for each lane the sum of v over all lanes up to it. */
LLVMValueRef warp_from(struct codegen *g, LLVMValueRef v, LLVMValueRef lane);
LLVMValueRef warp_sums(struct codegen *g, LLVMValueRef v);

/* Shared memory of a fixed size, at an address in LLVM's generic space. */
LLVMValueRef block_shared(struct codegen *g, const char *name, LLVMTypeRef type, int64_t n);

/* The block's dynamic shared memory, in LLVM's space of shared memory. */
LLVMValueRef block_dynamic(struct codegen *g);
/* Begins to copy a piece from memory (a generic address) to shared memory; the first `bytes` (i32) of it, zeros after
 * them. Copies begun since the last end of a group are a group; copies_wait() leaves at most `groups` of the thread's
 * groups on their way. */
void piece_copy(struct codegen *g, LLVMValueRef shared, LLVMValueRef from, LLVMValueRef bytes);
void copies_end_group(struct codegen *g);
void copies_wait(struct codegen *g, int groups);

/* At the start of a loop's body: the assembler does not unroll the loop. It would, into more registers than there are.
 */
void keep_loop(struct codegen *g);

/* Splits loops over items among blocks: this block's items of [0, items), i64, one after another. */
struct ir_loop blocks_begin(struct codegen *g, LLVMValueRef items);
#endif
