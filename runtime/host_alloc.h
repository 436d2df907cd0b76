/* Memory of tables on the host. Defined by each program that links scheduler.c and the files of pages.h: by the
 * launcher in report.c, by deployc in planner/host_alloc.c. */
#ifndef DEPLOY_HOST_ALLOC_H
#define DEPLOY_HOST_ALLOC_H
#include <stddef.h>

/* Zeroed, never NULL: lack of memory ends what is done, with a message. */
void *host_alloc(size_t n, size_t size);
void host_free(void *p); /* p: of host_alloc, or NULL */
/* An internal error, where no reporter is at hand: it ends what is done. */
_Noreturn void host_bug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#endif
