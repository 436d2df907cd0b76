/* Variables: declarations with initial values, and their places in memory. */
#include <string.h>
#include "ptx.h"

/* An address in an initial value, known when all variables have their places. */
struct reference {
	struct reference *next;
	struct variable *in;
	const char *name;
	uint32_t at, size;
	uint64_t addend, mask;
	int line;
};

static uint32_t round_up(uint32_t n, uint32_t align) { return (n + align - 1) / align * align; }

/* Cursor over the elements of a variable that a nested list fills. */
struct filling {
	struct variable *v;
	const struct type *type;
	uint32_t at;
};

static void put_reference(struct loader *l, struct filling *f, uint64_t mask)
{
	struct reference *r = arena_take(l->arena, sizeof *r);
	*r = (struct reference){l->references, f->v,         lex_word(l, "a variable"), f->at, f->type->size, 0,
	                        mask,          l->token.line};
	lex_accept(l, ")");
	if (lex_accept(l, "+") || lex_is(l, "-"))
		r->addend = lex_integer(l);
	l->references = r;
}

static void put_number(struct loader *l, struct filling *f)
{
	bool minus = lex_accept(l, "-");
	uint64_t bits = l->token.bits;
	if (l->token.kind == TOKEN_FLOAT && l->token.size > f->type->size) {
		double wide;
		memcpy(&wide, &bits, sizeof wide);
		float narrow = (float)wide;
		uint32_t narrow_bits;
		memcpy(&narrow_bits, &narrow, sizeof narrow);
		bits = narrow_bits;
	} else if (l->token.kind != TOKEN_INTEGER && l->token.kind != TOKEN_FLOAT) {
		load_error(l, l->token.line, "an initial value expected before `%.*s`", l->token.n, l->token.at);
	}
	bool is_float = l->token.kind == TOKEN_FLOAT;
	lex_next(l);
	/* 0xFF00(symbol) is a byte of an address. */
	if (!is_float && lex_accept(l, "(")) {
		put_reference(l, f, bits);
		return;
	}
	if (minus)
		bits = is_float ? bits ^ UINT64_C(1) << (8 * f->type->size - 1) : 0 - bits;
	memcpy(f->v->initial + f->at, &bits, f->type->size);
}

static void put_values(struct loader *l, struct filling *f)
{
	if (lex_accept(l, "{")) {
		while (!lex_accept(l, "}")) {
			put_values(l, f);
			if (!lex_is(l, "}"))
				lex_expect(l, ",");
		}
		return;
	}
	if (f->at + f->type->size > f->v->size)
		load_error(l, l->token.line, "`%s` has more initial values than elements", f->v->name);
	if (lex_accept(l, "generic")) {
		lex_expect(l, "(");
		put_reference(l, f, ~UINT64_C(0));
	} else if (l->token.kind == TOKEN_WORD) {
		put_reference(l, f, ~UINT64_C(0));
	} else {
		put_number(l, f);
	}
	f->at += f->type->size;
}

static const struct type *parse_type(struct loader *l)
{
	char name[16] = "";
	if (l->token.kind == TOKEN_DIRECTIVE && l->token.n <= 15)
		memcpy(name, l->token.at + 1, (size_t)l->token.n - 1);
	const struct type *type = type_named(name);
	if (!type || !type->size)
		load_error(l, l->token.line, "a type expected before `%.*s`", l->token.n, l->token.at);
	lex_next(l);
	return type;
}

/* .ptr .global .align 16 of a kernel's parameter: a promise that nothing checks. */
static void skip_pointer(struct loader *l)
{
	if (!lex_accept(l, ".ptr"))
		return;
	if (lex_is(l, ".global") || lex_is(l, ".shared") || lex_is(l, ".const") || lex_is(l, ".local"))
		lex_next(l);
	if (lex_accept(l, ".align"))
		lex_integer(l);
}

/* [.align A] .type name[N][M] = values */
struct variable *parse_variable(struct loader *l, enum space space)
{
	struct variable *v = arena_take(l->arena, sizeof *v);
	uint32_t align = 0, vector = 1;
	if (lex_accept(l, ".align"))
		align = (uint32_t)lex_integer(l);
	if (lex_is(l, ".v2") || lex_is(l, ".v4")) {
		vector = lex_is(l, ".v2") ? 2 : 4;
		lex_next(l);
	}
	const struct type *type = parse_type(l);
	if (align & (align - 1))
		load_error(l, l->token.line, "an alignment that is not a power of 2");
	skip_pointer(l);
	*v = (struct variable){.space = space, .size = type->size * vector, .align = align ? align : type->size * vector};
	v->name = lex_word(l, "a variable's name");
	while (lex_accept(l, "[")) {
		v->size *= lex_is(l, "]") ? 0 : (uint32_t)lex_integer(l);
		lex_expect(l, "]");
	}
	if (lex_accept(l, "=")) {
		if (space != SPACE_GLOBAL && space != SPACE_CONST)
			load_error(l, l->token.line, "`%s` cannot have an initial value", v->name);
		v->initial = arena_take(l->arena, v->size);
		put_values(l, &(struct filling){v, type, 0});
	}
	return v;
}

/* ---- places ---- */
static struct variable *find_variable(struct loader *l, const char *name)
{
	struct variable *v = l->variables;
	while (v && strcmp(v->name, name))
		v = v->next;
	return v;
}

static void place_device(struct loader *l, enum space space, uint64_t *storage)
{
	uint32_t bytes = 0;
	for (struct variable *v = l->variables; v; v = v->next)
		if (v->space == space) {
			bytes = round_up(bytes, v->align);
			v->address = bytes;
			bytes += v->size;
		}
	if (space == SPACE_CONST && bytes > 65536)
		load_error(l, l->line, "%u bytes of .const variables: 65536 are possible", bytes);
	if (!bytes)
		return;
	*storage = memory_alloc(l->memory, bytes, space == SPACE_CONST);
	if (!*storage)
		load_error_code(l, 2, l->line, "no memory for variables");
	for (struct variable *v = l->variables; v; v = v->next)
		if (v->space == space)
			v->address += *storage;
}

static void fill_variables(struct loader *l)
{
	for (struct reference *r = l->references; r; r = r->next) {
		const struct variable *v = find_variable(l, r->name);
		if (!v)
			load_error(l, r->line, "`%s` is not a variable", r->name);
		uint64_t value = v->address + r->addend;
		/* A mask selects a byte, and shifts it down. */
		if (r->mask != ~UINT64_C(0))
			value = (value & r->mask) >> __builtin_ctzll(r->mask ? r->mask : 1);
		memcpy(r->in->initial + r->at, &value, r->size);
	}
	for (struct variable *v = l->variables; v; v = v->next) {
		if (v->space != SPACE_GLOBAL && v->space != SPACE_CONST)
			continue;
		if (v->initial)
			memcpy(memory_host(v->address), v->initial, v->size);
		else
			memset(memory_host(v->address), 0, v->size);
	}
}

void place_variables(struct loader *l)
{
	place_device(l, SPACE_GLOBAL, &l->module->storage[0]);
	place_device(l, SPACE_CONST, &l->module->storage[1]);
	fill_variables(l);
}
