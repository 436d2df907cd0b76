/* Internal to codegen/: the context that all emitters share, a thin layer over LLVM's builder, and the kernels.
 *
 * The shape of the IR depends on kinds and dtypes, never on extents: other sizes give the same IR with other constants.
 * So nothing is unrolled by an extent, and every tail is emitted, under a condition that may be constant. */
#ifndef DEPLOYC_CODEGEN_EMIT_H
#define DEPLOYC_CODEGEN_EMIT_H
#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>
#include "../dag/dag.h"

struct emitter; /* below */

struct codegen {
	LLVMContextRef context;
	LLVMModuleRef module;
	LLVMBuilderRef builder;
	LLVMTargetMachineRef machine; /* not owned */
	const struct emitter *emitter;
	int lanes;        /* f32 per vector: 16 with AVX-512, 8 with AVX2, else 4 */
	bool bf16_dot;    /* AVX512-BF16: one instruction multiplies and adds pairs of bf16 */
	int vector_align; /* bytes that vectors in memory are aligned to; 0: as their elements */
	int team;         /* threads of a GPU that are one worker together: they share the vectors of an item */
	LLVMTypeRef i1, i8, i16, i32, i64, f16, bf16, f32, f64, ptr, nothing;
	LLVMValueRef function; /* the function being built; the builder is in it */
};

/* ---- ir.c: context --------------------------------------------------------------------------- */
/* Makes a context with an empty module for `machine`. Its vectors are those of `target`. */
void codegen_open(struct codegen *g, const char *module, LLVMTargetMachineRef machine, const struct target *target,
                  const struct emitter *emitter);
void codegen_close(struct codegen *g); /* disposes of module and context, not of the machine */

/* ---- ir.c: functions and control ------------------------------------------------------------- */
/* Begins a nounwind function and moves the builder to its entry. `internal`: local to the module, and never inlined. */
LLVMValueRef ir_function(struct codegen *g, const char *name, LLVMTypeRef result, const LLVMTypeRef *params, int n,
                         bool internal);
void ir_attribute(struct codegen *g, LLVMValueRef f, int param, const char *name); /* param -1: the function itself */
LLVMValueRef ir_call(struct codegen *g, LLVMValueRef f, const LLVMValueRef *args, int n);
LLVMValueRef ir_intrinsic(struct codegen *g, const char *name, LLVMTypeRef overload, const LLVMValueRef *args, int n);
LLVMBasicBlockRef ir_block(struct codegen *g, const char *name);

/* for (index = from; index < to; index += step), i64. Loops nest; loop_end() takes the result of loop_begin(). */
struct ir_loop {
	LLVMBasicBlockRef body, end;
	LLVMValueRef index, to, step;
};
struct ir_loop loop_begin(struct codegen *g, LLVMValueRef from, LLVMValueRef to, LLVMValueRef step);
void loop_end(struct codegen *g, const struct ir_loop *l);

struct ir_branch {
	LLVMBasicBlockRef otherwise, end;
};
struct ir_branch if_begin(struct codegen *g, LLVMValueRef condition);
void if_else(struct codegen *g, struct ir_branch *b);
void if_end(struct codegen *g, const struct ir_branch *b); /* after if_begin or if_else */

/* ---- ir.c: values ---------------------------------------------------------------------------- */
LLVMValueRef ir_i32(struct codegen *g, int64_t x);
LLVMValueRef ir_i64(struct codegen *g, int64_t x);
LLVMValueRef ir_f32(struct codegen *g, double x);
LLVMTypeRef ir_vector(struct codegen *g, LLVMTypeRef element);       /* of g->lanes elements */
LLVMValueRef ir_splat(struct codegen *g, LLVMValueRef scalar);       /* to g->lanes */
LLVMValueRef ir_like(struct codegen *g, LLVMTypeRef type, double x); /* float constant, scalar or vector */
LLVMValueRef ir_like_int(struct codegen *g, LLVMTypeRef type, int64_t x);
LLVMValueRef ir_iota(struct codegen *g, LLVMTypeRef element);       /* <0, 1, .., lanes - 1> */
LLVMTypeRef ir_with_element(LLVMTypeRef type, LLVMTypeRef element); /* `type` with this element, scalar or vector */

LLVMValueRef ir_add(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_sub(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_mul(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_div(struct codegen *g, LLVMValueRef a, LLVMValueRef b); /* both known to be >= 0 */
LLVMValueRef ir_rem(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_min(struct codegen *g, LLVMValueRef a, LLVMValueRef b); /* signed */
LLVMValueRef ir_max(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_and(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_compare(struct codegen *g, LLVMIntPredicate p, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_select(struct codegen *g, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_ceil_div(struct codegen *g, LLVMValueRef a, int64_t b);
LLVMValueRef ir_bits(struct codegen *g, LLVMValueRef a, LLVMTypeRef type); /* bit cast */
LLVMValueRef ir_wide(struct codegen *g, LLVMValueRef a);                   /* i32 to i64, signed */

LLVMValueRef ir_fadd(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_fsub(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_fmul(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_fdiv(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_fma(struct codegen *g, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c); /* a * b + c */
LLVMValueRef ir_fmax(struct codegen *g, LLVMValueRef a, LLVMValueRef b);                /* a > b ? a : b */
LLVMValueRef ir_fmin(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_fcompare(struct codegen *g, LLVMRealPredicate p, LLVMValueRef a, LLVMValueRef b);
typedef LLVMValueRef ir_binary(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
/* Reduces all lanes to one, as a tree of fixed order. */
LLVMValueRef ir_reduce(struct codegen *g, LLVMValueRef v, ir_binary *op);
/* <a0, b0, a1, b1, ..>, and its inverse, which returns the even lanes (odd 0) or the odd lanes (odd 1). */
LLVMValueRef ir_interleave(struct codegen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef ir_deinterleave(struct codegen *g, LLVMValueRef v, int odd);

/* ---- ir.c: memory ---------------------------------------------------------------------------- */
/* A constant global of the module, with external linkage. */
LLVMValueRef ir_constant(struct codegen *g, const char *name, LLVMValueRef value);
/* dr_image (runtime/abi.h); parts[i] NULL: the form does not have it. */
enum { IMAGE_FUNCTIONS, IMAGE_PTX, IMAGE_ENTRIES, IMAGE_FIRST, IMAGE_PARTS };
void ir_image(struct codegen *g, int form, int kernels, const LLVMValueRef *parts);
/* Stack space for n values of a type, allocated at the function's entry, aligned to 64 bytes. */
LLVMValueRef ir_local(struct codegen *g, LLVMTypeRef type, int64_t n);
LLVMValueRef ir_offset(struct codegen *g, LLVMValueRef p, LLVMValueRef bytes);
LLVMValueRef ir_at(struct codegen *g, LLVMValueRef p, enum dtype t, LLVMValueRef index); /* address of an element */
LLVMValueRef ir_load(struct codegen *g, LLVMTypeRef type, LLVMValueRef p, int align);
void ir_store(struct codegen *g, LLVMValueRef v, LLVMValueRef p, int align);
LLVMValueRef ir_load_i32(struct codegen *g, LLVMValueRef p, LLVMValueRef index); /* element of an i32 array, as i64 */
void ir_store_i32(struct codegen *g, LLVMValueRef v, LLVMValueRef p, LLVMValueRef index); /* stores an i64 */
/* By the threads of a team together. */
void ir_copy(struct codegen *g, LLVMValueRef to, LLVMValueRef from, int64_t bytes);
void ir_clear(struct codegen *g, LLVMValueRef to, int64_t bytes);
void ir_prefetch(struct codegen *g, LLVMValueRef p);

/* ---- convert.c: storage formats in memory, f32 in registers. Integers become f32, too. ---- */
LLVMTypeRef dtype_storage(struct codegen *g, enum dtype t);                     /* an integer type for bf16 */
LLVMValueRef dtype_widen(struct codegen *g, enum dtype t, LLVMValueRef stored); /* scalar or vector */
LLVMValueRef dtype_narrow(struct codegen *g, enum dtype t, LLVMValueRef f32);   /* to nearest, ties to even */
LLVMValueRef load_scalar(struct codegen *g, enum dtype t, LLVMValueRef p);
void store_scalar(struct codegen *g, enum dtype t, LLVMValueRef v, LLVMValueRef p);
/* g->lanes elements; mask NULL: all. Masked-off lanes load zeros. */
LLVMValueRef load_vector(struct codegen *g, enum dtype t, LLVMValueRef p, LLVMValueRef mask);
void store_vector(struct codegen *g, enum dtype t, LLVMValueRef v, LLVMValueRef p, LLVMValueRef mask);
/* The same with `stride` elements between neighbours. */
LLVMValueRef load_strided(struct codegen *g, enum dtype t, LLVMValueRef p, int64_t stride, LLVMValueRef mask);
void store_strided(struct codegen *g, enum dtype t, LLVMValueRef v, LLVMValueRef p, int64_t stride, LLVMValueRef mask);
/* Bytes that a vector of so many elements in memory is aligned to. */
int vector_align(const struct codegen *g, enum dtype t, int lanes);
LLVMValueRef tail_mask(struct codegen *g, LLVMValueRef left); /* lanes < left (i64) */
LLVMValueRef load_masked(struct codegen *g, LLVMTypeRef type, LLVMValueRef p, LLVMValueRef mask, int align);
void store_masked(struct codegen *g, LLVMValueRef v, LLVMValueRef p, LLVMValueRef mask, int align);

/* Emits `body` for whole vectors of [from, to) in a loop, and once more with a mask for the rest. The threads of a team
 * take them in turn: a thread always has the same ones. */
typedef void vector_body(struct codegen *g, void *context, LLVMValueRef index, LLVMValueRef mask);
void for_vectors(struct codegen *g, LLVMValueRef from, LLVMValueRef to, vector_body *body, void *context);

/* ---- math.c: f32, scalar or vector, no calls ------------------------------------------------- */
LLVMValueRef math_exp(struct codegen *g, LLVMValueRef x);
LLVMValueRef math_log(struct codegen *g, LLVMValueRef x);
LLVMValueRef math_tanh(struct codegen *g, LLVMValueRef x);
LLVMValueRef math_erf(struct codegen *g, LLVMValueRef x);
/* angle: f64, scalar or vector, |angle| up to 1e9. */
void math_sincos(struct codegen *g, LLVMValueRef angle, LLVMValueRef *sine, LLVMValueRef *cosine);

/* ---- kernel.c -------------------------------------------------------------------------------- */
/* Adds a kernel's function to the module: named k->name, external linkage, calling convention of kernel.h. */
LLVMValueRef emit_kernel(struct codegen *g, const struct kernel *k);

/* ---- kernel_frame.c: what all families share ------------------------------------------------- */
LLVMValueRef kernel_begin(struct codegen *g, const char *name);
void kernel_end(struct codegen *g);                 /* ret void */
LLVMValueRef arg_pointer(struct codegen *g, int i); /* argument i; only at the function's start */
LLVMValueRef arg_integer(struct codegen *g, int i); /* i64 */
/* This worker's part of argument i, a workspace of `bytes` for each worker. */
LLVMValueRef arg_workspace_part(struct codegen *g, int i, int64_t bytes);
struct ir_loop share_begin(struct codegen *g,
                           LLVMValueRef items); /* this share's items of [0, items); end with loop_end() */
/* What one of a team's threads does for all of them, such as to store a number. */
struct ir_branch lead_begin(struct codegen *g);
void lead_end(struct codegen *g, const struct ir_branch *b);
LLVMValueRef share_count(struct codegen *g);     /* i32 */
struct ir_branch first_share(struct codegen *g); /* if (share == 0); end with if_end() */

/* ---- kernel_tiles.c ---- */
/* Where row n of a weight begins, in elements from its group's first tile. k_padded: elements of a row, padded. */
LLVMValueRef packed_row(struct codegen *g, const struct packing *p, LLVMValueRef k_padded, LLVMValueRef n);
/* Element k of row n, from there. */
LLVMValueRef packed_index(struct codegen *g, const struct packing *p, enum dtype t, LLVMValueRef n, LLVMValueRef k);

/* The families, each in its kernel_*.c: emit_rows(), emit_contract() ... */
#define KERNEL(FAMILY, family_name, fields, ...) \
	void emit_##family_name(struct codegen *g, const char *name, const struct kernel_##fields *k);
#define ARG(...)
#define END(...)
#include "../dag/kernel.def"

/* ---- emitters: what each form of an image emits in its own way
 * -------------------------------------------------------- The files here emit the rest for all of them: for any number
 * of shares, and of lanes in a vector. */
/* A micro-kernel of contractions: a function that computes f32 out[rows][n_tile] = x[rows][k] times one tile of
 * weights. Each sum is one chain of multiply-adds in the order of k. x_stride: bytes between rows of x. */
enum { TILE_X, TILE_W, TILE_OUT, TILE_K, TILE_X_STRIDE, TILE_PARAMS };
enum { CONTRACT_MAX_ROWS = 12 };
struct contract_tile {
	enum dtype x, w;
	int pair, rows; /* pair: packing.k_run */
};
LLVMValueRef contract_tile_function(struct codegen *g, const struct contract_tile *t); /* made at its first use */

struct emitter {
	unsigned memory; /* LLVM's address space of what arguments point to */
	/* A GPU's: this thread's number in its team, i64. Then shares have items in turn; else each has neighbours. */
	LLVMValueRef (*member)(struct codegen *g);
	/* Adds the kernels and dr_image. level: of optimization, where the kernels are a module of their own. */
	void (*add_image)(struct codegen *g, const struct schedule *s, struct heap *heap, int level);
	int (*contract_rows)(const struct codegen *g); /* maximum rows of a micro-kernel, up to CONTRACT_MAX_ROWS */
	/* sum + x[2i] w[2i] + x[2i + 1] w[2i + 1] in f32, x and w pairs of bf16; only called with target.bf16_dot */
	LLVMValueRef (*dot)(struct codegen *g, LLVMValueRef sum, LLVMValueRef x, LLVMValueRef w);
};

/* Parameters of attention's functions that multiply a tile of rows. a, out and scale are f32. next: what will be read
 * after b, to prefetch. terms: how many are summed. columns: of out. */
enum { PRODUCT_A, PRODUCT_B, PRODUCT_OUT, PRODUCT_SCALE, PRODUCT_NEXT, PRODUCT_TERMS, PRODUCT_COLUMNS, PRODUCT_PARAMS };
/* kernel_attend_product.c: out[row][column] += sum over t of a[row][t] b[t][column]. Scores, if keys are stored by
 * feature: a is queries, b keys, t features, columns positions. Values: a is weights, b values, t positions, columns
 * features. a and out are f32; strides are in elements. With `scaled`, the old out is multiplied by scale[row] first;
 * otherwise out starts at zero. `next` points at what will be read after b, laid out like b; it is prefetched while b
 * is in use. */
enum { PRODUCT_MAX_ROWS = 8 };
struct product {
	const char *suffix;
	int64_t a_stride, b_stride, out_stride;
	enum dtype b;
	bool scaled;
};
LLVMValueRef product_function(struct codegen *g, const char *kernel, const struct product *p, int rows);
/* kernel_attend_dots.c: out[row][position] = sum over features of a[row][feature] b[position][feature], b with b_stride
 * elements between positions. */
struct dots {
	int64_t a_stride, b_stride, out_stride;
	enum dtype b;
};
LLVMValueRef dots_function(struct codegen *g, const char *kernel, const struct dots *d, int rows);
/* kernel_attend_scores.c: what the kernels of all targets say in the same way. Positions are i64. */
/* The first position that a query sees whose last one is `last`; never below 0. Queries that come later see no earlier
 * ones. */
LLVMValueRef attend_first_seen(struct codegen *g, const struct kernel_attend *k, LLVMValueRef last);
/* The sink, or the slope, of a query head, f32. */
LLVMValueRef attend_sink_of(struct codegen *g, const struct kernel_attend *k, LLVMValueRef sinks, LLVMValueRef head,
                            LLVMValueRef member);
LLVMValueRef attend_slope_of(struct codegen *g, const struct kernel_attend *k, LLVMValueRef slopes, LLVMValueRef head,
                             LLVMValueRef member);
/* What a product of a query and a key is multiplied by first: the scale, by the cap if there is one. */
double attend_factor(const struct kernel_attend *k);
#endif
