/* Compiles many specs in one process: repeatedly reads "SIZE FORM\n" and SIZE bytes of a spec from standard input, and
 * answers "STATUS SIZE\n" and the output of deployc. The driver's own passes run on each spec in a forked child, so a
 * crash or hang is one answer. FORM: `check`, `dag-local`, `dag-sched`, or 0 to 3: code is generated at that level and
 * dropped. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "driver/driver.h"

enum { SECONDS = 60, MAX_BYTES = 1 << 20 };

static char spec[MAX_BYTES], answer[MAX_BYTES];

static const struct form {
	const char *name;
	enum command command;
	enum emit emit;
	int level;
	const char *output;
} forms[] = {
	{"check", COMMAND_CHECK, EMIT_LAUNCHER, 2, NULL},     {"dag-local", COMMAND_BUILD, EMIT_DAG_LOCAL, 2, "-"},
	{"dag-sched", COMMAND_BUILD, EMIT_DAG_SCHED, 2, "-"}, {"0", COMMAND_BUILD, EMIT_OBJ, 0, "/dev/null"},
	{"1", COMMAND_BUILD, EMIT_OBJ, 1, "/dev/null"},       {"2", COMMAND_BUILD, EMIT_OBJ, 2, "/dev/null"},
	{"3", COMMAND_BUILD, EMIT_OBJ, 3, "/dev/null"},
};

static const struct form *form_named(const char *name)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (!strcmp(forms[i].name, name))
			return &forms[i];
	fprintf(stderr, "check_many: no form `%s`\n", name);
	exit(2);
}

static int memory_file(const char *name)
{
	int fd = memfd_create(name, 0);
	if (fd < 0) {
		perror("memfd_create");
		exit(2);
	}
	return fd;
}

static int compile_spec(int fd, const struct form *f)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	const char *specs[] = {path};
	struct heap heap = {0};
	struct options o = {.command = f->command,
	                    .emit = f->emit,
	                    .specs = specs,
	                    .n_specs = 1,
	                    .error_form = ERRORS_GCC,
	                    .output = f->output,
	                    .level = f->level,
	                    .heap = &heap};
	return compile(&o, 0);
}

/* Returns the child's exit status, or 128 + the signal that ended it. */
static int run(size_t size, const struct form *form, int printed)
{
	pid_t child = fork();
	if (child < 0) {
		perror("fork");
		exit(2);
	}
	if (!child) {
		int fd = memory_file("spec.deploy");
		if (write(fd, spec, size) != (ssize_t)size || dup2(printed, STDERR_FILENO) < 0
		    || dup2(printed, STDOUT_FILENO) < 0)
			_exit(2);
		alarm(SECONDS);
		int status = compile_spec(fd, form);
		fflush(stdout);
		_exit(status);
	}
	int status;
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(void)
{
	size_t size;
	char name[16];
	while (scanf("%zu %15s", &size, name) == 2 && getchar() == '\n' && size <= sizeof spec
	       && fread(spec, 1, size, stdin) == size) {
		int printed = memory_file("printed");
		int status = run(size, form_named(name), printed);
		ssize_t n = pread(printed, answer, sizeof answer, 0);
		close(printed);
		printf("%d %zd\n", status, n < 0 ? 0 : n);
		fwrite(answer, 1, n < 0 ? 0 : (size_t)n, stdout);
		fflush(stdout);
	}
	return 0;
}
