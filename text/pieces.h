/* A text on its way to tokens: pieces of it, in order, some of which are tokens already. */
#ifndef TEXT_PIECES_H
#define TEXT_PIECES_H
#include <stdbool.h>
#include "bytes.h"

struct piece {
	uint32_t at, size; /* in pieces.text */
	int32_t id;        /* the token that it is; -1: text */
	bool first;        /* it begins where the original text begins */
};

struct pieces {
	struct bytes text;
	struct piece *at;
	size_t n, room;
};

static inline void pieces_add(struct pieces *p, struct piece piece)
{
	p->at = text_room(p->at, p->n, &p->room, sizeof *p->at);
	p->at[p->n++] = piece;
}

static inline struct span piece_text(const struct pieces *p, const struct piece *piece)
{
	return (struct span){p->text.at + piece->at, piece->size};
}

static inline void pieces_clear(struct pieces *p) { p->n = p->text.n = 0; }

static inline void pieces_free(struct pieces *p)
{
	bytes_free(&p->text);
	free(p->at);
	*p = (struct pieces){0};
}

/* What becomes of the matches when a piece is cut at them; names as in the file. */
enum behavior {
	BEHAVIOR_REMOVED,
	BEHAVIOR_ISOLATED,
	BEHAVIOR_MERGED_WITH_PREVIOUS,
	BEHAVIOR_MERGED_WITH_NEXT,
	BEHAVIOR_CONTIGUOUS
};

/* Cuts a piece into stretches that match and stretches that do not, given from left to right, and appends the pieces
 * that a behaviour makes of them. Empty ones are left out. */
struct cutter {
	enum behavior behavior;
	bool invert;        /* what is given as a match is not one, and the other way round */
	struct piece whole; /* the piece that is cut */
	struct pieces *out;
	/* the rest is private */
	size_t begin;        /* of the first new piece in out->at */
	size_t done;         /* offset in the piece */
	bool previous, held; /* the last stretch was a match; it waits for the next one */
	size_t held_start, held_end;
};
struct cutter cutter_begin(enum behavior behavior, bool invert, const struct piece *whole, struct pieces *out);
/* A match, by offsets in the piece; what lies between it and the last one does not match. */
void cutter_cut(struct cutter *c, size_t start, size_t end);
void cutter_end(struct cutter *c);
#endif
