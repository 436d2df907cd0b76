/* What the scanner makes of texts: a letter for each byte of standard input. n: of a number or quantity, s: string,
 * w: reserved word, v: reserved word that is a value, i: name, o: other tokens, c: between tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lexer/lexer.h"
#include "parser/grammar.tab.h"

static char letter(int kind)
{
	switch (kind) {
#define WORD(token, text, value) \
	case TOK_##token: return value ? 'v' : 'w';
#include "lexer/words.def"
#undef WORD
	case TOK_NUMBER:
	case TOK_QUANTITY: return 'n';
	case TOK_STRING:   return 's';
	case TOK_IDENT:    return 'i';
	default:           return 'o';
	}
}

int main(void)
{
	struct arena arena = {0};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct file_text text;
	if (!file_read(&arena, NULL, &text))
		return 1;
	struct tokens tokens = lex(&arena, &sink, sources_add(&sources, "-", "-", text.at, text.size));
	char *letters = arena_alloc(&arena, text.size + 1);
	memset(letters, 'c', text.size);
	for (int i = 0; i < tokens.n; i++)
		memset(letters + tokens.at[i].lo, letter(tokens.at[i].kind), tokens.at[i].hi - tokens.at[i].lo);
	fwrite(letters, 1, text.size, stdout);
	arena_free(&arena);
	return sink.errors > 0;
}
