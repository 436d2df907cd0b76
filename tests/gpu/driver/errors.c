/* Names and texts of codes. After a fault, the text of its code says where it was. */
#include <stdio.h>
#include <string.h>
#include "driver.h"

static const struct {
	CUresult code;
	const char *name, *text;
} errors[] = {
#define ERROR(code, text) {code, #code, text},
#include "errors.def"
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
