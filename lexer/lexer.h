/* bytes -> tokens. Spaces and comments are the gaps between tokens; a newline is a flag on the token after it. The
 * parser decides which newlines end an item, since that depends on the brackets around them. */
#ifndef DEPLOYC_LEXER_H
#define DEPLOYC_LEXER_H
#include "../support/diag.h"

enum { MAX_SOURCE_BYTES = 16 << 20 };

struct token {
	uint32_t lo, hi; /* bytes of the source; lo == hi: inserted by a repair */
	uint16_t kind;   /* parser/grammar.tab.h; 0 is the end of the file */
	uint16_t indent; /* column where its line's first token starts; tabs reach to multiples of 8 */
	bool line_start; /* a newline comes before it */
	bool tainted;    /* next to a reported mistake: a syntax error here only follows from that */
};
struct tokens {
	struct token *at;
	int n, cap;
	bool truncated; /* the rest was skipped, with a report */
};

/* All tokens of file `file`, the end of the file included. Reports E0001, E0006, E0009. */
struct tokens lex(struct arena *arena, struct sink *sink, uint32_t file);
#endif
