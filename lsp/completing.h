/* What the files of completion share. */
#ifndef DEPLOYC_LSP_COMPLETING_H
#define DEPLOYC_LSP_COMPLETING_H
#include "complete.h"
#include "find.h"
#include "server.h"

/* CompletionItemKind */
enum item_kind {
	ITEM_FUNCTION = 3,
	ITEM_FIELD = 5,
	ITEM_VARIABLE = 6,
	ITEM_MODULE = 9,
	ITEM_UNIT = 11,
	ITEM_VALUE = 12,
	ITEM_ENUM = 13,
	ITEM_KEYWORD = 14,
	ITEM_SNIPPET = 15,
	ITEM_SYMBOL = 20,
	ITEM_RECORD = 22
};
/* The order in which candidates are shown. */
enum rank { RANK_NEEDED, RANK_LIKELY, RANK_USUAL, RANK_OTHER, RANK_IMPORT };

struct completing {
	struct server *server;
	struct document *document;
	struct analysis *analysis; /* of the text with a name at the cursor */
	struct spot spot;
	uint32_t word, offset;  /* the word in front of the cursor: bytes [word, offset) of the document */
	struct sources sources; /* the document as it is */
	json_t *items;
	struct index labels; /* those that are in `items` */
};

/* A candidate. NULL, 0: it has none. */
struct candidate {
	const char *label;
	enum item_kind kind;
	enum rank rank;
	const char *detail, *comment;
	const char *insert;  /* what is written instead of the label */
	const char *snippet; /* the same with places to fill in, for clients that know them */
	json_t *edits;       /* of other places */
};

/* Adds a candidate, unless its label is there already. Takes its edits. */
void offer(struct completing *c, struct candidate x);
void offer_words(struct completing *c, const char *const *words, enum item_kind kind, enum rank rank);
const char *completing_code(const struct completing *c, struct span at);    /* text of the sources */
const char *completing_comment(const struct completing *c, struct span at); /* of the item there */

/* complete_names.c */
void offer_modules(struct completing *c);
void offer_exports_of(struct completing *c, const struct node *use);
void offer_names(struct completing *c);
bool is_known(const struct completing *c, const char *name); /* in the file */
json_t *insert_edit(const struct completing *c, const char *at, const char *text);
/* After the brace of the file's own list of names of the module; NULL: it has none. *first: its first `use`, or NULL.
 */
const char *import_list(const struct completing *c, const char *module, const char **first);
/* The edits that import a name. */
json_t *import_edit(const struct completing *c, const char *module, const char *name);
#endif
