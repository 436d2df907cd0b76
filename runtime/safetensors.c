/* Checkpoints: safetensors files, alone or in shards with an index. A file is an 8-byte little-endian length, a JSON header
 * of that length, then the data that the header's offsets count from. Only headers are parsed; data stays mapped. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "number.h"
#include "json_text.h"
#include "runtime.h"

static const uint64_t MAX_HEADER = 100u << 20;  /* as in the format's reference implementation */
static const off_t MAX_JSON = 256 << 20;

struct mapping { void *at; size_t bytes; };
struct checkpoint {
	struct tensor *tensor; int n, cap;      /* sorted by name once all files are read */
	struct mapping *file; int n_files;
};

char *join_path(const char *folder, const char *name)
{
	char *path;
	if (asprintf(&path, "%s/%s", folder, name) < 0)
		abort();
	return path;
}

/* ---- files -------------------------------------------------------------------------------------------------------- */
/* Maps a whole regular file for reading. at NULL after a report. */
static struct mapping map_file(const char *path, struct problems *p)
{
	struct stat st;
	struct mapping m = { NULL, 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		problem(p, "cannot open %s: %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode) || st.st_size == 0) {
		problem(p, "%s is %s", path, S_ISREG(st.st_mode) ? "empty" : "not a file");
	} else {
		m.bytes = (size_t)st.st_size;
		m.at = mmap(NULL, m.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
		if (m.at == MAP_FAILED) {
			problem(p, "cannot map %s: %s", path, strerror(errno));
			m.at = NULL;
		}
	}
	if (fd >= 0)
		close(fd);
	return m;
}

struct json_t *json_file(const char *path, struct problems *p)
{
	json_error_t e;
	struct mapping m = map_file(path, p);
	if (!m.at)
		return NULL;
	json_t *root = NULL;
	if (m.bytes > (size_t)MAX_JSON)
		problem(p, "%s has %zu bytes, at most %lld are read", path, m.bytes, (long long)MAX_JSON);
	else if (!(root = json_text_read(m.at, m.bytes, &e)))
		problem(p, "%s:%d: %s", path, e.line, e.text);
	munmap(m.at, m.bytes);
	if (root && !json_is_object(root)) {
		problem(p, "%s is not a JSON object", path);
		json_decref(root);
		root = NULL;
	}
	return root;
}

/* ---- a tensor of a header ----------------------------------------------------------------------------------------- */
static uint32_t dtype_of(const char *stored)
{
	static const struct { const char *name; uint32_t dtype; } known[] = {
		{ "F32", DR_F32 }, { "BF16", DR_BF16 }, { "F16", DR_F16 },
		{ "F8_E4M3", DR_FP8E4M3 }, { "F8_E5M2", DR_FP8E5M2 },
	};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (!strcmp(known[i].name, stored))
			return known[i].dtype;
	return TENSOR_OTHER_DTYPE;
}

/* NULL, or what is wrong. A count beyond 2^62 elements is no shape. */
static const char *read_shape(json_t *shape, struct tensor *t)
{
	if (!json_is_array(shape) || json_array_size(shape) > TENSOR_DIMS)
		return "has no shape of at most 8 axes";
	t->dims = (int)json_array_size(shape);
	t->count = 1;
	for (int i = 0; i < t->dims; i++) {
		json_t *e = json_array_get(shape, (size_t)i);
		t->dim[i] = json_is_integer(e) ? json_integer_value(e) : -1;
		if (t->dim[i] < 0 || __builtin_mul_overflow(t->count, (uint64_t)t->dim[i], &t->count) || t->count >> 62)
			return "has a shape that is not one";
	}
	return NULL;
}

/* NULL, or what is wrong. `data`: the bytes behind the header. */
static const char *read_tensor(json_t *entry, const unsigned char *data, uint64_t bytes, struct tensor *t)
{
	const char *stored = json_string_value(json_object_get(entry, "dtype"));
	json_t *offsets = json_object_get(entry, "data_offsets");
	json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
	if (!stored || json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
		return "has no dtype or no data_offsets";
	const char *wrong = read_shape(json_object_get(entry, "shape"), t);
	if (wrong)
		return wrong;
	snprintf(t->stored, sizeof t->stored, "%s", stored);
	t->dtype = dtype_of(stored);
	int64_t begin = json_integer_value(from), end = json_integer_value(to);
	if (begin < 0 || end < begin)
		return "has data_offsets that are not a range";
	if ((uint64_t)end > bytes)
		return "ends behind the end of the file: the file is cut off";
	if (t->dtype != TENSOR_OTHER_DTYPE && (uint64_t)(end - begin) != t->count * dtype_size(t->dtype))
		return "has data_offsets that do not fit its shape";
	t->data = data + begin;
	return NULL;
}

static void add_tensor(struct checkpoint *c, const struct tensor *t, const char *name)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 256;
		c->tensor = realloc(c->tensor, (size_t)c->cap * sizeof *c->tensor);
		if (!c->tensor)
			abort();
	}
	c->tensor[c->n] = *t;
	c->tensor[c->n++].name = strdup(name);
}

static void read_header(struct checkpoint *c, const char *path, const struct mapping *m, struct problems *p)
{
	uint64_t length = 0;
	json_error_t e;
	const unsigned char *bytes = m->at;
	for (int i = 0; i < 8 && m->bytes >= 8; i++)
		length |= (uint64_t)bytes[i] << 8 * i;
	if (m->bytes < 8 || length > MAX_HEADER || length > m->bytes - 8) {
		problem(p, "%s: a header of %llu bytes in a file of %zu: cut off, or not safetensors", path,
		        (unsigned long long)length, m->bytes);
		return;
	}
	json_t *root = json_loadb((const char *)bytes + 8, length, JSON_REJECT_DUPLICATES, &e), *entry;
	if (!json_is_object(root))
		problem(p, "%s: the header is not a JSON object: %s", path, root ? "another value" : e.text);
	const char *name;
	json_object_foreach(root, name, entry) {
		struct tensor t = { 0 };
		if (!strcmp(name, "__metadata__"))
			continue;
		const char *wrong = read_tensor(entry, bytes + 8 + length, m->bytes - 8 - length, &t);
		if (wrong)
			problem(p, "%s: tensor %s %s", path, name, wrong);
		else
			add_tensor(c, &t, name);
	}
	json_decref(root);
}

static void read_file(struct checkpoint *c, const char *folder, const char *name, struct problems *p)
{
	char *path = join_path(folder, name);
	struct mapping m = map_file(path, p);
	if (m.at) {
		c->file = realloc(c->file, (size_t)(c->n_files + 1) * sizeof *c->file);
		if (!c->file)
			abort();
		c->file[c->n_files++] = m;
		read_header(c, path, &m, p);
	}
	free(path);
}

/* ---- the index ---------------------------------------------------------------------------------------------------- */
/* Reads every shard once, and checks that each tensor of the index came with one of them. */
static void read_shards(struct checkpoint *c, const char *folder, const char *index, struct problems *p)
{
	json_t *root = json_file(index, p), *map = json_object_get(root, "weight_map"), *shard, *seen = json_object();
	const char *tensor;
	if (root && !json_is_object(map))
		problem(p, "%s has no weight_map", index);
	json_object_foreach(map, tensor, shard) {
		const char *name = json_string_value(shard);
		if (!name || strchr(name, '/') || !*name)
			problem(p, "%s: tensor %s is not in a file of this folder", index, tensor);
		else if (!json_object_get(seen, name)) {
			json_object_set_new(seen, name, json_true());
			read_file(c, folder, name, p);
		}
	}
	json_decref(seen);
	json_decref(root);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

struct checkpoint *checkpoint_open(const char *folder, struct problems *p)
{
	struct checkpoint *c = host_alloc(1, sizeof *c);
	char *single = join_path(folder, "model.safetensors"), *index = join_path(folder, "model.safetensors.index.json");
	if (access(single, F_OK) == 0)
		read_file(c, folder, "model.safetensors", p);
	else if (access(index, F_OK) == 0)
		read_shards(c, folder, index, p);
	else
		problem(p, "%s has neither model.safetensors nor model.safetensors.index.json", folder);
	free(single);
	free(index);
	if (c->n)
		qsort(c->tensor, (size_t)c->n, sizeof *c->tensor, by_name);
	for (int i = 1; i < c->n; i++)
		if (!strcmp(c->tensor[i].name, c->tensor[i - 1].name))
			problem(p, "%s: tensor %s is there twice", folder, c->tensor[i].name);
	return c;
}

void checkpoint_close(struct checkpoint *c)
{
	for (int i = 0; c && i < c->n; i++)
		free(c->tensor[i].name);
	for (int i = 0; c && i < c->n_files; i++)
		munmap(c->file[i].at, c->file[i].bytes);
	if (c) {
		free(c->tensor);
		free(c->file);
	}
	free(c);
}

const struct tensor *checkpoint_find(const struct checkpoint *c, const char *name)
{
	int low = 0, high = c->n;
	while (low < high) {
		int middle = (low + high) / 2, order = strcmp(name, c->tensor[middle].name);
		if (order == 0)
			return &c->tensor[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

int checkpoint_size(const struct checkpoint *c) { return c->n; }
const struct tensor *checkpoint_at(const struct checkpoint *c, int i) { return &c->tensor[i]; }
