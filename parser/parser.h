/* bytes -> tokens -> tree. Recovers at every item, so each mistake is one diagnostic (E0001, E0002, E0003, E0005, E0006
 * ...). */
#ifndef DEPLOYC_PARSER_H
#define DEPLOYC_PARSER_H
#include "ast.h"
#include "../support/diag.h"
#include "../support/names.h"

/* Parses file `file` of sink->sources. Returns the items of the module; those that did not parse are N_ERROR. */
struct nodes parse_module(struct arena *arena, struct names *names, struct sink *sink, uint32_t file);

/* Prints the tree, indented, stable from run to run (--emit=ast). */
void ast_print(struct nodes items, FILE *out);
#endif
