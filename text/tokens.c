/* Lists of ids, and the tokens of bytes. */
#include "tokens.h"

void ids_add(struct token_ids *ids, int32_t id)
{
	ids->at = text_room(ids->at, ids->n, &ids->room, sizeof *ids->at);
	ids->at[ids->n++] = id;
}

bool bytes_encode(const struct byte_tokens *b, struct span s, struct token_ids *out)
{
	for (size_t i = 0; i < s.n; i++)
		if (b->id[(unsigned char)s.at[i]] < 0)
			return false;
	for (size_t i = 0; i < s.n; i++)
		ids_add(out, b->id[(unsigned char)s.at[i]]);
	return true;
}
