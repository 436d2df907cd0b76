/* Checkpoints: safetensors files, one or several shards with an index. A file is an 8-byte little-endian length, a JSON
 * header of that length, then the data, to which the header's offsets refer. Data is mapped, not read. */
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../support/lfs.h"
#include "files.h"
#include "json_text.h"
#include "no_memory.h"
#include "number.h"
#include "runtime.h"

static const size_t MAX_HEADER = 100u << 20; /* as in the format's reference implementation */
static const size_t MAX_INDEX = 100u << 20, MAX_CONFIG = 16u << 20;
/* Limits of memory for parsing: usually ten times the text, at worst forty times. */
static const size_t ROOM = 1u << 30, CONFIG_ROOM = 256u << 20;

struct file {
	char *name;
	void *at;
	size_t bytes;
	bool good;
}; /* mapped; good: its header is valid */
struct checkpoint {
	struct tensor *tensor;
	int n, cap; /* sorted by name once all files are read */
	struct file *file;
	int n_files;
};

char *join_path(const char *folder, const char *name)
{
	char *path;
	if (asprintf(&path, "%s/%s", folder, name) < 0)
		no_memory(strlen(folder) + strlen(name) + 2);
	return path;
}

/* ---- JSON ------------------------------------------------------------------------------------ */
/* Memory that the parser may still take, and why its last request failed. */
static struct {
	size_t left;
	enum { GIVEN, BEYOND_ROOM, NO_MEMORY } last;
} room = {SIZE_MAX, GIVEN};

static void *room_take(size_t n)
{
	void *p = n <= room.left ? malloc(n) : NULL;
	if (p)
		room.left -= n <= room.left ? n : room.left;
	else if (room.last == GIVEN)
		room.last = n <= room.left ? NO_MEMORY : BEYOND_ROOM;
	return p;
}

/* config: JSON as Python writes it. NULL after a report. */
static json_t *parse(const char *path, const char *text, size_t n, size_t room_bytes, bool config, struct problems *p)
{
	json_error_t e;
	json_set_alloc_funcs(room_take, free);
	room.left = room_bytes;
	room.last = GIVEN;
	json_t *root = config ? json_text_read(text, n, &e) : json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
	room.left = SIZE_MAX;
	if (!root && room.last == BEYOND_ROOM)
		problem(p, "%s: its %zu bytes of JSON take more than %zu MiB of memory", path, n, room_bytes >> 20);
	else if (!root && room.last == NO_MEMORY)
		problem(p, "%s: out of memory while its %zu bytes of JSON were parsed", path, n);
	else if (!root)
		problem(p, "%s:%d: %s", path, e.line, e.text);
	else if (json_is_object(root))
		return root;
	else
		problem(p, "%s is not a JSON object", path);
	json_decref(root);
	return NULL;
}

static json_t *read_json(const char *path, size_t max_bytes, size_t room_bytes, struct problems *p)
{
	size_t n = 0;
	char *text = file_text(path, max_bytes, &n, p);
	json_t *root = text ? parse(path, text, n, room_bytes, room_bytes == CONFIG_ROOM, p) : NULL;
	free(text);
	return root;
}

struct json_t *json_file(const char *path, struct problems *p) { return read_json(path, MAX_CONFIG, CONFIG_ROOM, p); }

/* ---- a tensor of a header -------------------------------------------------------------------- */
/* Formats in safetensors files: those that the runtime reads, and bits of the others. */
static const struct format {
	const char *name;
	uint32_t dtype;
	unsigned bits;
} formats[] = {
	{"F32", DR_F32, 32},
	{"BF16", DR_BF16, 16},
	{"F16", DR_F16, 16},
	{"F8_E4M3", DR_FP8E4M3, 8},
	{"F8_E5M2", DR_FP8E5M2, 8},
	{"BOOL", TENSOR_OTHER_DTYPE, 8},
	{"U8", TENSOR_OTHER_DTYPE, 8},
	{"I8", TENSOR_OTHER_DTYPE, 8},
	{"U16", TENSOR_OTHER_DTYPE, 16},
	{"I16", TENSOR_OTHER_DTYPE, 16},
	{"U32", TENSOR_OTHER_DTYPE, 32},
	{"I32", TENSOR_OTHER_DTYPE, 32},
	{"U64", TENSOR_OTHER_DTYPE, 64},
	{"I64", TENSOR_OTHER_DTYPE, 64},
	{"F64", TENSOR_OTHER_DTYPE, 64},
	{"C64", TENSOR_OTHER_DTYPE, 64},
	{"F8_E8M0", TENSOR_OTHER_DTYPE, 8},
	{"F6_E2M3", TENSOR_OTHER_DTYPE, 6},
	{"F6_E3M2", TENSOR_OTHER_DTYPE, 6},
	{"F4", TENSOR_OTHER_DTYPE, 4},
};

/* NULL: unknown. */
static const struct format *format_of(const char *stored)
{
	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (!strcmp(formats[i].name, stored))
			return &formats[i];
	return NULL;
}

/* NULL, or what is wrong. A shape has at most 2^62 elements. */
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
			return "has an invalid shape";
	}
	return NULL;
}

/* NULL, or what is wrong. `data`: the bytes after the header. */
static const char *read_tensor(json_t *entry, const unsigned char *data, struct tensor *t)
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
	const struct format *format = format_of(stored);
	t->dtype = format ? format->dtype : TENSOR_OTHER_DTYPE;
	int64_t begin = json_integer_value(from), end = json_integer_value(to);
	if (begin < 0 || end < begin)
		return "has data_offsets that are not a range";
	if (format && (t->count > UINT64_MAX / 64 || (uint64_t)(end - begin) != (t->count * format->bits + 7) / 8))
		return "has data_offsets that do not fit its shape";
	t->data = data + begin;
	t->stored_bytes = (uint64_t)(end - begin);
	return NULL;
}

static void add_tensor(struct checkpoint *c, const struct tensor *t, const char *name)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 256;
		c->tensor = host_grow(c->tensor, (size_t)c->cap, sizeof *c->tensor);
	}
	c->tensor[c->n] = *t;
	c->tensor[c->n].name = strdup(name);
	if (!c->tensor[c->n++].name)
		no_memory(strlen(name) + 1);
}

static int by_place(const void *a, const void *b)
{
	const struct tensor *x = a, *y = b;
	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	return (x->stored_bytes > y->stored_bytes) - (x->stored_bytes < y->stored_bytes);
}

/* Checks that each byte of the data belongs to one tensor: the format allows no overlaps and no holes. */
static bool check_cover(struct tensor *tensor, int n, const unsigned char *data, uint64_t bytes, const char *path,
                        struct problems *p)
{
	uint64_t covered = 0;
	if (n)
		qsort(tensor, (size_t)n, sizeof *tensor, by_place);
	for (int i = 0; i < n; i++) {
		uint64_t begin = (uint64_t)(tensor[i].data - data);
		if (begin < covered) {
			problem(p, "%s: tensors %s and %s overlap", path, tensor[i - 1].name, tensor[i].name);
			return false;
		}
		if (begin > covered)
			break;
		covered = begin + tensor[i].stored_bytes;
	}
	if (covered < bytes)
		problem(p, "%s: the data from byte %llu on belongs to no tensor", path, (unsigned long long)covered);
	return covered == bytes;
}

/* Where the last tensor ends, as the header says; 0 if that cannot be read. */
static uint64_t described_bytes(json_t *root)
{
	uint64_t most = 0;
	const char *name;
	json_t *entry;
	json_object_foreach (root, name, entry) {
		json_int_t end = json_integer_value(json_array_get(json_object_get(entry, "data_offsets"), 1));
		if (end > 0 && (uint64_t)end > most)
			most = (uint64_t)end;
	}
	return most;
}

static bool read_tensors(struct checkpoint *c, json_t *root, const char *path, const struct file *f, uint64_t header,
                         struct problems *p)
{
	const unsigned char *data = (const unsigned char *)f->at + header;
	int first = c->n, before = p->n;
	const char *name;
	json_t *entry;
	if (described_bytes(root) > f->bytes - header) {
		problem(p, "%s has %zu bytes, and its header describes %llu: the file is truncated", path, f->bytes,
		        (unsigned long long)(header + described_bytes(root)));
		return false;
	}
	json_object_foreach (root, name, entry) {
		struct tensor t = {.file = c->n_files};
		if (!strcmp(name, "__metadata__"))
			continue;
		const char *wrong = read_tensor(entry, data, &t);
		if (wrong)
			problem(p, "%s: tensor %s %s", path, name, wrong);
		else
			add_tensor(c, &t, name);
	}
	struct tensor *own = c->n > first ? c->tensor + first : NULL;
	return p->n == before && check_cover(own, c->n - first, data, f->bytes - header, path, p);
}

/* The header's text; *begin: where the data begins. NULL after a report. */
static char *read_header(int fd, const char *path, size_t bytes, uint64_t *begin, struct problems *p)
{
	uint64_t length = 0;
	unsigned char prefix[8] = {0};
	char start[LFS_BYTES];
	bool whole = pread(fd, prefix, sizeof prefix, 0) == sizeof prefix;
	for (size_t i = 0; i < sizeof prefix; i++)
		length |= (uint64_t)prefix[i] << 8 * i;
	*begin = sizeof prefix + length;
	if (pread(fd, start, sizeof start, 0) == sizeof start && is_lfs_pointer(start, sizeof start)) {
		problem(p, "%s " LFS_POINTER, path);
		return NULL;
	}
	if (whole && length <= MAX_HEADER && length <= bytes - sizeof prefix)
		return file_part(fd, path, sizeof prefix, length, p);
	problem(p, "%s: a header of %llu bytes in a file of %zu: truncated, or not safetensors", path,
	        (unsigned long long)length, bytes);
	return NULL;
}

static void read_file(struct checkpoint *c, const char *folder, const char *name, struct problems *p)
{
	struct file f = {.name = join_path(folder, name)};
	uint64_t begin = 0;
	int fd = file_open(f.name, &f.bytes, p);
	char *text = fd < 0 ? NULL : read_header(fd, f.name, f.bytes, &begin, p);
	json_t *root = text ? parse(f.name, text, begin - 8, ROOM, false, p) : NULL;
	if (root && (f.at = mmap(NULL, f.bytes, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
		problem(p, "cannot map %s: %s", f.name, strerror(errno));
		f.at = NULL;
	}
	if (f.at)
		f.good = read_tensors(c, root, f.name, &f, begin, p);
	c->file = host_grow(c->file, (size_t)(c->n_files + 1), sizeof *c->file);
	c->file[c->n_files++] = f;
	json_decref(root);
	free(text);
	if (fd >= 0)
		close(fd);
}

/* ---- the index ------------------------------------------------------------------------------- */
static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct tensor *)a)->name, ((const struct tensor *)b)->name);
}

/* where: the folder, for messages */
static void sort_tensors(struct checkpoint *c, const char *where, struct problems *p)
{
	if (c->n)
		qsort(c->tensor, (size_t)c->n, sizeof *c->tensor, by_name);
	for (int i = 1; i < c->n; i++)
		if (!strcmp(c->tensor[i].name, c->tensor[i - 1].name))
			problem(p, "%s: tensor %s appears twice", where, c->tensor[i].name);
}

void checkpoint_rename(struct checkpoint *c, char *(*rename)(void *context, const char *name), void *context,
                       struct problems *p)
{
	int kept = 0;
	for (int i = 0; i < c->n; i++) {
		char *old = c->tensor[i].name, *name = rename(context, old);
		free(old);
		c->tensor[kept] = c->tensor[i];
		c->tensor[kept].name = name;
		kept += name != NULL;
	}
	c->n = kept;
	sort_tensors(c, "the language model", p);
}

/* Reads each shard once. `number`: number of the file, by name. */
static void read_shards(struct checkpoint *c, const char *folder, const char *index, json_t *map, json_t *number,
                        struct problems *p)
{
	json_t *shard;
	const char *tensor;
	json_object_foreach (map, tensor, shard) {
		const char *name = json_string_value(shard);
		if (!name || strchr(name, '/') || !*name)
			problem(p, "%s: tensor %s is not in a file of this folder", index, tensor);
		else if (!json_object_get(number, name)) {
			json_object_set_new(number, name, json_integer(c->n_files));
			read_file(c, folder, name, p);
		}
	}
}

/* Checks that each tensor of the index is in the file named there. Invalid files were reported already. */
static void check_index(const struct checkpoint *c, const char *index, json_t *map, json_t *number, struct problems *p)
{
	json_t *shard;
	const char *tensor;
	json_object_foreach (map, tensor, shard) {
		json_t *file = json_object_get(number, json_string_value(shard) ? json_string_value(shard) : "");
		const struct tensor *t = checkpoint_find(c, tensor);
		int i = (int)json_integer_value(file);
		if (file && c->file[i].good && (!t || t->file != i))
			problem(p, "%s: tensor %s is not in %s, as it says", index, tensor, json_string_value(shard));
	}
}

static void read_index(struct checkpoint *c, const char *folder, const char *index, struct problems *p)
{
	json_t *root = read_json(index, MAX_INDEX, ROOM, p), *map = json_object_get(root, "weight_map"),
		   *number = json_object();
	if (root && !json_is_object(map))
		problem(p, "%s has no weight_map", index);
	read_shards(c, folder, index, map, number, p);
	sort_tensors(c, folder, p);
	check_index(c, index, map, number, p);
	json_decref(number);
	json_decref(root);
}

struct checkpoint *checkpoint_open(const char *folder, struct problems *p)
{
	struct checkpoint *c = host_alloc(1, sizeof *c);
	char *single = join_path(folder, "model.safetensors"), *index = join_path(folder, "model.safetensors.index.json");
	if (access(single, F_OK) == 0) {
		read_file(c, folder, "model.safetensors", p);
		sort_tensors(c, folder, p);
	} else if (access(index, F_OK) == 0) {
		read_index(c, folder, index, p);
	} else {
		problem(p, "%s has neither model.safetensors nor model.safetensors.index.json", folder);
	}
	free(single);
	free(index);
	return c;
}

void checkpoint_close(struct checkpoint *c)
{
	for (int i = 0; c && i < c->n; i++)
		free(c->tensor[i].name);
	for (int i = 0; c && i < c->n_files; i++) {
		if (c->file[i].at)
			munmap(c->file[i].at, c->file[i].bytes);
		free(c->file[i].name);
	}
	if (c) {
		free(c->tensor);
		free(c->file);
	}
	free(c);
}

/* ---- files that change while they are mapped ------------------------------------------------- */
/* One per process. If ranks are threads, the last one to set it is blamed. */
static struct {
	_Atomic(const struct checkpoint *) checkpoint;
	_Atomic(const struct reporter *) reporter;
} guarded;

static const struct file *file_at(const struct checkpoint *c, const unsigned char *at)
{
	for (int i = 0; c && i < c->n_files; i++) {
		const unsigned char *begin = c->file[i].at;
		if (begin && at >= begin && at < begin + c->file[i].bytes)
			return &c->file[i];
	}
	return NULL;
}

/* The fault comes from a read of a mapped page, so the handler may print. */
static void on_bus_error(int number, siginfo_t *info, void *context)
{
	(void)context;
	const struct file *f = file_at(guarded.checkpoint, info->si_addr);
	if (!f) {
		signal(number, SIG_DFL); /* the fault repeats, and ends the process */
		return;
	}
	const struct reporter *r = guarded.reporter;
	if (r)
		rank_fail(r, "%s was truncated while it was in use, or its device failed", f->name);
	say_error("%s was truncated while it was in use, or its device failed", f->name);
	_exit(STATUS_FAILED);
}

void checkpoint_guard(const struct checkpoint *c, const struct reporter *r)
{
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	guarded.checkpoint = c;
	guarded.reporter = r;
	if (c)
		sigaction(SIGBUS, &action, NULL);
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
