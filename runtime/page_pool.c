/* The pages of the caches: a stack of free pages for each owner. */
#include <stdlib.h>
#include <string.h>
#include "report.h"
#include "schedule.h"

void page_pool_open(struct page_pool *p, int owners, int pages)
{
	p->pages = pages;
	p->free = host_alloc((size_t)owners * (size_t)pages, sizeof *p->free);
	p->n_free = host_alloc((size_t)owners, sizeof *p->n_free);
	for (int i = 0; i < owners; i++) {
		p->n_free[i] = pages;
		for (int k = 0; k < pages; k++)
			p->free[(size_t)i * (size_t)pages + (size_t)k] = pages - 1 - k; /* the first page is on top */
	}
}

void page_pool_close(struct page_pool *p)
{
	free(p->free);
	free(p->n_free);
}

static int32_t *stack_of(const struct page_pool *p, int owner) { return p->free + (size_t)owner * (size_t)p->pages; }

bool page_pool_take(struct page_pool *p, int owner, int n, int32_t *to)
{
	if (n > p->n_free[owner])
		return false;
	for (int i = 0; i < n; i++)
		to[i] = stack_of(p, owner)[--p->n_free[owner]];
	return true;
}

void page_pool_give(struct page_pool *p, int owner, const int32_t *pages, int n)
{
	for (int i = n; i-- > 0;)
		stack_of(p, owner)[p->n_free[owner]++] = pages[i];
}
