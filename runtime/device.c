/* The table of devices. */
#include "device.h"
#include <string.h>

const char *const *device_names(enum dr_image_form form)
{
	static const char *const functions[] = {"cpu", "far", NULL}, *const ptx[] = {"cuda", NULL};
	return form == DR_IMAGE_PTX ? ptx : functions;
}

struct device *device_open(const char *name, const struct device_options *o)
{
	return !strcmp(name, "cuda") ? device_cuda_open(o) : !strcmp(name, "far") ? device_far_open(o) : device_cpu_open(o);
}
