/* The GPU that is played: its limits, by EMU_CAPABILITY, and which of them a process sees. */
#include <stdlib.h>
#include <string.h>
#include "driver.h"

static const struct played machines[] = {
	{75, 64 << 10, 64 << 10, 0, 1024, 16},          {80, 163 << 10, 164 << 10, 1 << 10, 2048, 32},
	{86, 99 << 10, 100 << 10, 1 << 10, 1536, 16},   {89, 99 << 10, 100 << 10, 1 << 10, 1536, 24},
	{90, 227 << 10, 228 << 10, 1 << 10, 2048, 32},  {100, 227 << 10, 228 << 10, 1 << 10, 2048, 32},
	{103, 227 << 10, 228 << 10, 1 << 10, 2048, 32}, {120, 99 << 10, 100 << 10, 1 << 10, 1536, 24},
};

uint64_t setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	if (!text || !*text)
		return otherwise;
	uint64_t v = strtoull(text, &end, 0);
	const char *suffix = *end ? strchr("KMG", *end) : NULL;
	return suffix ? v << (10 * (suffix - "KMG" + 1)) : v;
}

/* EMU_CAPABILITY as 90 for 9.0; 0: not a capability. */
static int wanted_sm(void)
{
	const char *text = getenv("EMU_CAPABILITY");
	char *end;
	if (!text || !*text)
		return 90;
	long major = strtol(text, &end, 10), minor = *end == '.' ? strtol(end + 1, &end, 10) : -1;
	return *end || minor < 0 || minor > 9 ? 0 : (int)(10 * major + minor);
}

const struct played *played(void)
{
	int sm = wanted_sm();
	for (size_t i = 0; i < sizeof machines / sizeof *machines; i++)
		if (machines[i].sm == sm)
			return &machines[i];
	return NULL;
}

/* An entry that is not a device ends the list, as in the driver; so does one that comes twice. */
int visible_devices(int physical[MAX_DEVICES])
{
	uint64_t host = setting("EMU_DEVICES", 1);
	const char *list = getenv("CUDA_VISIBLE_DEVICES");
	bool seen[MAX_DEVICES] = {false};
	int n = 0, devices = host > MAX_DEVICES ? MAX_DEVICES : (int)host;
	for (int i = 0; !list && i < devices; i++)
		physical[n++] = i;
	while (list && *list) {
		char *end;
		long i = strtol(list, &end, 10);
		if (end == list || (*end && *end != ',') || i < 0 || i >= devices || seen[i])
			break;
		seen[i] = true;
		physical[n++] = (int)i;
		list = *end ? end + 1 : end;
	}
	return n;
}
