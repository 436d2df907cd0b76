/* The documentation of modules, as read from their sources, and its two forms. */
#ifndef DEPLOYC_DOC_H
#define DEPLOYC_DOC_H
#include <stdbool.h>
#include <stdio.h>
#include "../sema/sema.h"

/* Text: lines of a comment without slashes, or "". Code: as written in the source. */
struct doc_field {
	const char *name, *type, *value, *text;
}; /* code, code or "", code or "", text */
struct doc_size {
	double params, active, weights, position, windows;
}; /* parameters; bytes; bytes of cache per position, and of those the ones within a window */
struct doc_item {
	const char *kind, *name;
	const char *code;         /* the head, or all of a short item; "" for none */
	const char *text, *whole; /* whole: all of its code */
	VEC(struct doc_field) fields;
	VEC(const struct doc_item *) uses; /* other documented items, in order of first use */
	bool sized;
	struct doc_size size;
	const struct doc_module *module;
};
struct doc_import {
	const char *local, *module, *name;
}; /* name NULL: the module itself, `use ... as local` */
struct doc_module {
	const char *name, *text; /* "std.ops"; the comment at its top */
	VEC(struct doc_item *) items;
	struct index item_index;
	VEC(struct doc_import) imports;
	struct index import_index;
};
struct docs {
	struct arena *arena;
	VEC(struct doc_module *) modules;
};

/* comment.c: lines without slashes, in the arena; "": there is no comment. */
/* That of what is at bytes [lo, hi): `///` lines right above its line, and `//` after it on its last line. */
const char *doc_comment(struct arena *a, const struct source *f, uint32_t lo, uint32_t hi);
/* The `//` comment after byte `at` on its line, with the lines below that continue it in the same column. */
const char *doc_comment_beside(struct arena *a, const struct source *f, uint32_t at);
/* Adds the text of the comment at `at`, which starts with `slashes` slashes; one space after them is not text. */
void doc_add_line(struct text *out, const char *text, uint32_t at, int slashes);
uint32_t doc_next_line(const char *text, uint32_t at); /* the first byte of the line after that of `at` */

/* read.c */
/* Adds the loaded module, which has no mistakes. */
void docs_add(struct docs *d, struct sema *s, const struct source *source, const char *name);
/* link.c */
/* The item that a name in the module's code refers to, `silu` or `ops.silu`; *length: bytes of the name. NULL: it is
 * not documented. */
const struct doc_item *docs_find(const struct docs *d, const struct doc_module *m, const char *code, size_t *length);
/* Bytes of code that contain no name to link: a comment, a string, a field after its dot. Never past the end. */
size_t doc_opaque(const char *code);
/* Sets `uses` of all items, after all modules are added. */
void docs_link(struct docs *d);
const char *doc_anchor(struct arena *a, const struct doc_item *item);
const char *doc_first_sentence(struct arena *a, const char *text);
const char *doc_size_text(struct arena *a, const struct doc_item *item);

/* markdown.c, html.c */
struct doc_form {
	const char *suffix, *index_name; /* ".md", "README" */
	void (*module)(const struct docs *d, const struct doc_module *m, FILE *out);
	void (*index)(const struct docs *d, FILE *out);
};
extern const struct doc_form doc_markdown, doc_html;
#endif
