/* What the files of the formatter share: the module as pieces, tokens and comments, in lines. */
#ifndef DEPLOYC_FORMAT_PIECES_H
#define DEPLOYC_FORMAT_PIECES_H
#include "../lexer/lexer.h"

enum { COMMENT = -1, NOWHERE = -1 };

struct piece {
	uint32_t lo, hi; /* bytes of the source; a comment's trailing spaces are left out */
	int kind;        /* of the token, or COMMENT */
	int line;
	int opener; /* the innermost bracket around it; for a closing bracket, its partner; NOWHERE: none */
	int closer; /* for an opening bracket, its partner */
	int item;   /* the piece that starts the innermost item around it, or NOWHERE */
	int hang;   /* for a piece that starts an item: where further lines of the item align, or NOWHERE */
	int base;   /* for an opening bracket: the indentation that its closer returns to */
	int gap;    /* spaces before it, except for the first of a line */
	int column;
	bool starts_item;
	bool holds_names; /* the `{` of `use std.ops { a, b }` */
};
struct line {
	int first, n; /* pieces */
	int indent;
	bool blank_before; /* a blank line is written before it */
	bool attached;     /* only a comment, in the column of the trailing comment above: it continues that comment */
};
struct module_text {
	struct arena *arena;
	const char *text;
	VEC(struct piece) pieces;
	VEC(struct line) lines;
};

/* format_pieces.c */
struct module_text module_pieces(struct arena *arena, const struct source *source, struct tokens tokens);
const struct piece *piece_at(const struct module_text *m, int i);         /* NULL outside the module */
bool holds_items(const struct module_text *m, int opener);                /* the bracket, or the file for NOWHERE */
int line_end(const struct line *l);                                       /* one past its last piece */
bool ends_in_comment(const struct module_text *m, const struct line *l);  /* `a = 1  // like this` */
bool has_long_comment(const struct module_text *m, const struct line *l); /* one of several lines */
int piece_width(const struct module_text *m, int i, int column);          /* from `column` to the column after it */

/* format_space.c: sets the gaps inside all lines. */
void space_pieces(struct module_text *m);

/* format_align.c: widens gaps so that parts of neighbouring lines align. */
void align_items(struct module_text *m);
/* Moves trailing comments of neighbouring lines into one column, once lines are laid out. */
void align_comments(struct module_text *m);
#endif
