/* Memory of the launcher's scheduler where deployc plays queues with it: that of the work that is done. */
#include "../runtime/host_alloc.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "../support/arena.h"

void *host_alloc(size_t n, size_t size)
{
	size_t bytes = 0;
	if (__builtin_mul_overflow(n ? n : 1, size ? size : 1, &bytes))
		out_of_memory(SIZE_MAX);
	return memset(heap_malloc(bytes), 0, bytes);
}

void host_free(void *p) { heap_free(p); }

void host_bug(const char *fmt, ...)
{
	va_list args;
	char text[256];
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	internal_error("the scheduler: %s", text);
}
