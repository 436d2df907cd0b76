/* The rest of control groups' limits, both versions, from files in the kernel's format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../runtime/runtime.h"

static char root[64];

/* Writes a file below the root, and creates its folders. */
static void put(const char *path, const char *text)
{
	char full[512];
	snprintf(full, sizeof full, "%s/%s", root, path);
	for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		mkdir(full, 0700);
	}
	FILE *f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* MemAvailable is 1,000,000 KiB. */
static int make_root(void **state)
{
	(void)state;
	strcpy(root, "/tmp/rt_host.XXXXXX");
	if (!mkdtemp(root))
		return -1;
	put("proc/meminfo", "MemTotal:        2000000 kB\nMemFree:          10 kB\nMemAvailable:    1000000 kB\n");
	return 0;
}

static int remove_root(void **state)
{
	(void)state;
	char command[128];
	snprintf(command, sizeof command, "rm -r %s", root);
	return system(command);
}

static void without_groups(void **state)
{
	(void)state;
	assert_int_equal(host_memory(root), 1024000000);
	assert_true(host_memory("/nowhere") == UINT64_MAX);
}

/* Page cache that can be reclaimed does not count as used; the minimum over a group and its enclosing groups counts. */
static void version_2(void **state)
{
	(void)state;
	put("proc/self/cgroup", "a line of another kind\n1:neither\n0::/user/job\n");
	put("sys/fs/cgroup/user/job/memory.max", "100000000\n");
	put("sys/fs/cgroup/user/job/memory.current", "90000000\n");
	assert_int_equal(host_memory(root), 10000000);
	put("sys/fs/cgroup/user/job/memory.stat",
	    "anon 1000\nfile 85000000\ninactive_file 80000000\nactive_file 5000000\n");
	assert_int_equal(host_memory(root), 90000000);
	put("sys/fs/cgroup/user/memory.max", "50000000\n");
	put("sys/fs/cgroup/user/memory.current", "30000000\n");
	put("sys/fs/cgroup/user/memory.stat", "inactive_file 40000000\n");
	assert_int_equal(host_memory(root), 50000000);
	put("sys/fs/cgroup/user/memory.max", "max\n");
	put("sys/fs/cgroup/user/job/memory.max", "max\n");
	assert_int_equal(host_memory(root), 1024000000);
}

/* In a container the mount is the group itself, whatever path the host gave it. */
static void version_2_in_a_container(void **state)
{
	(void)state;
	put("proc/self/cgroup", "0::/docker/0123\n");
	put("sys/fs/cgroup/memory.max", "7000000\n");
	put("sys/fs/cgroup/memory.current", "8000000\n");
	put("sys/fs/cgroup/memory.stat", "inactive_file 500000\n");
	assert_int_equal(host_memory(root), 0);
	put("sys/fs/cgroup/memory.stat", "inactive_file 2500000\n");
	assert_int_equal(host_memory(root), 1500000);
}

static void version_1(void **state)
{
	(void)state;
	put("proc/self/cgroup", "12:cpu,cpuacct:/a\n4:hugetlb,memory:/job\n1:name=systemd:/b\n");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n");
	put("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "6000000\n");
	put("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "5000000\n");
	put("sys/fs/cgroup/memory/job/memory.stat", "inactive_file 1\ntotal_inactive_file 3000000\n");
	assert_int_equal(host_memory(root), 4000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_groups, make_root, remove_root),
		cmocka_unit_test_setup_teardown(version_2, make_root, remove_root),
		cmocka_unit_test_setup_teardown(version_2_in_a_container, make_root, remove_root),
		cmocka_unit_test_setup_teardown(version_1, make_root, remove_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
