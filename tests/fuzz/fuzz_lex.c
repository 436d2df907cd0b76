/* Fuzzing: tokens are within the text, in order and without overlaps, and numbers have a value. */
#include <stdlib.h>
#include <string.h>
#include "lexer/lexer.h"
#include "lexer/units.h"
#include "parser/grammar.tab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_token(struct arena *arena, const char *text, const struct token *t)
{
	const char *word = arena_strndup(arena, text + t->lo, t->hi - t->lo);
	struct dims dims;
	long long i;
	double f;
	bool is_int;
	if (t->kind == TOK_QUANTITY)
		quantity_value(word, &dims);
	else if (t->kind == TOK_NUMBER && number_length(word, strlen(word)) != strlen(word))
		abort();
	else if (t->kind == TOK_NUMBER)
		number_value(word, &i, &f, &is_int);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	uint32_t file = sources_add(&sources, "fuzz.deploy", "fuzz.deploy", (const char *)data, size), end = 0;
	struct tokens tokens = lex(&arena, &sink, file);
	for (int i = 0; i < tokens.n; i++) {
		const struct token *t = &tokens.at[i];
		if (t->lo < end || t->hi > size || (t->kind ? t->lo >= t->hi : i != tokens.n - 1))
			abort();
		end = t->hi;
		check_token(&arena, sources.files.at[file].text, t);
	}
	arena_free(&arena);
	return 0;
}
