/* What the files of hover share. */
#ifndef DEPLOYC_LSP_HOVER_H
#define DEPLOYC_LSP_HOVER_H
#include "find.h"
#include "server.h"

struct hover {
	struct server *server;
	struct analysis *analysis;
	struct spot spot;
	struct name_at name;
	struct text out;
};

/* hover_moves.c: a table of the collectives that a program value causes, by what it is computed from and by what reads
 * it, with their bytes and times. */
void hover_moves(struct hover *h, const struct planned *p, int value);
/* hover_rule.c: which values a rule cuts, in each deployment that has it. */
void hover_rule(struct hover *h, const struct node *rule);
#endif
