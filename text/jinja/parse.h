/* The parser's state, for parse.c (statements) and parse_expression.c. */
#ifndef JINJA_PARSE_H
#define JINJA_PARSE_H
#include "lex.h"
#include "tree.h"

struct parser {
	struct work *w;
	struct tokens_of_template tokens;
	struct token_of_template *at;
	int loops;     /* loops that are open, for break and continue */
	bool in_macro; /* `varargs`, `kwargs` and `caller` are special there */
};

struct node *new_node(struct parser *p, enum node_kind kind);
void add_node(struct parser *p, struct nodes *list, struct node *n);
/* Records how deep the tree below is, once it is complete. */
struct node *finish_node(struct parser *p, struct node *n);

/* parse_expression.c */
bool at_sign(const struct parser *p, const char *sign);
bool at_word(const struct parser *p, const char *word);
/* words: NULL-terminated; may be NULL. */
bool at_any_word(const struct parser *p, const char *const *words);
bool skip_sign(struct parser *p, const char *sign);
bool skip_word(struct parser *p, const char *word);
void expect_sign(struct parser *p, const char *sign);
struct span expect_word(struct parser *p);
_Noreturn void fail_unexpected(struct parser *p);

struct node *parse_expression(struct parser *p);
struct node *parse_condition(struct parser *p); /* without `a if b else c` */
/* One expression, or several, which make a tuple. choice: `a if b else c` is allowed. */
struct node *parse_tuple(struct parser *p, bool choice);
/* What a loop or {% set %} assigns to. */
struct node *parse_target(struct parser *p, bool namespaces);
/* Filters after a block's tag: `first` begins with the name of one. */
struct node *parse_filters(struct parser *p, struct node *in, bool first);
#endif
