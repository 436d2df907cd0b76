/* Ranges for profilers, by NVTX version 3: a tool such as Nsight Systems puts the path of a library in
 * NVTX_INJECTION64_PATH, which is handed a table of addresses and writes its functions there. NVTX's headers are not
 * needed: what is declared here is that interface (NVIDIA/NVTX, nvtxDetail/nvtxTypes.h). */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include "runtime.h"

enum {
	EXPORT_CALLBACKS = 1,
	EXPORT_VERSION = 3,
	NVTX_VERSION = 3,
	MODULE_CORE = 1,
	ID_PUSH = 9,
	ID_POP = 11,
	IDS = 16
};

typedef void (*any_fn)(void);
struct callbacks {
	size_t size;
	int (*table_of)(int module, any_fn ***table, unsigned *n);
};
struct version {
	size_t size;
	uint32_t version, reserved;
	void (*set_version)(uint32_t version);
};

/* What the tool wrote; NULL: nothing. The functions of other ids are never called. */
static any_fn functions[IDS];
static any_fn *table[IDS + 1];
static bool active;

static int table_of(int module, any_fn ***to, unsigned *n)
{
	if (module != MODULE_CORE || !to)
		return 0;
	for (int i = 1; i < IDS; i++)
		table[i] = &functions[i];
	*to = table;
	if (n)
		*n = IDS;
	return 1;
}

static void set_version(uint32_t version) { (void)version; }

static const void *export_table(uint32_t id)
{
	static const struct callbacks callbacks = {sizeof callbacks, table_of};
	static const struct version version = {sizeof version, NVTX_VERSION, 0, set_version};
	return id == EXPORT_CALLBACKS ? (const void *)&callbacks : id == EXPORT_VERSION ? (const void *)&version : NULL;
}

static bool load(const char *path, const char **why)
{
	int (*initialize)(const void *(*)(uint32_t)) = NULL;
	void *tool = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	*why = tool ? "it has no InitializeInjectionNvtx2" : dlerror();
	if (tool)
		*(void **)(void *)&initialize = dlsym(tool, "InitializeInjectionNvtx2");
	if (!initialize)
		return false;
	*why = "its InitializeInjectionNvtx2 refused";
	return initialize(export_table);
}

void ranges_open(bool warns)
{
	static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;
	static bool opened;
	const char *path = getenv("NVTX_INJECTION64_PATH"), *why;
	pthread_mutex_lock(&opening);
	bool loaded = opened || !path || !*path || load(path, &why);
	if (!loaded && warns)
		print_warning("a profiler sees no ranges: NVTX_INJECTION64_PATH=%s: %s", path, why);
	active = loaded && functions[ID_PUSH] && functions[ID_POP];
	opened = true;
	pthread_mutex_unlock(&opening);
}

void range_begin(const char *name, int layer)
{
	char text[256];
	if (!active)
		return;
	if (layer >= 0)
		snprintf(text, sizeof text, "%s, layer %d", name, layer);
	else
		snprintf(text, sizeof text, "%s", name);
	((int (*)(const char *))functions[ID_PUSH])(text);
}

void range_end(void)
{
	if (active)
		((int (*)(void))functions[ID_POP])();
}
