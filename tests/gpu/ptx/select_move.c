/* Moves, packing and unpacking; comparisons; permutations of bytes. */
#include <string.h>
#include "lower.h"

/* ---- mov ---- */
static handler *move_of(int size)
{
	return size == 0 ? x_mov_pred : size == 2 ? x_mov_u16 : size == 4 ? x_mov_u32 : x_mov_u64;
}

/* The address of a variable, in its space. */
static bool move_address(struct lowering *lo, const struct statement *s, const struct type *t)
{
	struct place place;
	const struct operand_text *o = &s->operands[1];
	uint32_t ignored;
	if (o->kind != OPERAND_NAME || find_register(lo, o->name, &ignored) || !find_variable_place(lo, o->name, &place))
		return false;
	if (t->size < 4 || t->kind == KIND_FLOAT)
		lower_error(lo, "`%s` of an address", s->name);
	uint32_t d = definition(lo, &s->operands[0], letter_of(t));
	emit(lo, move_of(t->size), 1, 2, (uint32_t[]){d, constant(lo, place.address + o->bits, t->size)});
	return true;
}

static bool move_clock(struct lowering *lo, const struct statement *s, const struct type *t)
{
	const struct operand_text *o = &s->operands[1];
	int size;
	handler *run = o->kind == OPERAND_NAME ? changing_special(o->name, &size) : NULL;
	if (!run)
		return false;
	if (size != t->size)
		lower_error(lo, "`%s` has %d bits", o->name, size * 8);
	uint32_t d = definition(lo, &s->operands[0], letter_of(t));
	emit(lo, run, 1, 1, &d);
	return true;
}

/* mov.b64 %rd, {%r, %r}: `list` is packed into one register, or one register is unpacked into it. */
static void move_vector(struct lowering *lo, const struct statement *s, const struct type *t, bool pack)
{
	const struct operand_text *list = &s->operands[pack ? 1 : 0], *one = &s->operands[pack ? 0 : 1];
	int size = list->n ? t->size / list->n : 0;
	if (t->kind != KIND_BITS || (list->n != 2 && list->n != 4) || size < 2)
		lower_error(lo, "`%s` of %d elements", s->name, list->n);
	handler *const packs[2][3] = {{x_unpack_16x2, x_unpack_32x2, x_unpack_16x4},
	                              {x_pack_16x2, x_pack_32x2, x_pack_16x4}};
	char element = size == 2 ? 'H' : 'R', whole = t->size == 4 ? 'R' : 'L';
	uint32_t ops[5];
	if (pack) {
		ops[0] = definition(lo, one, whole);
		for (int i = 0; i < list->n; i++)
			ops[1 + i] = source(lo, &list->list[i], element);
	} else {
		ops[list->n] = source(lo, one, whole);
		for (int i = 0; i < list->n; i++)
			ops[i] = definition(lo, &list->list[i], element);
	}
	emit(lo, packs[pack][t->size == 4 ? 0 : list->n == 2 ? 1 : 2], pack ? 1 : list->n, list->n + 1, ops);
}

void select_mov(struct lowering *lo, const struct statement *s)
{
	const struct type *t = last_type(s);
	operand_count(lo, s, 2, 2);
	if (s->operands[0].kind == OPERAND_LIST || s->operands[1].kind == OPERAND_LIST) {
		move_vector(lo, s, t, s->operands[1].kind == OPERAND_LIST);
		return;
	}
	if (move_address(lo, s, t) || move_clock(lo, s, t))
		return;
	uint32_t a = source(lo, &s->operands[1], letter_of(t));
	emit(lo, move_of(t->size), 1, 2, (uint32_t[]){definition(lo, &s->operands[0], letter_of(t)), a})->variant = 2;
}

/* ---- comparisons ---- */
static const char *const comparisons[] = {"eq",  "ne",  "lt",  "le",  "gt", "ge", "equ", "neu", "ltu", "leu",
                                          "gtu", "geu", "num", "nan", "lo", "ls", "hi",  "hs",  NULL};

/* The handler compares signed integers when 16 is added. */
static uint8_t comparison_of(const struct statement *s, const struct type *t)
{
	int c = which_word(s, comparisons);
	if (c >= 14)
		c -= 12; /* lo ls hi hs are lt le gt ge of unsigned integers */
	return (uint8_t)(c + (t->kind == KIND_SIGNED ? 16 : 0));
}

static void compare_registers(struct lowering *lo, const struct statement *s, const struct type *t, uint32_t p,
                              uint32_t a, uint32_t b)
{
	static handler *const floats[] = {[F16] = x_setp_f16, [BF16] = x_setp_bf16, [F32] = x_setp_f32, [F64] = x_setp_f64};
	handler *run = t->kind == KIND_FLOAT ? floats[t->number]
	               : t->size == 2        ? x_setp_16
	               : t->size == 4        ? x_setp_32
	                                     : x_setp_64;
	struct ins *in = emit(lo, run, 1, 3, (uint32_t[]){p, a, b});
	in->variant = comparison_of(s, t);
	in->number = t->number;
	if (has_word(s, "ftz")) {
		in->ftz = true;
		in->plain = in->run;
		in->run = x_with_modes;
	}
}

static void compare(struct lowering *lo, const struct statement *s, const struct type *t, uint32_t p, int first)
{
	uint32_t a = source(lo, &s->operands[first], letter_of(t)), b = source(lo, &s->operands[first + 1], letter_of(t));
	compare_registers(lo, s, t, p, a, b);
}

/* setp.lt.f16x2 p|q, a, b: p compares the low halves, q the high ones. */
void select_setp_pair(struct lowering *lo, const struct statement *s)
{
	const struct type *half = type_named(last_type(s)->number == F16X2 ? "f16" : "bf16");
	uint32_t halves[2][2], results[2];
	operand_count(lo, s, 4, 4);
	for (int i = 0; i < 2; i++) {
		uint32_t pair = source(lo, &s->operands[2 + i], 'R');
		halves[i][0] = new_register(lo, 2, KIND_BITS);
		halves[i][1] = new_register(lo, 2, KIND_BITS);
		emit(lo, x_unpack_16x2, 2, 3, (uint32_t[]){halves[i][0], halves[i][1], pair});
	}
	for (int i = 0; i < 2; i++)
		results[i] = definition(lo, &s->operands[i], 'p');
	for (int i = 0; i < 2; i++)
		compare_registers(lo, s, half, results[i], halves[0][i], halves[1][i]);
}

/* setp p|q, a, b, c: p is the comparison and c, q its opposite and c; `and` may be another operation. */
void select_setp(struct lowering *lo, const struct statement *s)
{
	static const char *const names[] = {"and", "or", "xor", NULL};
	static handler *const operations[] = {x_and_pred, x_or_pred, x_xor_pred};
	const struct type *t = last_type(s);
	int operation = which_word(s, names), with = operation >= 0;
	operand_count(lo, s, 3 + with, 4 + with);
	bool two = s->n_operands == 4 + with;
	uint32_t p = definition(lo, &s->operands[0], 'p'), q = two ? definition(lo, &s->operands[1], 'p') : 0;
	uint32_t c = with ? source(lo, &s->operands[3 + two], 'p') : 0;
	uint32_t result = with || two ? new_register(lo, 0, KIND_PREDICATE) : p;
	compare(lo, s, t, result, 1 + two);
	if (two) {
		uint32_t opposite = with ? new_register(lo, 0, KIND_PREDICATE) : q;
		emit(lo, x_not_pred, 1, 2, (uint32_t[]){opposite, result});
		if (with)
			emit(lo, operations[operation], 1, 3, (uint32_t[]){q, opposite, c});
	}
	if (with)
		emit(lo, operations[operation], 1, 3, (uint32_t[]){p, result, c});
	else if (two)
		emit(lo, x_mov_pred, 1, 2, (uint32_t[]){p, result})->variant = 2;
}

/* set.lt.u32.f32 d, a, b: all ones, or 1.0, where it holds. */
void select_set(struct lowering *lo, const struct statement *s)
{
	const struct type *t = last_type(s), *to = type_named(s->words[s->n_words - 2]);
	operand_count(lo, s, 3, 3);
	uint32_t p = new_register(lo, 0, KIND_PREDICATE);
	compare(lo, s, t, p, 1);
	uint32_t yes = constant(lo, to->kind == KIND_FLOAT ? 0x3f800000 : 0xffffffff, 4), no = constant(lo, 0, 4);
	emit(lo, x_selp_32, 1, 4, (uint32_t[]){definition(lo, &s->operands[0], letter_of(to)), yes, no, p});
}

void select_prmt(struct lowering *lo, const struct statement *s)
{
	static const char *const modes[] = {"", "f4e", "b4e", "rc8", "ecl", "ecr", "rc16", NULL};
	uint32_t ops[4];
	operand_count(lo, s, 4, 4);
	for (int i = 1; i < 4; i++)
		ops[i] = source(lo, &s->operands[i], "-RRr"[i]);
	ops[0] = definition(lo, &s->operands[0], 'R');
	emit(lo, x_prmt, 1, 4, ops)->variant = (uint8_t)which_word(s, modes);
}
