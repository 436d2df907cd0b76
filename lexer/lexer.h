/* bytes -> tokens. Blanks and comments are the gaps between tokens; line ends are a flag of the token behind them:
 * which of them end an item is the parser's to say, since it depends on the brackets around. */
#ifndef DEPLOYC_LEXER_H
#define DEPLOYC_LEXER_H
#include "../support/diag.h"

enum { MAX_SOURCE_BYTES = 16 << 20 };

struct token {
	uint32_t lo, hi; /* bytes of the source; lo == hi: put in by a repair */
	uint16_t kind;   /* parser/grammar.tab.h; 0 is the end of the file */
	uint16_t indent; /* column where its line's first token starts; tabs reach to multiples of 8 */
	bool line_start; /* a line end stands before it */
	bool tainted;    /* next to something reported: a syntax error here only follows from that */
};
struct tokens {
	struct token *at;
	int n, cap;
	bool truncated; /* the rest was given up, with a report */
};

/* All tokens of file `file`, the end of the file included. Reports E0001, E0006, E0009. */
struct tokens lex(struct arena *arena, struct sink *sink, uint32_t file);
#endif
