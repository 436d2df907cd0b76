/* Rank 0's scheduler: waiting and running sequences, and which of their positions enter the next step. Only the engine
 * uses it. The cost of a step does not depend on the number of waiting sequences. */
#ifndef DEPLOY_SCHEDULE_H
#define DEPLOY_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>
#include "adjust.h"
#include "pages.h"
#include "plan.h"
#include "step.h"

/* The caller sets the members up to `sampling` and zeroes the rest. */
struct sequence {
	int32_t *ids; /* [n_prompt + max_tokens]: the prompt, then the tokens sampled so far */
	int n_prompt, max_tokens;
	struct dr_sampling sampling; /* count and adjusts: for the row planned last */
	struct adjust *adjust;       /* the caller's, as `ids` is */

	int n_out, fed;               /* tokens sampled so far; positions in the cache */
	int owner, table_row;         /* table_row: row of the page table, -1 while it waits */
	int64_t number;               /* how many sequences came before it */
	struct held_pages *held;      /* in each pool; NULL while it waits */
	int wanted[2];                /* its rows in the two steps planned last, by turns, or -1 */
	bool ahead;                   /* while a step is planned: its next token is not known yet */
	bool left;                    /* it no longer runs: the last of max_tokens is under way */
	struct sequence *prev, *next; /* in its owner's waiting list */
};

struct schedule;
/* few_sizes: T and R of decode steps are padded to schedule_few, P to powers of two times its multiple, so that few
 * graphs serve all steps. */
struct schedule *schedule_open(const struct plan *plan, bool few_sizes);
/* n rounded up to 1, 2, 4, 8, 16, 24, ... 64, 80, 96, 112, 128, 160, ...: eighths of a power of two, and at least 8. */
int schedule_few(int n);
void schedule_close(struct schedule *s); /* does not touch sequences */
/* The maximum number of positions of a sequence, and the number that one takes: its last token takes none. */
int schedule_room(const struct plan *plan);
int64_t schedule_positions(int n_prompt, int max_tokens);
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
