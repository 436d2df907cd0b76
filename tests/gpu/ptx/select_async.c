/* Copies that are waited for later: cp.async. */
#include <string.h>
#include "lower.h"

/* cp.async.ca.shared.global [to], [from], size{, bytes}{, policy} */
void select_cp_async(struct lowering *lo, const struct statement *s)
{
	bool hint = has_word(s, "L2::cache_hint"), near = has_word(s, "ca");
	const struct operand_text *o = s->operands;
	operand_count(lo, s, 3 + hint, 4 + hint);
	bool sized = s->n_operands == 4 + hint;
	uint64_t size = o[2].bits;
	if (o[2].kind != OPERAND_INTEGER || !(size == 16 || (near && (size == 4 || size == 8))))
		lower_error(lo, "`%s` of a number of bytes that is not possible", s->name);
	uint32_t ops[3] = {shared_address(lo, &o[0], false), global_address(lo, &o[1])};
	ops[2] = sized ? source(lo, &o[3], 'r') : constant(lo, size, 4);
	if (hint)
		source(lo, &o[s->n_operands - 1], 'L');
	emit(lo, x_cp_async, 0, 3, ops)->count = (uint8_t)size;
}

void select_cp_async_wait(struct lowering *lo, const struct statement *s)
{
	bool all = has_word(s, "wait_all");
	operand_count(lo, s, !all, !all);
	if (!all && (s->operands[0].kind != OPERAND_INTEGER || s->operands[0].bits > 255))
		lower_error(lo, "`%s` needs a small number", s->name);
	struct ins *in = emit(lo, x_cp_async_wait, 0, 0, NULL);
	in->variant = all;
	in->count = all ? 0 : (uint8_t)s->operands[0].bits;
}
