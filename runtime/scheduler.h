/* Decides which sequences run, and which of their positions enter the next step. It knows lengths and sizes alone:
 * schedule.c makes a launcher's step of what is chosen here, and the planner plays queues with the same code
 * (planner/queue.c). The cost of a step does not depend on the number of waiting sequences. */
#ifndef DEPLOY_SCHEDULER_H
#define DEPLOY_SCHEDULER_H
#include <stdbool.h>
#include <stdint.h>
#include "abi.h"
#include "pages.h"

/* What a plan has room for, as in struct dr_program. */
struct scheduler_sizes {
	int owners, microbatches, seqs, adjusts;
	int page_size, page_multiple, token_multiple, row_multiple;
	int max_tokens[DR_PHASES], max_rows[DR_PHASES];
	int n_pools;
	struct dr_pool pool[DR_POOLS]; /* the first keeps all positions; the others suffice if it does */
	/* T and R of decode steps are padded to scheduler_few, P to powers of two times its multiple, so that few graphs
	 * serve all steps. */
	bool few_sizes;
};

struct adjust; /* adjust.h */
/* The caller sets the members up to `adjust` and zeroes the rest. */
struct sequence {
	int n_prompt, max_tokens;
	/* of schedule.c; the scheduler does not look at them */
	int32_t *ids;                /* [n_prompt + max_tokens]: the prompt, then the tokens sampled so far */
	struct dr_sampling sampling; /* count and adjusts: for the row planned last */
	struct adjust *adjust;       /* the caller's, as `ids` is */
	int wanted[2];               /* its rows in the two steps planned last, by turns, or -1 */

	int n_out, fed;               /* tokens sampled so far; positions in the cache */
	int adjusts;                  /* logits that its next row changes */
	int owner, table_row;         /* table_row: row of the page table, -1 while it waits */
	bool ahead;                   /* while a step is chosen: its next token is not known yet */
	bool left;                    /* it no longer runs: the last of max_tokens is under way */
	int64_t number;               /* how many sequences came before it */
	struct held_pages *held;      /* in each pool; NULL while it waits */
	struct sequence *prev, *next; /* in its owner's waiting list */
};

/* `n` positions of a sequence from `from` on. If they reach the last known token, a row is wanted: the sequence gets a
 * token. */
struct piece {
	struct sequence *sequence;
	int from, n;
	bool wanted;
};
/* Those of an owner in a microbatch, and their sums; adjusts: of the wanted rows. */
struct pieces {
	struct piece *at;
	int n, tokens, rows, adjusts;
};
struct chosen_microbatch {
	int tokens, rows, adjusts; /* T, R and A, padded: the maximum over all owners counts */
	struct pieces *owner;      /* [owners] */
};
/* Valid until the next one is chosen. */
struct chosen_step {
	int phase, microbatches; /* enum dr_phase; those that are not empty */
	int tokens;              /* of all owners, without padding */
	int pages[DR_POOLS];     /* P */
	struct chosen_microbatch *microbatch;
};

struct scheduler;
struct scheduler *scheduler_open(const struct scheduler_sizes *sizes);
void scheduler_close(struct scheduler *s); /* does not touch sequences */
/* n rounded up to 1, 2, 4, 8, 16, 24, ... 64, 80, 96, 112, 128, 160, ...: eighths of a power of two, and at least 8. */
int scheduler_few(int n);
/* The number of positions that a sequence takes: its last token takes none. */
int64_t scheduler_positions(int n_prompt, int max_tokens);
/* Queues a sequence at the next owner, round robin. It must fit the plan. An owner admits sequences in order. */
void scheduler_add(struct scheduler *s, struct sequence *q);
/* Removes a sequence, waiting or running, and frees its pages. */
void scheduler_remove(struct scheduler *s, struct sequence *q);
/* Admits sequences and chooses the next step. The chosen positions count as fed. NULL: no sequences are left. Each
 * wanted row gives its sequence a token (n_out) before the next step is chosen, or the sequence is removed. */
const struct chosen_step *scheduler_next(struct scheduler *s);
/* The same in two parts: admission, which returns the phase of the next step, and the choice. */
int scheduler_admit(struct scheduler *s);
const struct chosen_step *scheduler_choose(struct scheduler *s);
/* A sequence whose last token is under way gives its row and its pages to others, whose steps come after: `left`. */
void scheduler_leave(struct scheduler *s, struct sequence *q);
/* The sequence of a row of an owner's page table; NULL: the row is free. */
struct sequence *scheduler_running(const struct scheduler *s, int owner, int row);
/* An owner's free pages in the first pool. */
int scheduler_free_pages(const struct scheduler *s, int owner);
const struct page_pool *scheduler_pool(const struct scheduler *s, int pool);
/* How often a sequence lost its pages to an older one. */
int64_t scheduler_interrupted(const struct scheduler *s);
#endif
