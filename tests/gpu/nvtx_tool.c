/* What a profiler is to NVTX: a library that is handed a table of addresses, and writes its functions there. It
 * appends the ranges to the file NVTX_TOOL_LOG. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef void (*any_fn)(void);
enum { ID_MARK = 2, ID_PUSH = 9, ID_POP = 11 };

struct callbacks {
	size_t size;
	int (*table_of)(int module, any_fn ***table, unsigned *n);
};
struct version {
	size_t size;
	unsigned version, reserved;
	void (*set_version)(unsigned version);
};

static void note(const char *what, const char *name)
{
	char line[300];
	int n = snprintf(line, sizeof line, "%d %s %s\n", (int)getpid(), what, name);
	int file = open(getenv("NVTX_TOOL_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
	if (file < 0 || write(file, line, (size_t)n) != n)
		abort();
	close(file);
}

static int push(const char *name) { return note("push", name), 0; }
static int pop(void) { return note("pop", ""), 0; }

int InitializeInjectionNvtx2(const void *(*export)(unsigned id));
int InitializeInjectionNvtx2(const void *(*export)(unsigned id))
{
	const struct callbacks *c = export(1);
	const struct version *v = export(3);
	any_fn **table;
	unsigned n;
	if (export(99) || c->size < sizeof *c || v->size < sizeof *v || v->version != 3)
		return 0;
	v->set_version(2);
	if (c->table_of(7, &table, &n) || !c->table_of(1, &table, &n) || n <= ID_POP)
		return 0;
	*table[ID_PUSH] = (any_fn)push;
	*table[ID_POP] = (any_fn)pop;
	return !*table[ID_MARK];
}
