/* What the loader makes of a kernel, and warps execute: instructions that each name the C function that runs them for
 * up to 32 lanes at once, and operands that are offsets into the warp's memory. */
#ifndef GPU_CODE_H
#define GPU_CODE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LANES = 32, MAX_THREADS = 1024, MAX_WARPS = MAX_THREADS / LANES, BARRIERS = 16 };

struct warp;
struct ins;
typedef void handler(struct warp *w, const struct ins *in);

/* An operand is a byte offset into one of these areas, a multiple of 4, plus the area. Lane l of a 32-bit operand is
 * the l-th word there. Of a predicate, the rest is 4 times its index: it is one word with a bit per lane. */
enum area { AREA_REGISTERS, AREA_CONSTANTS, AREA_SPECIALS, AREA_PREDICATES, AREA_MASK = 3 };

/* Where an address points. `SPACE_GENERIC` decides for each address. */
enum space { SPACE_GENERIC, SPACE_GLOBAL, SPACE_CONST, SPACE_SHARED, SPACE_LOCAL, SPACE_PARAM };

/* Generic addresses of shared and of local memory are offsets from here. Addresses of device memory have DEVICE_BIT
 * set, which makes them non-canonical: a host that reads one faults. */
#define SHARED_WINDOW (UINT64_C(1) << 60)
#define LOCAL_WINDOW  (UINT64_C(1) << 59)
#define PARAM_WINDOW  (UINT64_C(1) << 58)
#define WINDOW_BYTES  (UINT64_C(1) << 24)
#define DEVICE_BIT    (UINT64_C(1) << 62)
/* Dynamic shared memory starts at 0, static here: what runs over the end of one does not reach the other. Descriptors
 * of matrices have 18 bits for an address, so all but a lot of static memory is below that. */
enum { STATIC_SHARED = 228 << 10 };
/* Addresses in a cluster: of the CTA itself, then of each rank. */
enum { SHARED_OF_CTA = 1 << 19, MAX_CLUSTER = 16 };

/* Special registers, 32 lanes of 32 bits each. */
enum special {
	SPECIAL_TID,
	SPECIAL_NTID = SPECIAL_TID + 3,
	SPECIAL_CTAID = SPECIAL_NTID + 3,
	SPECIAL_NCTAID = SPECIAL_CTAID + 3,
	SPECIAL_LANE = SPECIAL_NCTAID + 3,
	SPECIAL_WARP,
	SPECIAL_WARPS,
	SPECIAL_MASK_EQ,
	SPECIAL_MASK_LT,
	SPECIAL_MASK_LE,
	SPECIAL_MASK_GT,
	SPECIAL_MASK_GE,
	SPECIAL_SHARED_TOTAL,
	SPECIAL_SHARED_DYNAMIC,
	SPECIAL_CLUSTERID,
	SPECIAL_NCLUSTERID = SPECIAL_CLUSTERID + 3,
	SPECIAL_CLUSTER_CTAID = SPECIAL_NCLUSTERID + 3,
	SPECIAL_CLUSTER_NCTAID = SPECIAL_CLUSTER_CTAID + 3,
	SPECIAL_CLUSTER_RANK = SPECIAL_CLUSTER_NCTAID + 3,
	SPECIAL_CLUSTER_RANKS,
	SPECIAL_ZERO, /* %smid and %gridid of the only multiprocessor and grid that kernels see */
	SPECIAL_ONE,
	SPECIALS
};

enum rounding { ROUND_NEAREST, ROUND_ZERO, ROUND_DOWN, ROUND_UP };

/* Types of values as cvt and saturation know them. */
enum number { U8, S8, U16, S16, U32, S32, U64, S64, F16, BF16, F32, F64, F16X2, BF16X2 };

/* What an access of memory orders. Those from ORDER_RELAXED on may meet others' without being a race. */
enum order { ORDER_WEAK, ORDER_RELAXED, ORDER_ACQUIRE, ORDER_RELEASE, ORDER_BOTH };
enum scope { SCOPE_CTA, SCOPE_GPU, SCOPE_SYSTEM };

enum { NO_GUARD = -1 };

struct ins {
	handler *run;
	handler *plain;     /* what `x_with_modes` runs under another rounding, flushing or saturating */
	const uint32_t *op; /* operands, the definitions first */
	int64_t offset;     /* added to an address */
	int32_t target;     /* of a branch: index of an instruction */
	int32_t guard;      /* predicate, or NO_GUARD */
	int32_t line;       /* in the PTX text, from 1 */
	bool unless;        /* it runs where the guard is false */
	bool partial;       /* keeps part of its definitions: they stay alive before it */
	uint8_t n_ops, n_defs;
	uint8_t size, count; /* memory: bytes of an element, number of elements */
	uint8_t space;       /* memory: enum space */
	uint8_t variant;     /* which of the handler's operations */
	uint8_t round;       /* enum rounding */
	uint8_t number;      /* enum number of the result */
	uint8_t order, scope;
	bool ftz, sat, relu, nan;
	bool read_only;  /* ld: of memory that nothing writes while the kernel runs */
	bool of_integer; /* cvt: the source is one, so no result is -0 */
};

struct parameter {
	const char *name;
	uint32_t offset, size;
};

struct kernel {
	struct kernel *next;
	const char *name;
	struct ins *code;
	int n_code;
	const unsigned char *constants; /* immediates, 32 lanes each */
	uint32_t register_bytes;        /* of one warp */
	int predicates;
	int registers;         /* 32-bit registers of a thread: an estimate of what ptxas would use */
	uint32_t local_bytes;  /* of one lane */
	uint32_t shared_bytes; /* static */
	struct parameter *params;
	int n_params;
	uint32_t param_bytes;
	unsigned required[3]; /* .reqntid, or zeros */
	unsigned cluster[3];  /* .reqnctapercluster, or zeros */
	unsigned max_threads; /* .maxntid or .reqntid; MAX_THREADS */
	unsigned min_ctas;    /* .minnctapersm, or 0 */
	const char *text;     /* the module's PTX: faults quote its lines */
};
#endif
