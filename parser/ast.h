/* The tree of a .deploy file: what was written, with spans and without meaning.
 * Nodes, names and lists live in the arena of the compilation. A list of nodes is (at, n). */
#ifndef DEPLOYC_AST_H
#define DEPLOYC_AST_H
#include "../support/source.h"

struct ident {
	const char *name;
	struct span span;
}; /* interned */
struct path {
	struct ident *at;
	int n;
	struct span span;
}; /* a.b.c */
struct nodes {
	struct node **at;
	int n;
};
struct idents {
	struct ident *at;
	int n;
};

enum node_kind {
	/* items: what is between newlines */
	N_USE,      /* use std.ops { a, b } | use std.ops as o | use std.ops    -> .use */
	N_USE_FILE, /* use "x.deploy" as x                                      -> .use */
	N_SET,      /* path = expr place                                        -> .set */
	N_FIELD,    /* path : type init                                         -> .field */
	N_SUB,      /* path { body }                                            -> .sub */
	N_NAMED,    /* kind name tail                                           -> .named */
	N_RULE,     /* a * b -> m * n | none | auto                             -> .rule */
	N_RETURN,
	N_REQUIRE,
	N_ASSERT,
	N_PREFER,
	N_MAXIMIZE,
	N_MINIMIZE,    /*         -> .claim */
	N_ASSERT_TYPE, /* assert expr : type                                       -> .claim */
	N_WHEN,        /* when (c) { } else { }                                    -> .when */
	N_ERROR,       /* an item that did not parse: already reported, later passes skip it;
	                * what it would have declared or set, as far as it is known            -> .error */
	/* types */
	N_TYPE, /* path(args)[axes] with each part optional; `opt` for T?   -> .type */
	N_AXES, /* [ ... ]                                                  -> .axes */
	/* items of [ ... ] in a type */
	N_AX,      /* a * b, mark 0 | '+' | '!'                                -> .ax */
	N_AX_AT,   /* a@(m * n)                                                -> .ax */
	N_AX_REST, /* ...t; name "_" for a bare ...                            -> .ident */
	/* stored layout of a tensor in a checkpoint */
	N_STORED, /* [ dim, dim ]: list of N_PROD                             -> .list */
	N_PROD,   /* factor * factor: N_PATH, N_NUM or N_SUM                  -> .list */
	N_SUM,    /* ( piece + piece ): list of N_PIECE                       -> .list */
	N_PIECE,  /* a product, marked with `!` or not                        -> .piece */
	N_PATH,   /* a.b.c                                                    -> .path */
	N_PARAM,  /* name : type = default, in a signature                    -> .field */
	/* expressions */
	N_NUM, /* 10_240, 1e6                                              -> .num */
	N_QTY, /* 80 GiB                                                   -> .num */
	N_STR, /* "..." without quotes, escapes resolved                   -> .text */
	N_TRUE,
	N_FALSE,
	N_NONE,
	N_AUTO,
	N_ID,       /*                                                          -> .ident */
	N_DOT,      /* x.name                                                   -> .dot */
	N_CALL,     /* f(args)                                                  -> .call */
	N_INDEX,    /* x[args]: x[seq -> ctx], list[0]                          -> .call */
	N_REFINE,   /* x { body }                                               -> .sub2 */
	N_RECORD,   /* { body }                                                 -> .list (items) */
	N_LIST,     /* [a, b]                                                   -> .list */
	N_LABEL,    /* call as moe from "mlp"                                   -> .label */
	N_BIN,      /* a op b                                                   -> .bin */
	N_CONTRACT, /* x @[a, b] w                                              -> .contract */
	N_NOT,
	N_NEG,       /*                                                          -> .one */
	N_PER,       /* x per gpu                                                -> .dot */
	N_IF,        /* if c then a else b                                       -> .cond */
	N_ARG_NAMED, /* over = choice, inside a call                             -> .dot (x = value) */
	N_ARG_ARROW, /* seq -> ctx, inside [ ]                                   -> .arrow */
	N_KINDS
};

enum bin_op {
	B_WHERE,
	B_OR,
	B_AND,
	B_LT,
	B_GT,
	B_LE,
	B_GE,
	B_EQ,
	B_NE,
	B_IN,
	B_DIVIDES,
	B_RANGE,
	B_ADD,
	B_SUB,
	B_MUL,
	B_DIV,
	B_MOD,
	B_OPS
};
const char *bin_op_text(enum bin_op op); /* "<=", "divides", ".." */

/* The tail of `kind name tail`. */
enum tail {
	TAIL_BARE,  /* axis batch */
	TAIL_MORE,  /* axis kv_heads, q_group: the further names      .more */
	TAIL_LIKE,  /* axis ctx like seq                              .like */
	TAIL_IS,    /* = expr place                                   .value, .place */
	TAIL_TYPED, /* : type init                                    .type, .value or .from, .stored */
	TAIL_OF,    /* : type { body }                                .type, .body */
	TAIL_LOOP,  /* as name from "prefix" { body }                 .loop_name, .from, .body */
	TAIL_BLOCK, /* { body }                                       .body */
	TAIL_SIG    /* (params) -> type { body }                      .params, .type, .body, .has_body */
};

enum place_kind { PLACE_NONE, PLACE_WITHIN, PLACE_ACROSS };
struct place {
	enum place_kind kind;
	struct path level;
	struct span span;
};

/* The mesh axes that a rule places an axis on, the first outermost. */
struct placement {
	struct path *axes;
	int n; /* 0: none */
	struct span span;
};

/* Only the memory up to the end of the kind's member is allocated, so a node is never copied as a whole (node_new). */
struct node {
	enum node_kind kind;
	struct span span; /* of the whole construct */
	int depth;        /* of an expression: 1 + its deepest operand's; bounded by the parser */
	union {
		struct {
			struct path path;
			const char *file;
			struct ident as;
			struct idents names;
			bool has_names;
		} use; /* as.name NULL if none */
		struct {
			struct path path;
			struct node *value;
			struct place place;
		} set;
		struct {
			struct path path;
			struct node *type, *value;
		} field; /* value NULL if none. N_PARAM: path of one name */
		struct {
			struct path path;
			struct nodes body;
			struct span braces;
		} sub;
		struct {
			struct ident kind;
			struct path name;
			enum tail tail;
			struct span tail_span;
			struct idents more;
			struct path like;
			struct node *value;
			struct place place;
			struct node *type;   /* also the return type of a signature; NULL if none */
			struct node *from;   /* N_STR or N_RECORD (quantised), or NULL */
			struct node *stored; /* N_STORED or NULL */
			struct ident loop_name;
			struct nodes params; /* N_PARAM */
			struct nodes body;
			bool has_body;
		} named;
		struct {
			struct path *lhs;
			int n_lhs;
			struct placement target; /* of `auto`, none */
			bool is_auto;
			struct placement *choices; /* that `auto in [...]` lists */
			int n_choices;
			struct span lhs_span;
			struct nodes options;
		} rule;
		struct {
			struct node *value, *type;
			const char *message;
		} claim; /* message NULL if none */
		struct {
			struct node *cond;
			struct nodes then, other;
			bool has_other;
		} when;
		struct {
			struct path path;
			bool has_path;
			struct nodes args;
			bool has_args;
			struct node *axes;
			bool opt;
		} type;
		struct {
			struct nodes items;
			struct path *pending;
			const char **monoid;
			int n_pending;
		} axes; /* [.. | +m, lse n] */
		struct {
			struct path *factors;
			int n;
			char mark;
			struct path *mesh;
			int n_mesh;
		} ax;
		struct {
			struct node *prod;
			bool marked;
		} piece;
		struct {
			struct ident kind;
			struct path path;
		} error; /* kind.name NULL, path.n 0 where not known */
		struct path path;
		struct ident ident;
		const char *text;
		struct {
			const char *text;
			struct span unit;
		} num; /* as written; unit: the suffix of a quantity */
		struct nodes list;
		struct {
			struct node *x;
			struct ident name;
		} dot;
		struct {
			struct node *f;
			struct nodes args;
		} call;
		struct {
			struct node *base;
			struct nodes body;
			struct span braces;
		} sub2;
		struct {
			struct node *call;
			struct ident name;
			const char *prefix;
		} label;
		struct {
			enum bin_op op;
			struct node *a, *b;
			struct span op_span;
		} bin;
		struct {
			struct node *x, *w;
			struct idents over;
			struct span op_span;
		} contract;
		struct {
			struct node *x;
		} one;
		struct {
			struct node *c, *a, *b;
		} cond;
		struct {
			struct ident from, to;
		} arrow;
	};
};
#endif
