/* The pages that a sequence holds in a pool: taken as it grows, given back once its window has passed. */
#include "../support/round.h"
#include "pages.h"
#include "host_alloc.h"

void held_pages_open(struct held_pages *h, const struct page_pool *p, int64_t positions)
{
	*h = (struct held_pages){.page = host_alloc((size_t)divide_up(positions, p->page_size), sizeof *h->page)};
}

void held_pages_close(struct held_pages *h, struct page_pool *p, int owner)
{
	while (h->from < h->to)
		page_pool_give(p, owner, h->page[h->from++]);
	host_free(h->page);
	*h = (struct held_pages){0};
}

int held_pages_missing(const struct held_pages *h, const struct page_pool *p, int64_t positions)
{
	int need = (int)divide_up(positions, p->page_size);
	return need > h->to ? need - h->to : 0;
}

void held_pages_grow(struct held_pages *h, struct page_pool *p, int owner, int64_t positions)
{
	for (int n = held_pages_missing(h, p, positions); n > 0; n--)
		h->page[h->to++] = page_pool_take(p, owner);
}

void held_pages_slide(struct held_pages *h, struct page_pool *p, int owner, int64_t next)
{
	int64_t first = next - (p->reach - 1);
	while (p->reach && h->from < h->to && (int64_t)(h->from + 1) * p->page_size <= first)
		page_pool_give(p, owner, h->page[h->from++]);
}

int32_t held_pages_slot(const struct held_pages *h, const struct page_pool *p, int position)
{
	return h->page[position / p->page_size] * p->page_size + position % p->page_size;
}
