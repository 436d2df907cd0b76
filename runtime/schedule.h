/* Rank 0's schedule: sequences that wait and run, and the steps that the scheduler chooses for them, written for all
 * ranks. Only the engine uses it. */
#ifndef DEPLOY_SCHEDULE_H
#define DEPLOY_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>
#include "adjust.h"
#include "plan.h"
#include "scheduler.h"
#include "step.h"

/* What the scheduler has to know of a plan. few_sizes: as in the struct. */
struct scheduler_sizes schedule_sizes(const struct plan *plan, bool few_sizes);

struct schedule;
struct schedule *schedule_open(const struct plan *plan, bool few_sizes);
void schedule_close(struct schedule *s); /* does not touch sequences */
/* The maximum number of positions of a sequence. */
int schedule_room(const struct plan *plan);
/* Queues a sequence at the next owner, round robin. It must fit the plan. An owner admits sequences in order. */
void schedule_add(struct schedule *s, struct sequence *q);
/* Removes a sequence, waiting or running, and frees its pages. */
void schedule_remove(struct schedule *s, struct sequence *q);
/* Admits sequences and plans the next step. Returns its number of tokens without padding; 0: no sequences are left. */
int schedule_next(struct schedule *s, struct step *step);
/* Likewise, while the tokens of the step planned last are not known; steps have one microbatch. An id of that step's
 * row i is -1 - i. phases: which the step may have, as bits. Returns -1 if the tokens must be known first: the step has
 * another phase, or changes logits by them. */
enum { SCHEDULE_WAITS = -1 };
int schedule_ahead(struct schedule *s, struct step *step, unsigned phases);
/* The sequence of a row in the step planned last, or in the one before it; NULL: padding, or the sequence was removed.
 */
struct sequence *schedule_row(const struct schedule *s, int microbatch, int owner, int row);
struct sequence *schedule_row_before(const struct schedule *s, int microbatch, int owner, int row);
/* Has it a row in the step planned last? */
bool schedule_has_row(const struct schedule *s, const struct sequence *q);
/* Appends a sampled token to a sequence that has fewer than max_tokens. */
void schedule_token(struct sequence *q, int32_t token);
/* An owner's free pages in the first pool, and the pages that its sequences hold there. */
int schedule_free_pages(const struct schedule *s, int owner);
int schedule_held_pages(const struct schedule *s, int owner);
/* How often a sequence lost its pages to an older one. */
int64_t schedule_interrupted(const struct schedule *s);
#endif
