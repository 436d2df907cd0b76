/* NCCL as far as it is used: types and codes of its public interface since version 2.18. The library is opened with
 * dlopen; nccl_api.def lists the functions. */
#ifndef DEPLOY_NCCL_API_H
#define DEPLOY_NCCL_API_H
#include <limits.h>
#include "cuda_api.h"

typedef enum {
	ncclSuccess = 0,
	ncclUnhandledCudaError = 1,
	ncclSystemError = 2,
	ncclInternalError = 3,
	ncclInvalidArgument = 4,
	ncclInvalidUsage = 5,
	ncclRemoteError = 6,
	ncclInProgress = 7 /* not an error: a call on a communicator that does not block goes on */
} ncclResult_t;

typedef enum { ncclSum = 0, ncclProd = 1, ncclMax = 2, ncclMin = 3, ncclAvg = 4 } ncclRedOp_t;

typedef enum {
	ncclInt8 = 0,
	ncclUint8 = 1,
	ncclInt32 = 2,
	ncclUint32 = 3,
	ncclInt64 = 4,
	ncclUint64 = 5,
	ncclFloat16 = 6,
	ncclFloat32 = 7,
	ncclFloat64 = 8,
	ncclBfloat16 = 9
} ncclDataType_t;

typedef struct ncclComm *ncclComm_t;
typedef CUstream cudaStream_t;

enum { NCCL_UNIQUE_ID_BYTES = 128 };
typedef struct {
	char internal[NCCL_UNIQUE_ID_BYTES];
} ncclUniqueId;

enum { NCCL_SPLIT_NOCOLOR = -1 /* a rank that is in none of the new communicators */ };

/* As of 2.18: `size` and `version` say which, and newer libraries add their own fields. */
typedef struct {
	size_t size;
	unsigned magic, version;
	int blocking; /* 0: calls go on after they return, until ncclCommGetAsyncError is not ncclInProgress */
	int cgaClusterSize, minCTAs, maxCTAs;
	const char *netName;
	int splitShare;
} ncclConfig_t;
enum { NCCL_CONFIG_VERSION = 21800, NCCL_CONFIG_UNDEF_INT = INT_MIN };
#define NCCL_CONFIG_MAGIC 0xcafebeefu
#define NCCL_CONFIG_INITIALIZER               \
	{.size = sizeof(ncclConfig_t),            \
	 .magic = NCCL_CONFIG_MAGIC,              \
	 .version = NCCL_CONFIG_VERSION,          \
	 .blocking = NCCL_CONFIG_UNDEF_INT,       \
	 .cgaClusterSize = NCCL_CONFIG_UNDEF_INT, \
	 .minCTAs = NCCL_CONFIG_UNDEF_INT,        \
	 .maxCTAs = NCCL_CONFIG_UNDEF_INT,        \
	 .splitShare = NCCL_CONFIG_UNDEF_INT}

#define CALL(type, name, parameters) type name parameters;
#include "nccl_api.def"
#endif
