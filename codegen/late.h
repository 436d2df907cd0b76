/* LLVM's library, loaded when it is first needed: what does not generate code starts without it. */
#ifndef DEPLOYC_LATE_H
#define DEPLOYC_LATE_H
#include <stdbool.h>

/* Loads it, the first time. false: it cannot be loaded (printed). Nothing of LLVM may be called before. A program that
 * is linked with LLVM, such as a unit test, has it anyway. */
bool late_load(void);

/* What late.sh prints: the library, and its functions that are called here; name NULL ends them. */
struct late_function {
	const char *name;
	void *at;
};
extern struct late_function late_functions[] __attribute__((weak));
extern const char late_library[] __attribute__((weak));
#endif
