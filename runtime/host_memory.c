/* The memory that the host can still provide: free memory of the kernel, and the rest of the control groups' limits.
 * The limits of enclosing groups count, too. A group's used memory includes pages of files; the kernel can reclaim
 * those that were not read lately (`inactive_file`). */
#include <stdlib.h>
#include <string.h>
#include "runtime.h"

enum { LINE = 4096 };

/* Files of a version of control groups: its line in /proc/self/cgroup, its mount point, names in a group's folder. */
static const struct version {
	const char *controller, *mount, *limit, *used, *reclaimable;
} versions[] = {
	{"", "/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "},
	{"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "},
};

/* The number after `before` at the start of a line; UINT64_MAX: none, or `max`. */
static uint64_t read_number(const char *path, const char *before)
{
	char line[LINE];
	unsigned long long value = UINT64_MAX;
	FILE *f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, before, strlen(before)) && sscanf(line + strlen(before), "%llu", &value) == 1)
			break;
	if (f)
		fclose(f);
	return value;
}

static uint64_t read_in(const char *folder, const char *file, const char *before)
{
	char *path = join_path(folder, file);
	uint64_t value = read_number(path, before);
	free(path);
	return value;
}

/* The rest of one group's limit; UINT64_MAX: no limit. */
static uint64_t left_in(const struct version *v, const char *folder)
{
	uint64_t limit = read_in(folder, v->limit, ""), used = read_in(folder, v->used, "");
	uint64_t back = read_in(folder, "memory.stat", v->reclaimable);
	if (limit == UINT64_MAX || used == UINT64_MAX)
		return UINT64_MAX;
	used -= back == UINT64_MAX ? 0 : back < used ? back : used;
	return limit < used ? 0 : limit - used;
}

static bool has_controller(const char *list, const char *name)
{
	size_t n = strlen(name);
	for (const char *at = list;; at++) {
		if (strcspn(at, ",") == n && !strncmp(at, name, n))
			return true;
		at = strchr(at, ',');
		if (!at)
			return false;
	}
}

/* The group of this process, from the line `id:controllers:path` in /proc/self/cgroup. */
static void find_group(const char *root, const struct version *v, char path[LINE])
{
	char line[LINE], *file = join_path(root, "proc/self/cgroup");
	FILE *f = fopen(file, "r");
	path[0] = 0;
	while (f && fgets(line, sizeof line, f)) {
		char *list = strchr(line, ':'), *group = list ? strchr(list + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = 0;
		group[strcspn(group, "\n")] = 0;
		if (has_controller(list + 1, v->controller))
			snprintf(path, LINE, "%s", group);
	}
	if (f)
		fclose(f);
	free(file);
}

/* The minimum over the group and all enclosing ones. In a container the path may be missing: the mount is the group. */
static uint64_t left_around(const char *root, const struct version *v)
{
	char group[LINE], folder[2 * LINE];
	uint64_t min = UINT64_MAX;
	find_group(root, v, group);
	for (;;) {
		snprintf(folder, sizeof folder, "%s%s%s", root, v->mount, group);
		uint64_t left = left_in(v, folder);
		min = left < min ? left : min;
		char *slash = strrchr(group, '/');
		if (!slash)
			return min;
		*slash = 0;
	}
}

uint64_t host_memory(const char *root)
{
	uint64_t kib = read_in(root, "proc/meminfo", "MemAvailable:"), available = kib == UINT64_MAX ? kib : kib * 1024;
	for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
		uint64_t left = left_around(root, &versions[i]);
		available = left < available ? left : available;
	}
	return available;
}
