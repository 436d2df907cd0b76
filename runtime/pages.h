/* The pages of the caches: those that are free in each owner's pools, and those that a sequence holds. For scheduler.c.
 */
#ifndef DEPLOY_PAGES_H
#define DEPLOY_PAGES_H
#include <stdbool.h>
#include <stdint.h>

/* page_pool.c: a pool of all owners. The free page with the lowest number is taken first, so that those in use end
 * early. */
struct page_pool {
	int reach, pages;        /* struct dr_pool */
	int page_size;           /* positions of a page */
	struct owned_pages *own; /* [owners] */
	int owners;
};
void page_pool_open(struct page_pool *p, int owners, int reach, int pages, int page_size);
void page_pool_close(struct page_pool *p);
int page_pool_free(const struct page_pool *p, int owner);
/* 1 + the highest number of a page that any owner's sequences hold; 0: they hold none. */
int page_pool_end(const struct page_pool *p);
/* Takes a page. None is free: an internal error. */
int32_t page_pool_take(struct page_pool *p, int owner);
void page_pool_give(struct page_pool *p, int owner, int32_t page);

/* held_pages.c: the pages of a sequence in a pool. page[i] has its positions from i * page_size on, from <= i < to. The
 * ranks know those before `sent`. */
struct held_pages {
	int32_t *page;
	int from, to, sent;
};
void held_pages_open(struct held_pages *h, const struct page_pool *p, int64_t positions); /* at most so many */
/* Gives all pages back. */
void held_pages_close(struct held_pages *h, struct page_pool *p, int owner);
/* Pages that must be taken for the sequence's first `positions` positions. */
int held_pages_missing(const struct held_pages *h, const struct page_pool *p, int64_t positions);
/* Takes them. */
void held_pages_grow(struct held_pages *h, struct page_pool *p, int owner, int64_t positions);
/* Gives back the pages that no position from `next` on reaches. */
void held_pages_slide(struct held_pages *h, struct page_pool *p, int owner, int64_t next);
/* The slot of a position. */
int32_t held_pages_slot(const struct held_pages *h, const struct page_pool *p, int position);
#endif
