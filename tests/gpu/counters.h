/* What the emulator counts, for tests, which find these functions with dlsym. */
#ifndef GPU_COUNTERS_H
#define GPU_COUNTERS_H
#include <stdbool.h>
#include <stdint.h>

struct emu_counters {
#define COUNTER(name) uint64_t name;
#define FACT(name)    uint64_t name;
#include "counters.def"
};

#pragma GCC visibility push(default)
/* Counts from here on, from 0, or no longer. */
void emu_count(bool on);
/* The kernel's counters, of launches that have ended; false: it was not launched while they were on. */
bool emu_counters(const char *kernel, struct emu_counters *to);
#pragma GCC visibility pop
#endif
