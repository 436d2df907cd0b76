/* Loads a module: memory of the load, types, the passes in their order. */
#include <stdlib.h>
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "ptx.h"

/* ---- memory ---- */
enum { CHUNK = 1 << 16, ALIGN = 64 };
struct chunk {
	struct chunk *next;
	size_t bytes;
	_Alignas(ALIGN) unsigned char data[];
};

void *arena_take(struct arena *a, size_t bytes)
{
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	if (bytes > a->left) {
		size_t room = bytes > CHUNK ? bytes : CHUNK;
		struct chunk *c = aligned_alloc(ALIGN, (sizeof *c + room + ALIGN - 1) / ALIGN * ALIGN);
		memset(c->data, 0, room);
		*c = (struct chunk){.next = a->chunks, .bytes = room};
		a->chunks = c;
		a->left = room;
	}
	a->left -= bytes;
	return a->chunks->data + a->left;
}

const char *arena_text(struct arena *a, const char *from, size_t n)
{
	char *text = arena_take(a, n + 1);
	memcpy(text, from, n);
	return text;
}

void arena_drop(struct arena *a)
{
	while (a->chunks) {
		struct chunk *c = a->chunks;
		a->chunks = c->next;
		free(c);
	}
	a->left = 0;
}

/* ---- types ---- */
static const struct type types[] = {
	{"b8", 1, KIND_BITS, U8},      {"u8", 1, KIND_UNSIGNED, U8},    {"s8", 1, KIND_SIGNED, S8},
	{"b16", 2, KIND_BITS, U16},    {"u16", 2, KIND_UNSIGNED, U16},  {"s16", 2, KIND_SIGNED, S16},
	{"b32", 4, KIND_BITS, U32},    {"u32", 4, KIND_UNSIGNED, U32},  {"s32", 4, KIND_SIGNED, S32},
	{"b64", 8, KIND_BITS, U64},    {"u64", 8, KIND_UNSIGNED, U64},  {"s64", 8, KIND_SIGNED, S64},
	{"f16", 2, KIND_FLOAT, F16},   {"bf16", 2, KIND_FLOAT, BF16},   {"f32", 4, KIND_FLOAT, F32},
	{"f64", 8, KIND_FLOAT, F64},   {"f16x2", 4, KIND_FLOAT, F16X2}, {"bf16x2", 4, KIND_FLOAT, BF16X2},
	{"pred", 0, KIND_PREDICATE, 0}};

const struct type *type_named(const char *name)
{
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (!strcmp(types[i].name, name))
			return &types[i];
	return NULL;
}

/* ---- passes ---- */
static void make_kernels(struct loader *l)
{
	struct kernel **last = &l->module->kernels;
	for (struct function *f = l->functions; f; f = f->next) {
		if (f->external)
			continue;
		/* A function that is only called is made too, so that what is wrong in it is reported. */
		struct kernel *k = arena_take(l->arena, sizeof *k);
		lower_kernel(l, f, k);
		if (f->entry) {
			*last = k;
			last = &k->next;
		}
	}
}

/* false: `l` has the error. */
static bool run_passes(struct loader *l)
{
	if (setjmp(l->failed))
		return false;
	parse_module(l);
	place_variables(l);
	make_kernels(l);
	l->module->variables = l->variables;
	return true;
}

struct module *module_load(const char *text, struct memory *memory, int sm, int *code, char *error, size_t error_size)
{
	struct module *m = calloc(1, sizeof *m);
	m->memory = memory;
	m->text = arena_text(&m->arena, text, strlen(text));
	struct loader l = {.arena = &m->arena, .module = m, .memory = memory, .device_sm = sm, .at = m->text, .line = 1};
	l.last_variable = &l.variables;
	l.code = CUDA_ERROR_INVALID_PTX;
	l.error = error;
	l.error_size = error_size;
	error[0] = 0;
	bool loaded = run_passes(&l);
	*code = loaded ? CUDA_SUCCESS : l.code;
	if (loaded)
		return m;
	module_drop(m);
	return NULL;
}

void module_drop(struct module *m)
{
	for (int i = 0; i < 2; i++)
		if (m->storage[i])
			memory_free(m->memory, m->storage[i]);
	arena_drop(&m->arena);
	free(m);
}
