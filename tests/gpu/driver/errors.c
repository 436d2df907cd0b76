/* Names and texts of codes. After a fault, the text of its code says where it was. */
#include <stdio.h>
#include <string.h>
#include "driver.h"

static const struct {
	CUresult code;
	const char *name, *text;
} errors[] = {
#define ERROR(code, text) {code, #code, text},
	ERROR(CUDA_SUCCESS, "no error") ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument") ERROR(
		CUDA_ERROR_OUT_OF_MEMORY, "out of memory") ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error")
		ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected") ERROR(
			CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal") ERROR(CUDA_ERROR_INVALID_IMAGE,
                                                                       "device kernel image is invalid")
			ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context") ERROR(
				CUDA_ERROR_NO_BINARY_FOR_GPU, "no kernel image is available for execution on the device")
				ERROR(CUDA_ERROR_INVALID_PTX, "a PTX JIT compilation failed") ERROR(
					CUDA_ERROR_UNSUPPORTED_PTX_VERSION, "the provided PTX was compiled with an unsupported toolchain.")
					ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle") ERROR(
						CUDA_ERROR_NOT_FOUND, "named symbol not found") ERROR(CUDA_ERROR_NOT_READY, "device not ready")
						ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered")
							ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch")
								ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated")
									ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed")
										ERROR(CUDA_ERROR_ILLEGAL_INSTRUCTION, "an illegal instruction was encountered")
											ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address")
												ERROR(CUDA_ERROR_INVALID_ADDRESS_SPACE,
                                                      "operation not supported on global/shared address space")
													ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure")
														ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported")
															ERROR(CUDA_ERROR_UNKNOWN, "unknown error")
#undef ERROR
};

enum { ERRORS = sizeof errors / sizeof *errors };

/* -1: not a code */
static int find(CUresult code)
{
	for (int i = 0; i < ERRORS; i++)
		if (errors[i].code == code)
			return i;
	return -1;
}

CUresult cuGetErrorName(CUresult code, const char **name)
{
	int i = find(code);
	if (!name)
		return CUDA_ERROR_INVALID_VALUE;
	*name = i < 0 ? NULL : errors[i].name;
	return i < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static const char *fault_text(CUresult code, const char *text)
{
	static _Thread_local char longer[1200];
	for (int d = 0; d < MAX_DEVICES; d++) {
		const struct fault *f = &device_context(d)->fault;
		if (code && f->code == (int)code) {
			snprintf(longer, sizeof longer, "%s: %s", text, f->text);
			return longer;
		}
	}
	return text;
}

CUresult cuGetErrorString(CUresult code, const char **text)
{
	int i = find(code);
	if (!text)
		return CUDA_ERROR_INVALID_VALUE;
	*text = i < 0 ? NULL : fault_text(code, errors[i].text);
	return i < 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
