/* Feeds tokens to the grammar, and inserts a newline token where a newline ends an item. */
#include "build.h"
#include "parser/grammar.tab.h"
#include <string.h>

int deploy_lex(DEPLOY_STYPE *value, struct span *at, struct parser *p);

struct span token_span(const struct parser *p, const struct token *t) { return (struct span){p->file, t->lo, t->hi}; }

char bracket_closer(int kind)
{
	switch (kind) {
	case '(':      return ')';
	case '[':
	case TOK_ATLB: return ']';
	case '{':      return '}';
	default:       return 0;
	}
}

bool is_closer(int kind) { return kind == ')' || kind == ']' || kind == '}'; }

bool ends_item(int kind)
{
	switch (kind) {
	case TOK_IDENT:
	case TOK_NUMBER:
	case TOK_QUANTITY:
	case TOK_STRING:
	case ')':
	case ']':
	case '}':
	case '?':          return true;
#define WORD(token, text, value) \
	case TOK_##token: return value;
#include "../lexer/words.def"
#undef WORD
	default: return false;
	}
}

/* Updates the frames with the last token. Done late, so that at a syntax error they are as before the wrong token. */
static void enter_last(struct parser *p)
{
	if (p->entered)
		return;
	p->entered = true;
	if (bracket_closer(p->last_kind))
		vec_push(p->arena, &p->frames, ((struct frame){p->last_kind, p->next}));
	else if (is_closer(p->last_kind) && p->frames.n > 1)
		p->frames.n--;
	else if (p->last_kind == TOK_NL)
		p->frames.at[p->frames.n - 1].item = p->next;
}

static bool line_end_is_due(const struct parser *p, const struct token *t)
{
	if (p->line_end_due)
		return true;
	bool item_level = p->frames.at[p->frames.n - 1].bracket == '{';
	return t->line_start && item_level && (ends_item(p->last_kind) || p->last_kind == '=');
}

static int give(struct parser *p, int index, int kind)
{
	p->last = index;
	p->last_kind = kind;
	p->entered = false;
	return kind;
}

static int give_line_end(struct parser *p, struct span *at)
{
	uint32_t end = p->next ? p->tokens.at[p->next - 1].hi : 0;
	*at = (struct span){p->file, end, end};
	p->line_end_due = false;
	return give(p, -1, TOK_NL);
}

/* The name of the next token, as it is called today. */
static const char *name_of(struct parser *p, const char *text)
{
	if (p->version < 1 || p->version == this_language.version)
		return text;
	const char *now = language_renamed(&this_language, p->version, text, &p->tokens, p->next);
	return now ? names_str(p->names, now) : text;
}

static void set_value(struct parser *p, const struct token *t, DEPLOY_STYPE *value)
{
	const char *text = p->text + t->lo;
	size_t n = t->hi - t->lo;
	if (t->kind == TOK_IDENT)
		value->TOK_IDENT = (struct ident){name_of(p, names_intern(p->names, text, n)), token_span(p, t)};
	else if (t->kind == TOK_NUMBER)
		value->TOK_NUMBER = arena_strndup(p->arena, text, n);
	else if (t->kind == TOK_QUANTITY)
		value->TOK_QUANTITY = arena_strndup(p->arena, text, n);
	else if (t->kind == TOK_STRING)
		value->TOK_STRING = arena_strndup(p->arena, text, n);
}

/* What the generated parser calls for its next token. */
int deploy_lex(DEPLOY_STYPE *value, struct span *at, struct parser *p)
{
	enter_last(p);
	const struct token *t = &p->tokens.at[p->next];
	if (line_end_is_due(p, t))
		return give_line_end(p, at);
	*at = token_span(p, t);
	set_value(p, t, value);
	int index = p->next;
	if (t->kind)
		p->next++;
	return give(p, index, t->kind);
}

/* `import std.models { ... }`, as in other languages: one report, and the names are imported. */
static void read_imports(struct parser *p)
{
	static const char *const words[] = {"import", "include", "using", "from"};
	for (int i = 0; i + 1 < p->tokens.n; i++) {
		struct token *t = &p->tokens.at[i];
		int next = t[1].kind;
		for (size_t k = 0; k < sizeof words / sizeof *words && t->line_start && t->kind == TOK_IDENT; k++) {
			if (t->indent || t->hi - t->lo != strlen(words[k])
			    || memcmp(p->text + t->lo, words[k], strlen(words[k])) != 0 || t[1].line_start
			    || (next != TOK_IDENT && next != TOK_STRING))
				continue;
			struct diag *d = diag_report(p->sink, DIAG_E0004, token_span(p, t), "unknown kind `%s`", words[k]);
			diag_suggest(p->sink, d, token_span(p, t), "use");
			t->kind = TOK_USE;
		}
	}
}

/* Of a file in a newer language: what it declares is not known. */
static struct nodes unread_items(struct parser *p)
{
	struct node_list *items = NULL;
	return nodes_of(nodes_add(p, items, node_new(p, N_ERROR, token_span(p, &p->tokens.at[0]))));
}

struct nodes parse_module(struct arena *arena, struct names *names, struct sink *sink, uint32_t file)
{
	struct parser p = {
		.arena = arena,
		.names = names,
		.sink = sink,
		.file = file,
		.text = sink->sources->files.at[file].text,
		.tokens = lex(arena, sink, file),
		.last_kind = TOK_NL,
		.entered = true,
		.failed_item = -1,
	};
	int number;
	p.version = language_of(sink, file, &p.tokens, &this_language, &number);
	if (p.version < 0)
		return unread_items(&p);
	read_imports(&p);
	balance_brackets(&p);
	vec_push(arena, &p.frames, ((struct frame){'{', 0}));
	deploy_parse(&p);
	return p.items;
}
