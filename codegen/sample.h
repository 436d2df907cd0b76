/* Internal to codegen/: what the kernels that sample share. */
#ifndef DEPLOYC_CODEGEN_SAMPLE_H
#define DEPLOYC_CODEGEN_SAMPLE_H
#include <stddef.h>
#include "emit.h"

enum { PAIR_BYTES = 8, PAIR_INDEX = 4 }; /* { f32 value; i32 index } */

struct sampler {
	LLVMValueRef row, first;                   /* the row's logits; the shard's first token, i32 */
	LLVMValueRef hot, chosen;                  /* i1: is the row drawn at all? by top-k, top-p or min-p? */
	LLVMValueRef inverse, top_k, top_p, min_p; /* 1 / temperature; i32; f32; f32 */
	LLVMValueRef key[2];                       /* i32: the row's random numbers derive from it */
	LLVMValueRef value, index;                 /* running best per lane, in memory */
	LLVMValueRef widest;                       /* largest bits of a logit without its sign, per lane, in memory */
	LLVMValueRef insert, spilled;              /* a function; f32 per lane, in memory */
	LLVMValueRef values, indices;    /* in memory: the DR_CANDIDATES largest so far, in order; one before them */
	LLVMValueRef weights, sum, kept; /* f32[DR_CANDIDATES]; f32; i64; in memory */
};

LLVMValueRef sample_infinity(struct codegen *g, LLVMTypeRef f32, bool negative); /* scalar or vector */
LLVMValueRef sample_narrow(struct codegen *g, LLVMValueRef index);               /* i64 to i32 */

/* ---- what is asked of a row ---- */
/* The record of a row in the array of struct dr_sampling, and one of its fields, or of another record's. */
LLVMValueRef sample_record(struct codegen *g, LLVMValueRef sampling, LLVMValueRef row);
LLVMValueRef sample_field(struct codegen *g, LLVMValueRef record, LLVMTypeRef type, size_t offset);
/* Memory for a row; insert: see below. Then the members that depend on the row. */
struct sampler sample_open(struct codegen *g, LLVMValueRef insert);
void sample_read(struct codegen *g, struct sampler *s, LLVMValueRef record);
/* A number in (0, 1) for each token of a vector, and Gumbel noise made of it. */
LLVMValueRef sample_uniform(struct codegen *g, const struct sampler *s, LLVMValueRef token);
LLVMValueRef sample_noise(struct codegen *g, LLVMValueRef u);

/* An upper bound of the noise of u, and a close one if the noise is large. All noise is below the maximum, which is
 * more than -log(2^-31). */
enum { SAMPLE_NOISE_MAX = 22 };
LLVMValueRef sample_noise_bound(struct codegen *g, LLVMValueRef u);

/* ---- changes of single logits ---- */
struct sample_adjusting {
	LLVMValueRef entries, saved; /* struct dr_adjust[]; f32[] */
	LLVMValueRef from, step;     /* i64: of the row's entries, this worker takes every step-th from this one; NULL: 0 */
	LLVMValueRef begin, end;     /* of the row */
};
void sample_read_adjusting(struct codegen *g, struct sample_adjusting *a, LLVMValueRef record);
/* Changes the row's logits where an entry's token is in the shard, of v; back: makes them what they were. */
void sample_adjust(struct codegen *g, const struct sample_adjusting *a, const struct sampler *s, LLVMValueRef v,
                   bool back);

/* ---- the best of all lanes ---- */
void sample_reset_lanes(struct codegen *g, const struct sampler *s, LLVMValueRef index);
void sample_keep_lanes(struct codegen *g, const struct sampler *s, LLVMValueRef x, LLVMValueRef token);
LLVMValueRef sample_best_lane(struct codegen *g, const struct sampler *s, LLVMValueRef *index);
LLVMValueRef sample_pair_at(struct codegen *g, LLVMValueRef pairs, LLVMValueRef i);
void sample_store_pair(struct codegen *g, LLVMValueRef value, LLVMValueRef index, LLVMValueRef to);

/* ---- the largest logits, in order: `values` and `indices` ---- */
/* Makes the function that inserts, which a kernel has one of. */
LLVMValueRef sample_insert_function(struct codegen *g, const char *kernel);
void sample_reset_sorted(struct codegen *g, const struct sampler *s);
/* Inserts an element if it is above the least one. Elements come by rising index, so it is put after its equals. */
void sample_consider(struct codegen *g, const struct sampler *s, LLVMValueRef x, LLVMValueRef index);
LLVMValueRef sample_least_kept(struct codegen *g, const struct sampler *s);
LLVMValueRef sample_largest(struct codegen *g, const struct sampler *s);
struct ir_loop sample_each_block(struct codegen *g); /* over them, by vectors */
/* Weight of a logit relative to the largest one; 0 for -infinity and NaN. */
LLVMValueRef sample_weight(struct codegen *g, LLVMValueRef x, LLVMValueRef largest, LLVMValueRef inverse);
#endif
