/* Rank 0's scheduler: the sequences that wait or run, and which positions of them enter the next step. The engine is
 * its only user. Nothing here grows with the sequences that wait. */
#ifndef DEPLOY_SCHEDULE_H
#define DEPLOY_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>
#include "plan.h"
#include "step.h"

/* page_pool.c: the pages of the caches. Each owner has its own; of each owner, pages that are free and pages that
 * sequences hold are all pages. */
struct page_pool {
	int pages;     /* of each owner */
	int32_t *free; /* [owners][pages]: a stack for each owner */
	int *n_free;   /* [owners] */
};
void page_pool_open(struct page_pool *p, int owners, int pages);
void page_pool_close(struct page_pool *p);
/* Writes n pages of an owner to `to`; false: fewer are free, and none is taken. */
bool page_pool_take(struct page_pool *p, int owner, int n, int32_t *to);
void page_pool_give(struct page_pool *p, int owner, const int32_t *pages, int n);

/* The user sets the first group, and zeros the rest. */
struct sequence {
	int32_t *ids; /* [n_prompt + max_tokens]: the prompt, then what was sampled so far */
	int n_prompt, max_tokens;
	struct dr_sampling sampling; /* count: of the row that was planned last */

	int n_out, fed;       /* tokens sampled so far; positions that are in the cache */
	int owner, table_row; /* table_row: of the page table, -1 while it waits */
	int32_t *pages;
	int n_pages;
	int wanted;                   /* its row in the step that was planned last, -1: none */
	struct sequence *prev, *next; /* in its owner's list of those that wait */
};

struct schedule;
struct schedule *schedule_open(const struct plan *plan);
void schedule_close(struct schedule *s); /* the user has removed all sequences, or no longer needs them */
/* Most positions that a sequence may take, and how many this one takes: the last token is not read back. */
int schedule_room(const struct plan *plan);
int64_t schedule_positions(int n_prompt, int max_tokens);
/* A sequence that the plan has room for comes to wait at its owner, the next in turn. Sequences of an owner are
 * admitted in the order in which they came. */
void schedule_add(struct schedule *s, struct sequence *q);
/* It leaves, whether it waits or runs, and gives back its pages. */
void schedule_remove(struct schedule *s, struct sequence *q);
/* Admits whom there is room for and plans the next step. Returns the tokens in it, without padding; 0: nobody is left.
 */
int schedule_next(struct schedule *s, struct step *step);
/* The sequence that row r of an owner's microbatch is of; NULL: padding, or a sequence that left. */
struct sequence *schedule_row(const struct schedule *s, int microbatch, int owner, int row);
/* A sampled token of a sequence that has fewer than max_tokens. */
void schedule_token(struct sequence *q, int32_t token);
/* The pages of an owner that are free, and those that its sequences hold, counted one by one. */
int schedule_free_pages(const struct schedule *s, int owner);
int schedule_held_pages(const struct schedule *s, int owner);
#endif
