/* The table of devices. */
#include "device.h"
#include <string.h>

const char *const device_names[] = {"cpu", "far", NULL};

struct device *device_open(const char *name, const struct device_options *o)
{
	return strcmp(name, "far") ? device_cpu_open(o) : device_far_open(o);
}
