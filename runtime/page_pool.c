/* A pool of pages. Each owner's free ones are a heap with the lowest number on top. */
#include "pages.h"
#include "host_alloc.h"

struct owned_pages {
	int32_t *heap; /* [pages] */
	int n_free;
	bool *held; /* [pages] */
	int end;    /* 1 + the highest number that is held */
};

static void open_owned(struct owned_pages *o, int pages)
{
	*o = (struct owned_pages){.heap = host_alloc((size_t)pages, sizeof *o->heap),
	                          .n_free = pages,
	                          .held = host_alloc((size_t)pages, sizeof *o->held)};
	for (int i = 0; i < pages; i++)
		o->heap[i] = i;
}

void page_pool_open(struct page_pool *p, int owners, int reach, int pages, int page_size)
{
	*p = (struct page_pool){.reach = reach, .pages = pages, .page_size = page_size, .owners = owners};
	p->own = host_alloc((size_t)owners, sizeof *p->own);
	for (int i = 0; i < owners; i++)
		open_owned(&p->own[i], pages);
}

void page_pool_close(struct page_pool *p)
{
	for (int i = 0; i < p->owners; i++) {
		host_free(p->own[i].heap);
		host_free(p->own[i].held);
	}
	host_free(p->own);
}

int page_pool_free(const struct page_pool *p, int owner) { return p->own[owner].n_free; }

int page_pool_end(const struct page_pool *p)
{
	int end = 0;
	for (int i = 0; i < p->owners; i++)
		end = p->own[i].end > end ? p->own[i].end : end;
	return end;
}

static void swap(int32_t *heap, int a, int b)
{
	int32_t t = heap[a];
	heap[a] = heap[b];
	heap[b] = t;
}

static void sink(int32_t *heap, int n, int at)
{
	for (int least; (least = 2 * at + 1) < n; at = least) {
		if (least + 1 < n && heap[least + 1] < heap[least])
			least++;
		if (heap[at] <= heap[least])
			return;
		swap(heap, at, least);
	}
}

static void rise(int32_t *heap, int at)
{
	for (int above; at > 0 && heap[above = (at - 1) / 2] > heap[at]; at = above)
		swap(heap, at, above);
}

int32_t page_pool_take(struct page_pool *p, int owner)
{
	struct owned_pages *o = &p->own[owner];
	if (o->n_free == 0)
		host_bug("a pool of %d pages has none free", p->pages);
	int32_t page = o->heap[0];
	o->heap[0] = o->heap[--o->n_free];
	sink(o->heap, o->n_free, 0);
	o->held[page] = true;
	o->end = page >= o->end ? page + 1 : o->end;
	return page;
}

/* The end moves down over pages that it moved up over before. */
void page_pool_give(struct page_pool *p, int owner, int32_t page)
{
	struct owned_pages *o = &p->own[owner];
	o->heap[o->n_free] = page;
	rise(o->heap, o->n_free++);
	o->held[page] = false;
	while (o->end > 0 && !o->held[o->end - 1])
		o->end--;
}
