/* LLVM's library, loaded late. */
#include "late.h"
#include <dlfcn.h>
#include "../support/arena.h"

static bool trouble(void)
{
	complain("cannot load LLVM, which generates the code: %s", dlerror());
	return false;
}

bool late_load(void)
{
	static bool loaded;
	if (loaded || !late_functions)
		return true;
	void *library = dlopen(late_library, RTLD_LAZY | RTLD_LOCAL);
	if (!library)
		return trouble();
	for (struct late_function *f = late_functions; f->name; f++)
		if (!(f->at = dlsym(library, f->name)))
			return trouble();
	loaded = true;
	return true;
}
