/* The table of processors. */
#include "target.h"
#include <stddef.h>
#include <string.h>

static const struct cpu {
	const char *name;
	int floats;
	bool bf16_dot;
} cpus[] = {
#ifdef __x86_64__
#define X(name, floats, bf16_dot) {name, floats, bf16_dot},
#include "cpu.def"
#undef X
#endif
	{NULL, 0, false},
};

struct target_shape target_shape_of(int floats, bool bf16_dot)
{
	return (struct target_shape){.n_tile = 2 * floats, .bf16_dot = bf16_dot};
}

const char *target_default(void)
{
#ifdef __x86_64__
	return "x86-64-v3";
#else
	return "generic";
#endif
}

bool target_find(const char *cpu, struct target_shape *out)
{
	if (!cpu)
		cpu = target_default();
	for (const struct cpu *c = cpus; c->name; c++)
		if (!strcmp(c->name, cpu)) {
			*out = target_shape_of(c->floats, c->bf16_dot);
			return true;
		}
	return false;
}
