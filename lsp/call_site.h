/* The call, or the braces after the name of a record, that a place of a text is in. Tokens say so: the text need not
 * parse. */
#ifndef DEPLOYC_LSP_CALL_SITE_H
#define DEPLOYC_LSP_CALL_SITE_H
#include "../support/source.h"

struct call_site {
	const char *name;   /* in front of the bracket */
	const char *module; /* in front of the name, `ops.silu(`; NULL: nothing */
	bool braces;        /* `name {`, not `name(` */
	bool declared;      /* the bracket is of a declaration, `op name(` or `plan name {` */
	int before;         /* arguments, or items, between the bracket and the one at the place */
	const char *given;  /* the name in front of the argument's `=`; NULL: there is none */
};
/* The innermost one. Texts are in the arena. false: the place is in none. */
bool call_site_find(struct arena *a, const char *text, size_t size, uint32_t offset, struct call_site *out);
#endif
