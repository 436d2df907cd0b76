/* Number formats. Those under 16 bits are for storage only: they are converted where they are read. */
#ifndef DEPLOYC_DTYPE_H
#define DEPLOYC_DTYPE_H
#include <stdbool.h>

/*       enum      name        millibits storage-only float */
#define DTYPES(X)                      \
	X(F64, "f64", 64000, 0, 1)         \
	X(F32, "f32", 32000, 0, 1)         \
	X(BF16, "bf16", 16000, 0, 1)       \
	X(F16, "f16", 16000, 0, 1)         \
	X(FP8E4M3, "fp8_e4m3", 8000, 1, 1) \
	X(FP8E5M2, "fp8_e5m2", 8000, 1, 1) \
	X(I8, "i8", 8000, 1, 0)            \
	X(MXFP4, "mxfp4", 4250, 1, 1)      \
	X(NVFP4, "nvfp4", 4500, 1, 1)      \
	X(I32, "i32", 32000, 0, 0)

enum dtype {
#define X(e, name, millibits, storage, is_float) DTYPE_##e,
	DTYPES(X)
#undef X
		DTYPE_COUNT
};

static inline const char *dtype_name(enum dtype t)
{
	static const char *const names[] = {
#define X(e, name, millibits, storage, is_float) name,
		DTYPES(X)
#undef X
	};
	return names[t];
}

/* Thousandths of a bit for one element: block formats carry their scales (mxfp4: 4.25 bits). */
static inline int dtype_millibits(enum dtype t)
{
	static const int bits[] = {
#define X(e, name, millibits, storage, is_float) millibits,
		DTYPES(X)
#undef X
	};
	return bits[t];
}

/* Can kernels read it? The other formats need scales, which this version does not support. */
static inline bool dtype_is_loaded(enum dtype t)
{
	return t == DTYPE_F32 || t == DTYPE_BF16 || t == DTYPE_F16 || t == DTYPE_FP8E4M3 || t == DTYPE_FP8E5M2;
}

/* Whole bytes of one element; 0 for formats that share bytes between elements. */
static inline int dtype_bytes(enum dtype t) { return dtype_millibits(t) % 8000 ? 0 : dtype_millibits(t) / 8000; }
#endif
