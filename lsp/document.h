/* The texts that a client has open. */
#ifndef DEPLOYC_LSP_DOCUMENT_H
#define DEPLOYC_LSP_DOCUMENT_H
#include <jansson.h>
#include "../support/source.h"

struct analysis;

struct document {
	char *uri;
	char *key; /* the source_key of its file, which need not exist */
	char *text;
	size_t size;
	json_int_t version;
	struct analysis *analysis; /* of this text, or an older one; NULL: none was made */
	bool stale;                /* the text, or one that it uses, changed since the analysis */
	bool unsent;               /* the diagnostics of the analysis were not sent yet */
	bool untimed;              /* its goals are not judged yet */
	int sent;                  /* reports that were sent of it */
	struct document *next;
};

/* The documents own their memory. */
struct document *document_open(const char *uri, struct file_text text, json_int_t version);
void document_free(struct document *d);
/* Replaces bytes [lo, hi) by the text. lo <= hi <= size. */
void document_replace(struct document *d, size_t lo, size_t hi, struct file_text text);

/* The absolute path of a `file:` URI, in the arena; NULL: it is another URI, or no path. */
const char *uri_path(struct arena *a, const char *uri);
const char *path_uri(struct arena *a, const char *path);
#endif
