/* A template as tokens. */
#ifndef JINJA_LEX_H
#define JINJA_LEX_H
#include "values.h"

enum token_kind {
	T_END,
	T_TEXT, /* `text`, between tags */
	T_PRINT,
	T_PRINT_END,
	T_BLOCK,
	T_BLOCK_END,
	T_WORD,    /* `text`: a name or a keyword */
	T_LITERAL, /* `value`: a string or a number */
	T_SIGN,    /* `text`: an operator or a bracket */
};

struct token_of_template {
	enum token_kind kind;
	int line;
	struct span text; /* T_LITERAL too: as written */
	struct value value;
};

struct tokens_of_template {
	struct token_of_template *at;
	size_t n, room; /* the last is T_END */
};

void lex_template(struct work *w, struct span source, struct tokens_of_template *out);
#endif
