/* Evaluation of scalar expressions: shared by eval.c, eval_binary.c and eval_call.c. */
#ifndef DEPLOYC_EVAL_H
#define DEPLOYC_EVAL_H
#include "record.h"

struct val eval_binary(struct scope *s, const struct node *e, const struct node *expect);
struct val eval_call(struct scope *s, const struct node *e);
/* Is v a known Bool? Otherwise E0203, unless v is bad or unknown. */
bool eval_condition(struct sema *s, struct val v, struct span at);
#endif
