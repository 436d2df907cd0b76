/* Evaluation of scalar expressions: what eval.c, eval_binary.c and eval_call.c share. */
#ifndef DEPLOYC_EVAL_H
#define DEPLOYC_EVAL_H
#include "record.h"

struct val eval_binary(struct scope *s, const struct node *e, const struct node *expect);
struct val eval_call(struct scope *s, const struct node *e);
/* Is v a Bool that is known? Otherwise E0203, unless v is bad or unknown. */
bool eval_condition(struct sema *s, struct val v, struct span at);
#endif
