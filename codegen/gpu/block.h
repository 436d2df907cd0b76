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

/* Shared memory of a fixed size, at an address in LLVM's generic space. */
LLVMValueRef block_shared(struct codegen *g, const char *name, LLVMTypeRef type, int64_t n);

/* Splits loops over items among blocks: this block's items of [0, items), i64, one after another. */
struct ir_loop blocks_begin(struct codegen *g, LLVMValueRef items);
#endif
