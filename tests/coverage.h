/* Included before every source in the build of `make coverage`: saves the counts of a process that ends without exit(),
 * such as a rank that fails. */
#ifndef DEPLOY_COVERAGE_H
#define DEPLOY_COVERAGE_H
#include <unistd.h>

void __gcov_dump(void);

static inline _Noreturn void coverage_exit(int status)
{
	__gcov_dump();
	_exit(status);
}
#define _exit coverage_exit
#endif
