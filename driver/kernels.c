/* `plan --kernels`: which way each kernel takes on a GPU, and what NVIDIA's assembler makes of it, where that is. */
#include "compile.h"
#include "driver.h"
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* What NVIDIA's assembler says of a function; -1: it was not asked. */
struct assembled {
	int registers, stack, spills;
};

static void read_numbers(const char *line, struct assembled *a)
{
	const char *at = strstr(line, "Used "), *end = strchr(line, '\n');
	int stores, loads;
	if (sscanf(line, " %d bytes stack frame, %d bytes spill stores, %d bytes spill loads", &a->stack, &stores, &loads)
	    == 3)
		a->spills = stores + loads;
	if (at && (!end || at < end))
		sscanf(at, "Used %d registers", &a->registers);
}

/* Finds function `name` in what `ptxas -v` says: its numbers follow its name. */
static struct assembled find_function(const char *said, const char *name)
{
	struct assembled a = {-1, -1, -1};
	char quoted[160];
	snprintf(quoted, sizeof quoted, "Compiling entry function '%s'", name);
	const char *line = strstr(said, quoted);
	while (line && a.registers < 0 && (line = strchr(line, '\n')) && strncmp(++line, "ptxas info    : Compiling", 25))
		read_numbers(line, &a);
	return a;
}

/* Whether PATH has ptxas; an empty part of it is the working folder. */
static bool assembler_is_there(struct arena *arena)
{
	const char *at = getenv("PATH");
	bool there = false;
	while (at && !there) {
		int n = (int)strcspn(at, ":");
		there = access(arena_printf(arena, "%.*s%sptxas", n, at, n ? "/" : ""), X_OK) == 0;
		at = at[n] ? at + n + 1 : NULL;
	}
	return there;
}

/* Starts ptxas over a file; *said: what it prints comes from there. -1: it is not on PATH. */
static pid_t start_assembler(const char *path, int *said)
{
	const char *words[] = {"ptxas", "-arch=sm_80", "-v", path, "-o", "/dev/null", NULL};
	posix_spawn_file_actions_t to_pipe;
	int ends[2];
	pid_t child;
	if (pipe(ends))
		return -1;
	posix_spawn_file_actions_init(&to_pipe);
	posix_spawn_file_actions_adddup2(&to_pipe, ends[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&to_pipe, ends[1], STDERR_FILENO);
	posix_spawn_file_actions_addclose(&to_pipe, ends[0]);
	int failed = posix_spawnp(&child, words[0], &to_pipe, NULL, (char *const *)words, environ);
	posix_spawn_file_actions_destroy(&to_pipe);
	close(ends[1]);
	if (failed)
		close(ends[0]);
	*said = ends[0];
	return failed ? -1 : child;
}

/* What ptxas says of the text; "": it is not on PATH, or refuses. NULL after a message. */
static const char *assemble(struct compilation *c, struct planned *p)
{
	if (!assembler_is_there(&c->arena))
		return "";
	struct out_file out;
	const char *folder = getenv("TMPDIR");
	char *path = arena_printf(&c->arena, "%s/deployc-%ld.ptx", folder && *folder ? folder : "/tmp", (long)getpid());
	struct codegen_options o = {.level = c->options->level, .heap = c->arena.heap};
	if (!output_open(&c->arena, &out, path))
		return NULL;
	bool written = codegen_emit(p->schedule, &o, CODEGEN_PTX, out.file);
	if (!output_close(&out, written) || !written)
		return NULL;
	struct text all = {.arena = &c->arena};
	char part[4096];
	ssize_t n = 0;
	int said, status = 1;
	pid_t child = start_assembler(path, &said);
	while (child > 0 && (n = read(said, part, sizeof part)) > 0)
		text_add(&all, "%.*s", (int)n, part);
	if (child > 0) {
		close(said);
		waitpid(child, &status, 0);
	}
	unlink(path);
	return status == 0 && all.at ? all.at : "";
}

static void print_number(int n)
{
	if (n < 0)
		printf("  %9s", "-");
	else
		printf("  %9d", n);
}

bool print_kernels(struct compilation *c, struct planned *p)
{
	const char *said = assemble(c, p);
	if (!said)
		return false;
	struct codegen_kernel *kernels = codegen_kernels(&p->arena, p->schedule);
	static const char *const ways[] = {[WAY_GENERAL] = "general", [WAY_TUNED] = "tuned", [WAY_FMA] = "fma"};
	int of[] = {0, 0, 0}, n = p->schedule->kernels.n;
	for (int i = 0; i < n; i++)
		of[kernels[i].way]++;
	printf("\nkernels: %d, of which %d are tuned and %d take the general path\n", n, n - of[WAY_GENERAL],
	       of[WAY_GENERAL]);
	printf("  %-24s  %-7s  %9s  %9s  %9s  %s\n", "function", "way", "registers", "stack", "spilled", "launched for");
	for (int i = 0; i < n; i++)
		for (int f = 0; f < kernels[i].functions; f++) {
			const struct codegen_kernel *k = &kernels[i];
			struct assembled a = find_function(said, k->function[f]);
			printf("  %-24s  %-7s", k->function[f], ways[k->way]);
			print_number(a.registers);
			print_number(a.stack);
			print_number(a.spills);
			printf("  %s", k->op);
			if (k->places > 1)
				printf(" and %d more", k->places - 1);
			printf("\n");
		}
	if (of[WAY_FMA])
		printf("fma: %d of the tuned ones, contractions by multiply-adds in f32, not on the matrix units\n",
		       of[WAY_FMA]);
	puts(*said ? "registers, and bytes of stack and of spilled registers, of a thread: by ptxas, for sm_80"
	           : "registers, stack and spilled registers: not known, since `ptxas` is not on PATH");
	return true;
}
