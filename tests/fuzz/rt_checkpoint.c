/* Fuzzing the launcher's readers: any bytes as model.safetensors, as its index or as config.json give a checkpoint
 * whose tensors are within the file, or problems; never a crash. The first byte selects the file. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "runtime/runtime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "config.json"};
enum { NAMES = sizeof names / sizeof *names };

/* The bytes that the launcher would read of a tensor. */
static size_t tensor_bytes(const struct tensor *t)
{
	return t->dtype == TENSOR_OTHER_DTYPE ? 0 : t->count * (t->dtype == DR_F32 ? 4 : 2);
}

static unsigned checksum(const struct checkpoint *c)
{
	unsigned sum = 0;
	for (int i = 0; i < checkpoint_size(c); i++) {
		const struct tensor *t = checkpoint_at(c, i);
		if (!checkpoint_find(c, t->name))
			abort();
		for (size_t k = 0; k < tensor_bytes(t); k++)
			sum += t->data[k];
	}
	return sum;
}

static void read_folder(const char *folder)
{
	struct problems p;
	problems_open(&p);
	struct checkpoint *c = checkpoint_open(folder, &p);
	static volatile unsigned kept;
	kept = checksum(c);
	(void)kept;
	checkpoint_close(c);
	p.n = 0;
	problems_close(&p, "");
}

/* A program that requires a value of each type; offsets are into `text`. */
static void read_config(const char *folder)
{
	static const unsigned char text[] = "a\0rope.theta\0c.d.e\0model_type\0llama\0[1,\"a\"]";
	static const struct dr_config asked[] = {
		{.name = {0, 1}, .field = {0, 1}, .type = 1, .b = 1},
		{.name = {2, 10}, .field = {2, 10}, .type = 3, .f = 1e4},
		{.name = {13, 5}, .field = {13, 5}, .type = 2, .i = 7},
		{.name = {19, 10}, .field = {19, 10}, .type = 4, .s = {30, 5}},
		{.name = {13, 5}, .field = {0, 1}, .type = 5, .s = {36, 7}, .absent = {36, 7}},
	};
	struct dr_program head = {.config.n = sizeof asked / sizeof *asked};
	struct plan plan = {.blob = text, .head = &head, .config = asked};
	struct unverified none = {0};
	struct problems p;
	problems_open(&p);
	config_check(&plan, folder, &none, &p);
	p.n = 0;
	problems_close(&p, "");
}

static void put(const char *folder, const char *name, const uint8_t *data, size_t size)
{
	char *path = join_path(folder, name);
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(data, 1, size, f) != size || fclose(f))
		abort();
	free(path);
}

static void drop(const char *folder, const char *name)
{
	char *path = join_path(folder, name);
	unlink(path);
	free(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t shard[] = "\x02\0\0\0\0\0\0\0{}";
	char folder[] = "/dev/shm/fuzz.XXXXXX";
	int which = size ? data[0] % NAMES : 0;
	if (!mkdtemp(folder))
		abort();
	put(folder, names[which], data + (size > 0), size - (size > 0));
	if (which == 1)
		put(folder, "shard", shard, sizeof shard - 1);
	(which == 2 ? read_config : read_folder)(folder);
	for (int i = 0; i < NAMES; i++)
		drop(folder, names[i]);
	drop(folder, "shard");
	rmdir(folder);
	return 0;
}
