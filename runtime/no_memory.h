/* What every program that links config_value.c says when memory runs out: the launcher in report.c, deployc in
 * import/json.c. */
#ifndef DR_NO_MEMORY_H
#define DR_NO_MEMORY_H
#include <stddef.h>

/* Ends the process after a message. bytes: how many were asked for. */
_Noreturn void no_memory(size_t bytes);
#endif
