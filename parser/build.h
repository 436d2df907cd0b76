/* What the grammar's actions call: one constructor per construct. Shared by the files of parser/ only. */
#ifndef DEPLOYC_BUILD_H
#define DEPLOYC_BUILD_H
#include "parser.h"
#include "../lexer/lexer.h"
#include "language.h"

enum { MAX_BRACKETS = 200, MAX_OPERATORS = 1000, MAX_SYNTAX_ERRORS = 500 };

/* Growing lists of the grammar; the tree gets their (at, n). */
struct node_list {
	struct node **at;
	int n, cap;
};
struct ident_list {
	struct ident *at;
	int n, cap;
	struct span span;
};
struct path_list {
	struct path *at;
	int n, cap;
	struct span span;
};
struct pending_list {
	struct path *path;
	const char **monoid;
	int n, n_monoid, cap, cap_monoid;
};

struct init {
	struct node *value, *from, *stored;
	struct span span;
}; /* what follows a type */
struct target {
	struct path_list *paths; /* NULL: none */
	bool is_auto;
	struct target_list *choices; /* of `auto in [...]`; NULL: nobody listed them */
	struct span span;
};
struct target_list {
	struct placement *at;
	int n, cap;
};
struct message {
	const char *text;
}; /* NULL: none */

/* One open `{`, or the file: where its current item starts, as an index of tokens. */
struct frame {
	int bracket, item;
};

struct parser {
	struct arena *arena;
	struct names *names;
	struct sink *sink;
	uint32_t file;
	const char *text;
	struct tokens tokens; /* brackets balanced by brackets.c */
	int version;          /* of the language; 0: it is not understood */
	struct nodes items;   /* the result */

	int next;      /* index of the next token */
	int last;      /* index of the token passed last to the grammar; -1 after an inserted newline */
	int last_kind; /* kind of the token passed last, inserted ones included */
	bool entered;  /* the frames have seen it */
	VEC(struct frame) frames;
	bool line_end_due; /* set by recovery: a newline comes next, whatever the brackets around it */
	int failed_item;   /* start of the item whose mistake was reported last, or -1 */
	int syntax_errors;

	bool item_failed; /* an expression at the offset was rejected: its item becomes N_ERROR */
	uint32_t failed_at;
};

/* ---- brackets.c ------------------------------------------------------------------------------ */
/* Gives every bracket its partner: reports E0003 for a missing one and inserts it, drops closers without an opener. */
void balance_brackets(struct parser *p);

/* ---- parse.c --------------------------------------------------------------------------------- */
struct span token_span(const struct parser *p, const struct token *t);
char bracket_closer(int kind); /* of `(`, `[`, `@[` and `{`; 0 for other tokens */
bool is_closer(int kind);
bool ends_item(int kind); /* a newline after such a token ends the item */

/* ---- recover.c ------------------------------------------------------------------------------- */
/* After a syntax error: moves on to the end of the item in the innermost `{`. */
void resume_at_item_end(struct parser *p);
/* The first token of a line in the wrong item, up to the wrong token, that looks like a new item; or -1. */
int swallowed_item(const struct parser *p);
int item_start(const struct parser *p); /* index of the first token of the innermost item */

/* ---- syntax_error.c -------------------------------------------------------------------------- */
/* Reports that one of the `expected` tokens (the grammar's names for them) should be in place of `found`, and resumes.
 */
void syntax_error(struct parser *p, const char *found, struct span at, const char *const *expected, int n);
void stack_exhausted(struct parser *p, struct span at);

/* ---- habit.c --------------------------------------------------------------------------------- */
/* Each adds the help and the edit for one habit at the wrong token `t`. false: it is not that habit. */
bool help_with_foreign_syntax(struct parser *p, struct diag *d, const struct token *t);
bool help_with_thousands(struct parser *p, struct diag *d, const struct token *number, const struct token *word);
const char *unit_by_habit(const char *word); /* the unit that other languages or manifests spell so, or NULL */
/* Reports E0010 for flags of a command line that start at `t`. */
bool report_flags(struct parser *p, const struct token *t);

/* ---- build_item.c ---------------------------------------------------------------------------- */
struct node_list *items_add(struct parser *p, struct node_list *items, struct node *item);
struct node *item_error(struct parser *p, struct span at);
struct node *item_use(struct parser *p, struct span at, struct path path, struct node *tail);
struct node *use_as(struct parser *p, struct span at, struct ident as);
struct node *use_names(struct parser *p, struct span at, struct ident_list *names);
struct node *use_damaged(struct parser *p, struct span at); /* imports the names found there all the same */
struct node *item_use_file(struct parser *p, struct span at, const char *file, struct ident as);
struct node *item_set(struct parser *p, struct span at, struct path path, struct node *value, struct place place);
struct node *item_field(struct parser *p, struct span at, struct path path, struct node *type, struct init init);
struct node *item_sub(struct parser *p, struct span at, struct path path, struct span braces, struct node_list *body);
struct node *item_named(struct parser *p, struct span at, struct ident kind, struct path name, struct node *tail);
struct node *item_rule(struct parser *p, struct span at, struct path_list *lhs, struct target to,
                       struct node_list *options);
struct node *item_claim(struct parser *p, struct span at, enum node_kind kind, struct node *value, struct message m);
struct node *item_assert_type(struct parser *p, struct span at, struct node *value, struct node *type);
struct node *item_when(struct parser *p, struct span at, struct node *cond, struct node_list *then,
                       struct node_list *other);
struct node *tail_bare(struct parser *p, struct span at);
struct node *tail_more(struct parser *p, struct span at, struct ident_list *more);
struct node *tail_like(struct parser *p, struct span at, struct path like);
struct node *tail_is(struct parser *p, struct span at, struct node *value, struct place place);
struct node *tail_typed(struct parser *p, struct span at, struct node *type, struct init init);
struct node *tail_of(struct parser *p, struct span at, struct node *type, struct node_list *body);
struct node *tail_loop(struct parser *p, struct span at, struct ident name, struct node *from, struct node_list *body);
struct node *tail_block(struct parser *p, struct span at, struct node_list *body);
struct node *tail_sig(struct parser *p, struct span at, struct node_list *params, struct node *ret,
                      struct node_list *body);
struct place place_of(enum place_kind kind, struct path level, struct span at);
struct target target_of(struct path_list *paths, struct span at); /* NULL: none */
struct target target_auto(struct target_list *choices, struct span at);
struct target_list *targets_add(struct parser *p, struct target_list *list, struct target one);

/* ---- build_type.c ---------------------------------------------------------------------------- */
struct node *type_named(struct parser *p, struct span at, struct path path, struct node_list *args, struct node *axes);
struct node *type_axes(struct parser *p, struct span at, struct node *axes);
struct node *type_optional(struct node *type, struct span at);
struct node *axes_of(struct parser *p, struct span at, struct node_list *items, struct pending_list *pending);
struct pending_list *pending_add(struct parser *p, struct pending_list *list, const char *monoid, struct path path);
struct node *ax_product(struct parser *p, struct span at, struct path_list *factors);
struct node *ax_marked(struct parser *p, struct span at, struct path path, char mark);
struct node *ax_placed(struct parser *p, struct span at, struct path path, struct path_list *mesh);
struct node *ax_rest(struct parser *p, struct span at, const char *name);
struct node *param_of(struct parser *p, struct span at, struct ident name, struct node *type, struct node *value);
struct node *list_node(struct parser *p, struct span at, enum node_kind kind, struct node_list *list);
struct node *stored_path(struct parser *p, struct span at, struct path path);
struct node *stored_piece(struct parser *p, struct span at, struct node_list *product, bool marked);

/* ---- build_expr.c ---------------------------------------------------------------------------- */
struct node *expr_number(struct parser *p, struct span at, const char *text);
struct node *expr_quantity(struct parser *p, struct span at, const char *text);
struct node *expr_string(struct parser *p, struct span at, const char *text);
struct node *expr_word(struct parser *p, struct span at, enum node_kind kind);
struct node *expr_name(struct parser *p, struct ident name);
struct node *expr_dot(struct parser *p, struct span at, enum node_kind kind, struct node *x, struct ident name);
struct node *expr_call(struct parser *p, struct span at, enum node_kind kind, struct node *f, struct node_list *args);
struct node *expr_refine(struct parser *p, struct span at, struct node *base, struct span braces,
                         struct node_list *body);
struct node *expr_label(struct parser *p, struct span at, struct node *call, struct ident name, struct node *prefix);
struct node *expr_binary(struct parser *p, struct span at, enum bin_op op, struct node *a, struct span op_at,
                         struct node *b);
struct node *expr_contract(struct parser *p, struct span at, struct node *x, struct span op_at, struct ident_list *over,
                           struct node *w);
struct node *expr_unary(struct parser *p, struct span at, enum node_kind kind, struct node *x);
struct node *expr_if(struct parser *p, struct span at, struct node *c, struct node *a, struct node *b);
struct node *expr_list(struct parser *p, struct span at, struct node_list *args);
struct node *arg_arrow(struct parser *p, struct span at, struct ident from, struct ident to);

/* ---- build.c --------------------------------------------------------------------------------- */
struct node *node_new(struct parser *p, enum node_kind kind, struct span at);
void fail_item(struct parser *p, struct span at);    /* a mistake was reported: the item at `at` becomes N_ERROR */
struct nodes nodes_of(const struct node_list *list); /* of NULL: none */
int node_depth(const struct node *x);                /* 0 for NULL */
int nodes_depth(struct nodes list);                  /* of the deepest */
struct node_list *nodes_add(struct parser *p, struct node_list *list, struct node *x); /* list NULL: a new one */
struct ident_list *idents_add(struct parser *p, struct ident_list *list, struct ident x);
struct path_list *paths_add(struct parser *p, struct path_list *list, struct path x);
struct path_list *paths_of_name(struct parser *p, struct ident name);
struct path path_of(const struct ident_list *names);
const char *string_value(struct parser *p, struct span at, const char *quoted); /* without quotes, escapes resolved */
#endif
