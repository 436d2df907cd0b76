/* What an analysis may take from the one of the text before. */
#ifndef DEPLOYC_LSP_REUSE_H
#define DEPLOYC_LSP_REUSE_H
#include "analysis.h"

struct reuse;

/* Compares the text of `a`, which is loaded, with that of `before`. NULL: every deployment has to be planned. In the
 * arena of `a`; `before` outlives it. */
struct reuse *reuse_begin(struct analysis *a, const struct analysis *before);
/* Adds the reports that the passes made about deployment i, if they would make the same ones: of a deployment whose
 * item did not change, in a file whose other declarations did not change. false: it has to be planned. */
bool reuse_reports(struct reuse *r, int i);
#endif
