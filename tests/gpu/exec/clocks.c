/* Vector clocks: few CTAs know of each other, so each is looked for. */
#include "clocks.h"
#include <stdlib.h>
#include <string.h>

static struct known *find(const struct clocks *c, uint64_t cta)
{
	for (int i = 0; i < c->n; i++)
		if (c->ctas[i].cta == cta)
			return &c->ctas[i];
	return NULL;
}

struct known *clocks_of(struct clocks *c, uint64_t cta)
{
	struct known *k = find(c, cta);
	if (k)
		return k;
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 1;
		c->ctas = realloc(c->ctas, (size_t)c->cap * sizeof *c->ctas);
	}
	k = &c->ctas[c->n++];
	memset(k, 0, sizeof *k);
	k->cta = cta;
	return k;
}

static void later(uint32_t *to, const uint32_t *from)
{
	for (int a = 0; a < AGENTS; a++)
		to[a] = from[a] > to[a] ? from[a] : to[a];
}

void clocks_join(struct clocks *to, const struct clocks *from)
{
	for (int i = 0; i < from->n; i++) {
		struct known *k = clocks_of(to, from->ctas[i].cta);
		later(k->seen, from->ctas[i].seen);
		later(k->proxied, from->ctas[i].proxied);
	}
}

void clocks_set(struct clocks *to, const struct clocks *from)
{
	to->n = 0;
	clocks_join(to, from);
}

uint32_t clocks_seen(const struct clocks *c, uint64_t cta, int agent)
{
	const struct known *k = find(c, cta);
	return k ? k->seen[agent] : 0;
}

uint32_t clocks_proxied(const struct clocks *c, uint64_t cta, int agent)
{
	const struct known *k = find(c, cta);
	return k ? k->proxied[agent] : 0;
}

void clocks_proxy(struct clocks *c)
{
	for (int i = 0; i < c->n; i++)
		later(c->ctas[i].proxied, c->ctas[i].seen);
}

void clocks_forget(struct clocks *c) { c->n = 0; }

void clocks_free(struct clocks *c)
{
	free(c->ctas);
	*c = (struct clocks){0};
}
