/* Defined by each program that links config_value.c: by the launcher in report.c, by deployc in import/json.c. */
#ifndef DR_NO_MEMORY_H
#define DR_NO_MEMORY_H
#include <stddef.h>

/* Ends the process after a message: out of memory. bytes: the size requested. */
_Noreturn void no_memory(size_t bytes);
#endif
