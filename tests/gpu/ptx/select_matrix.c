/* Matrices: mma, ldmatrix. */
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
	ops[n] = shared_address(lo, &s->operands[1], !has_word(s, "shared") && !has_word(s, "shared::cta"));
	fragment(lo, &s->operands[0], n, 'R', true, ops);
	emit(lo, x_ldmatrix, n, n + 1, ops)->variant = has_word(s, "trans");
}
