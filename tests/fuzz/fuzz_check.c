/* Fuzzing: any text that parses is checked and printed, or gives diagnostics; never a crash. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "sema/sema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_file(const char *path)
{
	struct arena arena = {0};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct names names = {.arena = &arena};
	struct sema_options options = {0};
	struct sema *sema = sema_new(&arena, &names, &sink, &options);
	if (sema_load(sema, path)) {
		int n;
		struct deploy **deploys = sema_deploys(sema, &n);
		for (int i = 0; i < n; i++)
			if (deploys[i]->program && program_check(deploys[i]->program, &arena))
				abort();
	}
	arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz.deploy", 0);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	check_file(path);
	close(fd);
	return 0;
}
