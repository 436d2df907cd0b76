/* The table of devices. */
#include "device.h"
#include <string.h>

const char *const device_names[] = {"cpu", "far", NULL};

struct device *device_open(const char *name, const struct device_options *o)
{
	if (!strcmp(name, "cpu"))
		return device_cpu_open(o);
	if (!strcmp(name, "far"))
		return device_far_open(o);
	return NULL;
}
