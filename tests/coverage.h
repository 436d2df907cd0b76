/* Included before every source of the build of `make coverage`: what a process counted is kept when it ends without
 * exit(), as ranks that fail do. */
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
