/* Post-processors: the tokens that are added to the tokens of a text. */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H
#include "field.h"

struct template
{
	struct token_ids before, after;
	bool read; /* the file has one */
};

/* Reads the field `post_processor`; false: refused. The caller frees *t either way. */
bool template_read(const struct field *f, struct template *t);
void template_free(struct template *t);
#endif
