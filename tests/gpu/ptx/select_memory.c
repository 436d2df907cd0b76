/* Loads, stores, atomic operations, and instructions about addresses. */
#include <string.h>
#include "lower.h"

static enum space space_of(const struct statement *s)
{
	static const char *const names[] = {"global",          "const", "shared", "shared::cta",
	                                    "shared::cluster", "local", "param",  NULL};
	static const enum space spaces[] = {SPACE_GLOBAL, SPACE_CONST, SPACE_SHARED, SPACE_SHARED,
	                                    SPACE_SHARED, SPACE_LOCAL, SPACE_PARAM};
	int i = which_word(s, names);
	return i < 0 ? SPACE_GENERIC : spaces[i];
}

static enum scope scope_of(const struct statement *s)
{
	return has_word(s, "cta") ? SCOPE_CTA : has_word(s, "sys") || has_word(s, "volatile") ? SCOPE_SYSTEM : SCOPE_GPU;
}

static enum order order_of(const struct statement *s, enum order otherwise)
{
	static const char *const names[] = {"relaxed", "acquire", "release", "acq_rel", "volatile", NULL};
	static const enum order orders[] = {ORDER_RELAXED, ORDER_ACQUIRE, ORDER_RELEASE, ORDER_BOTH, ORDER_RELAXED};
	int i = which_word(s, names);
	return i < 0 ? otherwise : orders[i];
}

/* What an instruction accesses: the operand with the base, what is added, the space. */
struct access {
	uint32_t base;
	uint64_t offset;
	enum space space;
};

static struct access address_of(struct lowering *lo, const struct operand_text *o, enum space space)
{
	struct access a = {constant(lo, 0, 8), o->bits, space};
	struct place place;
	uint32_t op;
	if (o->kind != OPERAND_ADDRESS)
		lower_error(lo, "an operand of `%s` is not an address", lo->s->name);
	if (!o->name)
		return a;
	if (find_register(lo, o->name, &op)) {
		const struct virtual_register *r = register_of(lo, op);
		if (r->kind == KIND_FLOAT
		    || (r->size != 8 && !(r->size == 4 && space != SPACE_GENERIC && space != SPACE_GLOBAL)))
			lower_error(lo, "`%s` cannot be an address of `%s`", o->name, lo->s->name);
		a.base = op;
		return a;
	}
	if (!find_variable_place(lo, o->name, &place))
		lower_error(lo, "`%s` is not declared", o->name);
	/* .param variables of functions are in the frame; without a space, the variable's is meant. */
	bool same = place.space == space || (space == SPACE_PARAM && place.space == SPACE_LOCAL);
	if (!same && space != SPACE_GENERIC)
		lower_error(lo, "`%s` is not in the space of `%s`", o->name, lo->s->name);
	a.space = place.space;
	a.offset += place.address;
	return a;
}

/* Bytes of a base: those that are not registers have 8. */
static int register_size_of(const struct lowering *lo, uint32_t base)
{
	return (base & AREA_MASK) == AREA_REGISTERS ? register_of(lo, base)->size : 8;
}

static void set_access(struct lowering *lo, struct ins *in, const struct access *a, const struct type *t, int count)
{
	in->offset = (int64_t)a->offset;
	in->space = (uint8_t)a->space;
	in->size = t->size;
	in->count = (uint8_t)count;
	in->order = (uint8_t)order_of(lo->s, ORDER_WEAK);
	in->scope = (uint8_t)scope_of(lo->s);
	/* A 32-bit base. */
	uint32_t base = in->op[in->run == x_touch ? 0 : in->n_defs];
	in->variant = register_size_of(lo, base) == 4;
}

static uint32_t whole(struct lowering *lo, const struct access *a)
{
	if (!a->offset && register_size_of(lo, a->base) == 8)
		return a->base;
	uint32_t d = new_register(lo, 8, KIND_BITS);
	handler *run = register_size_of(lo, a->base) == 8 ? x_to_window : x_narrow_sum;
	emit(lo, run, 1, 2, (uint32_t[]){d, a->base})->offset = (int64_t)a->offset;
	return d;
}

uint32_t global_address(struct lowering *lo, const struct operand_text *o)
{
	struct access a = address_of(lo, o, SPACE_GLOBAL);
	return whole(lo, &a);
}

uint32_t generic_address(struct lowering *lo, const struct operand_text *o)
{
	struct access a = address_of(lo, o, SPACE_GENERIC);
	if (a.space == SPACE_PARAM)
		a.offset += PARAM_WINDOW;
	return whole(lo, &a);
}

bool says_shared(const struct statement *s) { return space_of(s) == SPACE_SHARED; }

uint32_t shared_address(struct lowering *lo, const struct operand_text *o, bool generic)
{
	struct access a = address_of(lo, o, generic ? SPACE_GENERIC : SPACE_SHARED);
	if (a.space == SPACE_GENERIC)
		a.offset -= SHARED_WINDOW;
	return whole(lo, &a);
}

/* ---- registers wider than the type ---- */
/* The letter of a data operand: its register may be wider than the type, floats must have the same size. */
static int register_size(const struct lowering *lo, const struct operand_text *o, const struct type *t)
{
	uint32_t op;
	int natural = t->size < 2 ? 2 : t->size;
	if (o->kind != OPERAND_NAME || !strcmp(o->name, "_") || !find_register(lo, o->name, &op))
		return natural;
	int size = register_of(lo, op)->size;
	if (size < natural || (size != natural && (t->kind == KIND_FLOAT || register_of(lo, op)->kind == KIND_FLOAT)))
		lower_error(lo, "`%s` cannot be an operand of `%s`", o->name, lo->s->name);
	return size;
}

static char wide_letter(int size) { return size == 2 ? 'h' : size == 4 ? 'r' : 'l'; }
static enum number integer(int size, bool is_signed)
{
	return size == 1   ? is_signed ? S8 : U8
	       : size == 2 ? is_signed ? S16 : U16
	       : size == 4 ? is_signed ? S32 : U32
	       : is_signed ? S64
	                   : U64;
}

/* Where a load puts an element: the register, or one of the type's size that is then extended into it. */
static uint32_t load_target(struct lowering *lo, const struct operand_text *o, const struct type *t)
{
	int size = register_size(lo, o, t), natural = t->size < 2 ? 2 : t->size;
	if (size != natural)
		return new_register(lo, natural, KIND_BITS);
	return definition(lo, o, t->size == 1 ? 'H' : letter_of(t));
}

static void extend(struct lowering *lo, const struct operand_text *o, const struct type *t, uint32_t from)
{
	int size = register_size(lo, o, t), natural = t->size < 2 ? 2 : t->size;
	if (size == natural)
		return;
	bool is_signed = t->kind == KIND_SIGNED;
	handler *run = cvt_handler(integer(size, is_signed), integer(natural, is_signed));
	emit(lo, run, 1, 2, (uint32_t[]){definition(lo, o, wide_letter(size)), from});
}

static uint32_t store_source(struct lowering *lo, const struct operand_text *o, const struct type *t)
{
	int size = register_size(lo, o, t), natural = t->size < 2 ? 2 : t->size;
	if (size == natural)
		return source(lo, o, t->size == 1 ? 'H' : letter_of(t));
	uint32_t narrow = new_register(lo, natural, KIND_BITS), wide = source(lo, o, wide_letter(size));
	emit(lo, cvt_handler(integer(natural, false), integer(size, false)), 1, 2, (uint32_t[]){narrow, wide});
	return narrow;
}

/* ---- ld, st ---- */
/* The elements of {a, b}, or the one operand. */
static const struct operand_text *elements(struct lowering *lo, const struct statement *s, const struct operand_text *o,
                                           int *n)
{
	*n = has_word(s, "v4") ? 4 : has_word(s, "v2") ? 2 : 1;
	if (*n == 1 && o->kind != OPERAND_LIST)
		return o;
	if (o->kind != OPERAND_LIST || o->n != *n || *n * last_type(s)->size > 16)
		lower_error(lo, "`%s` with %d elements", s->name, o->kind == OPERAND_LIST ? o->n : 1);
	return o->list;
}

/* Two operands, and a cache policy: a promise that changes nothing here. */
static void load_operands(struct lowering *lo, const struct statement *s)
{
	bool hint = has_word(s, "L2::cache_hint");
	operand_count(lo, s, 2 + hint, 2 + hint);
	if (hint)
		source(lo, &s->operands[2], 'L');
}

/* createpolicy.fractional.L2::evict_first.b64 d{, fraction} */
void select_createpolicy(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 1, 2);
	if (s->n_operands == 2)
		source(lo, &s->operands[1], 'f');
	emit(lo, x_mov_u64, 1, 2, (uint32_t[]){definition(lo, &s->operands[0], 'L'), constant(lo, 0, 8)});
}

void select_ld(struct lowering *lo, const struct statement *s)
{
	const struct type *t = last_type(s);
	int n;
	uint32_t ops[5];
	load_operands(lo, s);
	const struct operand_text *to = elements(lo, s, &s->operands[0], &n);
	struct access a = address_of(lo, &s->operands[1], strcmp(s->words[0], "ldu") ? space_of(s) : SPACE_GLOBAL);
	for (int i = 0; i < n; i++)
		ops[i] = load_target(lo, &to[i], t);
	ops[n] = a.base;
	handler *run = t->size == 8             ? x_ld_64
	               : t->size == 4           ? x_ld_32
	               : t->size == 2           ? x_ld_16
	               : t->kind == KIND_SIGNED ? x_ld_s8
	                                        : x_ld_u8;
	struct ins *in = emit(lo, run, n, n + 1, ops);
	set_access(lo, in, &a, t, n);
	in->read_only = has_word(s, "nc") || !strcmp(s->words[0], "ldu");
	for (int i = 0; i < n; i++)
		extend(lo, &to[i], t, ops[i]);
}

void select_st(struct lowering *lo, const struct statement *s)
{
	const struct type *t = last_type(s);
	int n;
	uint32_t ops[5];
	load_operands(lo, s);
	const struct operand_text *from = elements(lo, s, &s->operands[1], &n);
	struct access a = address_of(lo, &s->operands[0], space_of(s));
	if (a.space == SPACE_PARAM || a.space == SPACE_CONST)
		lower_error(lo, "`%s` writes what is read only", s->name);
	ops[0] = a.base;
	for (int i = 0; i < n; i++)
		ops[1 + i] = store_source(lo, &from[i], t);
	handler *run = t->size == 8 ? x_st_64 : t->size == 4 ? x_st_32 : t->size == 2 ? x_st_16 : x_st_8;
	set_access(lo, emit(lo, run, 0, n + 1, ops), &a, t, n);
}

/* prefetch [a]: nothing comes of it, not even a fault. */
void select_touch(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 1, 1);
	struct access a = address_of(lo, &s->operands[0], space_of(s));
	set_access(lo, emit(lo, x_touch, 0, 1, &a.base), &a, type_named("b8"), 1);
}

/* ---- atom, red ---- */
static void select_atomic(struct lowering *lo, const struct statement *s, int first)
{
	static const char *const operations[] = {"add",  "min", "max", "and", "or", "xor",
	                                         "exch", "cas", "inc", "dec", NULL};
	const struct type *t = last_type(s);
	int operation = which_word(s, operations), n = operation == 7 ? 2 : 1;
	uint32_t ops[4];
	operand_count(lo, s, first + 1 + n, first + 1 + n);
	struct access a = address_of(lo, &s->operands[first], space_of(s));
	if (a.space == SPACE_CONST || a.space == SPACE_LOCAL || a.space == SPACE_PARAM)
		lower_error(lo, "`%s` in a space that has no atomic operations", s->name);
	ops[1] = a.base;
	for (int i = 0; i < n; i++)
		ops[2 + i] = source(lo, &s->operands[first + 1 + i], letter_of(t));
	ops[0] = first ? definition(lo, &s->operands[0], letter_of(t)) : new_register(lo, t->size, KIND_BITS);
	handler *run = t->size == 2 ? x_atom_16 : t->size == 4 ? x_atom_32 : x_atom_64;
	struct ins *in = emit(lo, run, 1, 2 + n, ops);
	set_access(lo, in, &a, t, 1);
	in->count = in->variant; /* atoms have one element: this says whether the base has 32 bits */
	in->variant = (uint8_t)operation;
	in->number = t->number;
	in->order = (uint8_t)order_of(s, ORDER_RELAXED);
}

void select_fence(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 0, 0);
	struct ins *in = emit(lo, x_fence, 0, 0, NULL);
	in->order = ORDER_BOTH;
	in->scope = (uint8_t)scope_of(s);
}

void select_atom(struct lowering *lo, const struct statement *s) { select_atomic(lo, s, 1); }
void select_red(struct lowering *lo, const struct statement *s) { select_atomic(lo, s, 0); }

/* ---- addresses ---- */
static uint64_t window_of(enum space space)
{
	return space == SPACE_SHARED  ? SHARED_WINDOW
	       : space == SPACE_LOCAL ? LOCAL_WINDOW
	       : space == SPACE_PARAM ? PARAM_WINDOW
	                              : 0;
}

/* The source of cvta may be a variable. */
static uint32_t address_source(struct lowering *lo, const struct operand_text *o)
{
	struct place place;
	uint32_t ignored;
	if (o->kind == OPERAND_NAME && !find_register(lo, o->name, &ignored) && find_variable_place(lo, o->name, &place))
		return constant(lo, place.address + o->bits, 8);
	return source(lo, o, 'l');
}

void select_cvta(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 2, 2);
	if (last_type(s)->size != 8)
		lower_error(lo, "`%s`: addresses have 64 bits", s->name);
	uint64_t window = window_of(space_of(s));
	handler *run = !window ? x_mov_u64 : has_word(s, "to") ? x_from_window : x_to_window;
	uint32_t a = address_source(lo, &s->operands[1]);
	emit(lo, run, 1, 2, (uint32_t[]){definition(lo, &s->operands[0], 'l'), a})->offset = (int64_t)window;
}

void select_isspacep(struct lowering *lo, const struct statement *s)
{
	operand_count(lo, s, 2, 2);
	uint32_t a = source(lo, &s->operands[1], 'l');
	emit(lo, x_isspace, 1, 2, (uint32_t[]){definition(lo, &s->operands[0], 'p'), a})->space = (uint8_t)space_of(s);
}
