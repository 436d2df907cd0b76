/* A template as a tree, and what reads it. */
#ifndef JINJA_TREE_H
#define JINJA_TREE_H
#include "values.h"

enum node_kind {
	/* expressions */
	N_CONST,
	N_NAME,
	N_LIST,
	N_TUPLE,
	N_DICT,      /* list: key, value, key, value ... */
	N_ATTRIBUTE, /* a.name */
	N_ITEM,      /* a[b] */
	N_SLICE,     /* a[list[0]:list[1]:list[2]]; NULL: left out */
	N_CALL,      /* a(arguments) */
	N_FILTER,    /* a | function(arguments); a NULL: the text of a block */
	N_TEST,      /* a is function(arguments) */
	N_NEGATIVE,
	N_POSITIVE,
	N_NOT,
	N_AND,
	N_OR,
	N_BINARY,  /* a op b; op: one of + - * / % p (**) d (//) */
	N_CONCAT,  /* list, by ~ */
	N_COMPARE, /* a ops[0] list[0] ops[1] list[1] ... */
	N_CHOICE,  /* b if a else c; c may be NULL */
	/* statements */
	N_TEXT,
	N_PRINT,    /* {{ a }} */
	N_IF,       /* a: body, else other */
	N_FOR,      /* for target in a if b: body, else other */
	N_SET,      /* target = a */
	N_SET_TEXT, /* target = body, through filters b, which may be NULL */
	N_FILTERED, /* body through filters b */
	N_SCOPE,    /* body with names of its own */
	N_MACRO,    /* name(list = parameters), body */
	N_BREAK,
	N_CONTINUE,
};

/* Comparisons, as ops of N_COMPARE. */
enum comparison {
	OP_EQ = '=',
	OP_NE = '!',
	OP_LT = '<',
	OP_GT = '>',
	OP_LE = 'l',
	OP_GE = 'g',
	OP_IN = 'i',
	OP_NOT_IN = 'n'
};

struct nodes {
	struct node **at;
	size_t n;
};

struct names {
	struct span *at;
	size_t n;
};

struct argument_nodes {
	struct nodes positional, named;
	struct span *names; /* of `named` */
};

struct node {
	enum node_kind kind;
	int line;
	int depth; /* of the tree below: an evaluation takes that much */
	char op;
	struct span name; /* N_NAME, N_ATTRIBUTE, N_MACRO; N_TEXT: the text */
	struct value value;
	struct node *a, *b, *c;
	struct node *target; /* N_NAME, N_TUPLE, or N_ATTRIBUTE of a namespace's N_NAME */
	struct nodes list, body, other;
	struct names hidden, hidden_other; /* by body, by other: see frames.h */
	char *ops;
	const struct builtin *function;
	struct argument_nodes arguments;
};

/* Reads a template; fails with a mistake or what is not supported. Texts of the tree are in the work's memory. */
struct nodes parse_template(struct work *w, struct span source);
#endif
