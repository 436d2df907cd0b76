/* Matrices: mma, ldmatrix, stmatrix, wgmma. */
#include <stdio.h>
#include <string.h>
#include "lower.h"

/* The registers of {..}, which must be n. */
static void fragment(struct lowering *lo, const struct operand_text *o, int n, char letter, bool defines, uint32_t *ops)
{
	if (o->kind != OPERAND_LIST || o->n != n)
		lower_error(lo, "`%s` needs a list of %d registers", lo->s->name, n);
	for (int i = 0; i < n; i++)
		ops[i] = defines ? definition(lo, &o->list[i], letter) : source(lo, &o->list[i], letter);
}

/* mma.sync.aligned.m16n8k<k>.row.col.f32.T.T.f32 d, a, b, c */
void select_mma(struct lowering *lo, const struct statement *s)
{
	uint32_t ops[14];
	int k = has_word(s, "m16n8k16") ? 16 : 8;
	bool tf32 = has_word(s, "tf32");
	int n_a = tf32 ? 4 : k / 4, n_b = tf32 ? 2 : k / 8;
	operand_count(lo, s, 4, 4);
	fragment(lo, &s->operands[1], n_a, 'r', false, ops + 4);
	fragment(lo, &s->operands[2], n_b, 'r', false, ops + 4 + n_a);
	fragment(lo, &s->operands[3], 4, 'f', false, ops + 4 + n_a + n_b);
	fragment(lo, &s->operands[0], 4, 'f', true, ops);
	struct ins *in = emit(lo, x_mma, 4, 8 + n_a + n_b, ops);
	in->size = (uint8_t)k;
	in->number = tf32 ? F32 : has_word(s, "bf16") ? BF16 : F16;
}

/* ldmatrix.sync.aligned.m8n8.x<n>[.trans] {..}, [rows] */
void select_ldmatrix(struct lowering *lo, const struct statement *s)
{
	uint32_t ops[5];
	int n = has_word(s, "x4") ? 4 : has_word(s, "x2") ? 2 : 1;
	operand_count(lo, s, 2, 2);
	ops[n] = shared_address(lo, &s->operands[1], !says_shared(s));
	fragment(lo, &s->operands[0], n, 'R', true, ops);
	emit(lo, x_ldmatrix, n, n + 1, ops)->variant = has_word(s, "trans");
}

/* stmatrix.sync.aligned.m8n8.x<n>[.trans] [rows], {..} */
void select_stmatrix(struct lowering *lo, const struct statement *s)
{
	uint32_t ops[5];
	int n = has_word(s, "x4") ? 4 : has_word(s, "x2") ? 2 : 1;
	operand_count(lo, s, 2, 2);
	ops[0] = shared_address(lo, &s->operands[0], !says_shared(s));
	fragment(lo, &s->operands[1], n, 'R', false, ops + 1);
	emit(lo, x_stmatrix, 0, n + 1, ops)->variant = has_word(s, "trans");
}

/* ---- wgmma ---- */
static void need_specific(const struct lowering *lo)
{
	if (!lo->l->specific)
		lower_error(lo, "`%s` needs .target sm_90a", lo->s->name);
}

/* Columns of m64n<N>k16: 0 if it is not such a shape. */
static int columns_of(const char *shape)
{
	char rest[8] = "";
	int n = 0;
	if (sscanf(shape, "m64n%d%7s", &n, rest) != 2 || strcmp(rest, "k16") || n % 8 || n < 8 || n > 256)
		return 0;
	return n;
}

static uint8_t sign_or_layout(const struct lowering *lo, const struct operand_text *o, bool sign)
{
	bool right = o->kind == OPERAND_INTEGER && (sign ? o->bits == 1 || o->bits + 1 == 0 : o->bits <= 1);
	if (!right)
		lower_error(lo, "`%s` needs a constant here", lo->s->name);
	return sign ? o->bits != 1 : o->bits == 1;
}

/* wgmma.mma_async.sync.aligned.m64n<N>k16.f32.T.T d, a, b, p, sign, sign, layouts: a in registers has no layout */
void select_wgmma(struct lowering *lo, const struct statement *s)
{
	uint32_t ops[MAX_LIST + 6];
	const char *type = last_word(s);
	int n = s->n_words == 8 ? columns_of(s->words[4]) / 2 : 0;
	bool known = n && (!strcmp(type, "bf16") || !strcmp(type, "f16")) && !strcmp(s->words[6], type)
	             && !strcmp(s->words[5], "f32") && !strcmp(s->words[2], "sync") && !strcmp(s->words[3], "aligned");
	if (!known)
		lower_error(lo, "`%s` is not an instruction that is known", s->name);
	need_specific(lo);
	bool in_registers = s->n_operands > 1 && s->operands[1].kind == OPERAND_LIST;
	operand_count(lo, s, in_registers ? 7 : 8, in_registers ? 7 : 8);
	const struct operand_text *o = s->operands;
	int at = n;
	fragment(lo, &o[0], n, 'f', true, ops);
	if (in_registers)
		fragment(lo, &o[1], 4, 'r', false, ops + at);
	else
		ops[at] = source(lo, &o[1], 'l');
	at += in_registers ? 4 : 1;
	ops[at] = source(lo, &o[2], 'l');
	ops[at + 1] = source(lo, &o[3], 'p');
	struct ins *in = emit(lo, x_wgmma, n, at + 2, ops);
	in->partial = true;
	in->variant = in_registers;
	in->number = last_type(s)->number;
	in->round = (uint8_t)(sign_or_layout(lo, &o[4], true) + sign_or_layout(lo, &o[5], true));
	in->size = (uint8_t)(sign_or_layout(lo, &o[s->n_operands - 1], false) << 1);
	if (!in_registers)
		in->size |= sign_or_layout(lo, &o[6], false);
}

void select_wgmma_wait(struct lowering *lo, const struct statement *s)
{
	need_specific(lo);
	operand_count(lo, s, 1, 1);
	if (s->operands[0].kind != OPERAND_INTEGER || s->operands[0].bits > 7)
		lower_error(lo, "`%s` needs a number up to 7", s->name);
	emit(lo, x_wgmma_wait, 0, 0, NULL)->count = (uint8_t)s->operands[0].bits;
}

/* setmaxnreg.inc.sync.aligned.u32 n: registers are not counted while a kernel runs. */
void select_setmaxnreg(struct lowering *lo, const struct statement *s)
{
	need_specific(lo);
	operand_count(lo, s, 1, 1);
	uint64_t n = s->operands[0].bits;
	if (s->operands[0].kind != OPERAND_INTEGER || n % 8 || n < 24 || n > 256)
		lower_error(lo, "`%s` of a number of registers that is not possible", s->name);
	emit(lo, x_nothing, 0, 0, NULL);
}
