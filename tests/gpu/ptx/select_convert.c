/* cvt: which conversions there are, which rounding each needs, and registers wider than a type. */
#include <string.h>
#include "lower.h"

static const char *const roundings[] = {"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", NULL};

/* Modifiers before the types: which are there, each at most once and in this order. */
struct modifiers {
	int round; /* of `roundings`, or -1 */
	bool ftz, sat, relu;
};

static struct modifiers read_modifiers(const struct lowering *lo, const struct statement *s)
{
	struct modifiers m = {.round = -1};
	int i = 1, end = s->n_words - 2;
	for (int k = 0; i < end && roundings[k]; k++)
		if (!strcmp(s->words[i], roundings[k])) {
			m.round = k;
			i++;
			break;
		}
	m.ftz = i < end && !strcmp(s->words[i], "ftz") && i++;
	m.sat = i < end && !strcmp(s->words[i], "sat") && i++;
	m.relu = i < end && !strcmp(s->words[i], "relu") && i++;
	if (i != end)
		lower_error(lo, "`%s` is not an instruction that is known", s->name);
	return m;
}

enum need { NEED_NONE, NEED_FLOAT_ROUND, NEED_INTEGER_ROUND, MAY_FLOAT_ROUND, MAY_INTEGER_ROUND };

static enum need rounding_needed(const struct type *to, const struct type *from)
{
	bool to_float = to->kind == KIND_FLOAT, from_float = from->kind == KIND_FLOAT;
	if (!to_float && !from_float)
		return NEED_NONE;
	if (!from_float || (to_float && to->size < from->size))
		return NEED_FLOAT_ROUND;
	if (!to_float)
		return NEED_INTEGER_ROUND;
	if (to->number == from->number)
		return MAY_INTEGER_ROUND;
	return to->size == from->size ? MAY_FLOAT_ROUND : NEED_NONE;
}

/* round: of `roundings`, whose first four are those to a float. */
static bool rounding_fits(enum need need, int round)
{
	switch (need) {
	case NEED_NONE:          return round < 0;
	case NEED_FLOAT_ROUND:   return round >= 0 && round < 4;
	case NEED_INTEGER_ROUND: return round >= 4;
	case MAY_FLOAT_ROUND:    return round < 4;
	default:                 return round < 0 || round >= 4;
	}
}

static void require(const struct lowering *lo, int sm, int version)
{
	if (lo->l->sm < sm || lo->l->version < version)
		lower_error(lo, "`%s` needs sm_%d and PTX %d.%d", lo->s->name, sm, version / 10, version % 10);
}

/* Whether every integer of `from` is one of `to`: there is nothing to saturate then. */
static bool encloses(const struct type *to, const struct type *from)
{
	bool is_signed = to->kind == KIND_SIGNED, of_signed = from->kind == KIND_SIGNED;
	return is_signed == of_signed ? to->size >= from->size : is_signed && to->size > from->size;
}

/* bf16 came in steps: from f32, to f32, and the others. */
static void check_brain(const struct lowering *lo, const struct type *to, const struct type *from,
                        const struct modifiers *m)
{
	bool narrows = to->number == BF16 && from->number == F32, widens = to->number == F32;
	require(lo, (narrows && m->round < 2) || widens ? 80 : 90, narrows && m->round < 2 ? 70 : widens ? 71 : 78);
	if (to->size == 1 || from->size == 1 || (to->number == BF16 && m->sat))
		lower_error(lo, "`%s` is not an instruction that is known", lo->s->name);
}

static void check(const struct lowering *lo, const struct type *to, const struct type *from, const struct modifiers *m)
{
	bool right = rounding_fits(rounding_needed(to, from), m->round);
	bool is_float = to->kind == KIND_FLOAT || from->kind == KIND_FLOAT, f32 = to->number == F32 || from->number == F32;
	if (!right || (m->ftz && !(is_float && f32)))
		lower_error(lo, "`%s` has the wrong rounding", lo->s->name);
	if (m->sat && !is_float && encloses(to, from))
		lower_error(lo, "`%s` has nothing to saturate", lo->s->name);
	if (to->number == BF16 || from->number == BF16) {
		check_brain(lo, to, from, m);
	} else if (m->relu && !(to->number == F16 && from->number == F32 && m->round < 2)) {
		lower_error(lo, "`%s` is not an instruction that is known", lo->s->name);
	}
	if (m->relu)
		require(lo, 80, 70);
}

static void set_modifiers(struct ins *in, const struct modifiers *m, enum number to, enum number from)
{
	bool is_float = to >= F16;
	in->round = (uint8_t)(m->round < 0 ? ROUND_NEAREST : m->round & 3);
	in->variant = m->round >= 4 ? 1 : 0; /* to an integer, though the result may be a float */
	in->ftz = m->ftz;
	in->sat = m->sat;
	in->relu = m->relu;
	in->number = (uint8_t)to;
	in->of_integer = from < F16;
	if (is_float && ((in->round && !in->variant) || m->ftz || m->sat || m->relu)) {
		in->plain = in->run;
		in->run = x_cvt_with_modes;
	}
}

/* cvt.rn.f16x2.f32 d, a, b: a becomes the upper half. */
static void select_pair(struct lowering *lo, const struct statement *s)
{
	const struct type *to = last_type(s), *pair = type_named(s->words[s->n_words - 2]);
	struct modifiers m = read_modifiers(lo, s);
	if (!to || to->number != F32 || m.round < 0 || m.round > 1 || m.ftz || m.sat)
		lower_error(lo, "`%s` is not an instruction that is known", s->name);
	operand_count(lo, s, 3, 3);
	require(lo, 80, 70);
	handler *run = cvt_handler(pair->number == F16X2 ? F16 : BF16, F32);
	uint32_t halves[2];
	for (int i = 0; i < 2; i++) {
		uint32_t a = source(lo, &s->operands[2 - i], 'f');
		halves[i] = new_register(lo, 2, KIND_BITS);
		set_modifiers(emit(lo, run, 1, 2, (uint32_t[]){halves[i], a}), &m, pair->number == F16X2 ? F16 : BF16, F32);
	}
	uint32_t d = definition(lo, &s->operands[0], 'R');
	emit(lo, x_pack_16x2, 1, 3, (uint32_t[]){d, halves[0], halves[1]});
}

/* ---- registers wider than the type: integers and bits only ---- */
static int size_of(const struct lowering *lo, const struct operand_text *o, const struct type *t)
{
	uint32_t op;
	int natural = t->size < 2 ? 2 : t->size;
	if (o->kind != OPERAND_NAME || !find_register(lo, o->name, &op))
		return natural;
	int size = register_of(lo, op)->size;
	return t->kind != KIND_FLOAT && size > natural ? size : natural;
}

static char letter_for(int size, const struct type *t)
{
	return size == (t->size < 2 ? 2 : t->size) ? t->size == 1 ? 'h' : letter_of(t) : size == 4 ? 'r' : 'l';
}

static enum number unsigned_of(int size) { return size == 2 ? U16 : size == 4 ? U32 : U64; }
static enum number signed_of(int size) { return size == 2 ? S16 : size == 4 ? S32 : S64; }

static uint32_t narrow_source(struct lowering *lo, const struct operand_text *o, const struct type *t)
{
	int size = size_of(lo, o, t), natural = t->size < 2 ? 2 : t->size;
	uint32_t wide = source(lo, o, letter_for(size, t));
	if (size == natural)
		return wide;
	uint32_t narrow = new_register(lo, natural, KIND_BITS);
	emit(lo, cvt_handler(unsigned_of(natural), unsigned_of(size)), 1, 2, (uint32_t[]){narrow, wide});
	return narrow;
}

void select_cvt(struct lowering *lo, const struct statement *s)
{
	const struct type *from = last_type(s), *to = s->n_words > 2 ? type_named(s->words[s->n_words - 2]) : NULL;
	if (!from || !to || !from->size || !to->size || from->kind == KIND_BITS || to->kind == KIND_BITS)
		lower_error(lo, "`%s` is not an instruction that is known", s->name);
	if (to->number == F16X2 || to->number == BF16X2) {
		select_pair(lo, s);
		return;
	}
	if (from->number == F16X2 || from->number == BF16X2)
		lower_error(lo, "`%s` is not an instruction that is known", s->name);
	struct modifiers m = read_modifiers(lo, s);
	operand_count(lo, s, 2, 2);
	check(lo, to, from, &m);
	uint32_t a = narrow_source(lo, &s->operands[1], from);
	int size = size_of(lo, &s->operands[0], to), natural = to->size < 2 ? 2 : to->size;
	uint32_t d = definition(lo, &s->operands[0], letter_for(size, to));
	uint32_t result = size == natural ? d : new_register(lo, natural, KIND_BITS);
	set_modifiers(emit(lo, cvt_handler(to->number, from->number), 1, 2, (uint32_t[]){result, a}), &m, to->number,
	              from->number);
	if (result != d) {
		bool is_signed = to->kind == KIND_SIGNED;
		handler *run = is_signed ? cvt_handler(signed_of(size), signed_of(natural))
		                         : cvt_handler(unsigned_of(size), unsigned_of(natural));
		emit(lo, run, 1, 2, (uint32_t[]){d, result});
	}
}

/* Pairs: cvt.rn.satfinite.e4m3x2.f32 d, a, b, where a becomes the upper half; e4m3x2.f16x2 d, a; f16x2.e4m3x2 d, a */
void select_cvt_8(struct lowering *lo, const struct statement *s)
{
	static handler *const runs[2][3] = {{x_cvt_e4m3_f32, x_cvt_e4m3_f16, x_cvt_f16_e4m3},
	                                    {x_cvt_e5m2_f32, x_cvt_e5m2_f16, x_cvt_f16_e5m2}};
	bool of_f32 = !strcmp(last_word(s), "f32"), widens = !has_word(s, "satfinite");
	uint32_t ops[3];
	operand_count(lo, s, 2 + of_f32, 2 + of_f32);
	for (int i = 1; i < s->n_operands; i++)
		ops[i] = source(lo, &s->operands[i], of_f32 ? 'f' : widens ? 'H' : 'R');
	ops[0] = definition(lo, &s->operands[0], widens ? 'R' : 'H');
	handler *run = runs[has_word(s, "e5m2x2")][of_f32 ? 0 : widens ? 2 : 1];
	emit(lo, run, 1, s->n_operands, ops)->relu = has_word(s, "relu");
}
