/* Rank 0's scheduler: the sequences that wait or run, and which of their positions enter the next step. Only the engine
 * uses it. No step costs more when more sequences wait. */
#ifndef DEPLOY_SCHEDULE_H
#define DEPLOY_SCHEDULE_H
#include <stdbool.h>
#include <stdint.h>
#include "plan.h"
#include "step.h"

/* page_pool.c: the free pages of the caches. Each owner has its own; its free pages and those that its sequences hold
 * are all its pages. */
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

/* The caller sets the first group of members and zeros the rest. */
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
void schedule_close(struct schedule *s); /* does not touch sequences */
/* Positions that a sequence can have at most, and those that one takes: its last token is not read back. */
int schedule_room(const struct plan *plan);
int64_t schedule_positions(int n_prompt, int max_tokens);
/* Queues a sequence that the plan has room for at the next owner in turn. An owner admits its sequences in the order in
 * which they came. */
void schedule_add(struct schedule *s, struct sequence *q);
/* Removes a sequence, waiting or running, and frees its pages. */
void schedule_remove(struct schedule *s, struct sequence *q);
/* Admits sequences and plans the next step. Returns the number of its tokens without padding; 0: no sequence is left.
 */
int schedule_next(struct schedule *s, struct step *step);
/* The sequence whose row this is in the step that was planned last; NULL: padding, or the sequence was removed. */
struct sequence *schedule_row(const struct schedule *s, int microbatch, int owner, int row);
/* Appends a sampled token to a sequence that has fewer than max_tokens. */
void schedule_token(struct sequence *q, int32_t token);
/* An owner's free pages, and pages counted over the sequences that hold them. */
int schedule_free_pages(const struct schedule *s, int owner);
int schedule_held_pages(const struct schedule *s, int owner);
#endif
