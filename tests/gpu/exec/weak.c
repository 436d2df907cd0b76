/* Stores wait in a table, by words of 4 bytes; those who share a range keep with each word when it was last written,
 * and what was there before (struct history). */
#include "weak.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WORD = 4, BUCKETS = 1024, MAX_PENDING = 4096, ONE_AT_ONCE_IN = 4, ONE_OF_OTHERS_IN = 8, NOT_RELEASED = -1 };

/* A word whose bytes, those of the mask, have been stored, and are not visible elsewhere yet. */
struct pending {
	uint64_t at, cta;
	const struct range *range;
	unsigned char bytes[WORD];
	unsigned mask;
	int warp;
	int released; /* the widest scope, or NOT_RELEASED */
	bool late;    /* not before it must */
	int next;     /* in its bucket, or -1 */
};

struct weak {
	uint32_t self;     /* this device of this process */
	uint64_t started;  /* the kernel, */
	uint64_t acquired; /* and the latest time that a release for the GPU has handed on */
	int n, buckets[BUCKETS];
	struct pending pending[MAX_PENDING];
	unsigned char view[LANES][16]; /* what lanes load, or store */
};

/* The same for all processes. */
static uint64_t time_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- words ---- */
static struct written *written_of(const struct range *r, uint64_t at)
{
	return &r->history->words[(at - r->at) / WORD];
}

/* A word is about to change. Who finds `time` there has the `old` of that time, or a later one. */
static void note_change(const struct weak *k, const struct range *r, uint64_t at)
{
	struct written *v = written_of(r, at);
	uint64_t time = time_now();
	uint32_t old;
	memcpy(&old, memory_host(at), WORD);
	__atomic_store_n(&v->old, old, __ATOMIC_RELEASE);
	__atomic_store_n(&v->writer, k->self, __ATOMIC_RELEASE);
	__atomic_store_n(&v->time, time, __ATOMIC_RELEASE);
}

static void write_word(const struct weak *k, const struct range *r, uint64_t at, const unsigned char *bytes,
                       unsigned mask)
{
	unsigned char *to = memory_host(at);
	range_lock(r);
	note_change(k, r, at);
	for (int i = 0; i < WORD; i++)
		if (mask >> i & 1)
			to[i] = bytes[i];
	range_unlock(r);
}

/* ---- the table ---- */
static int *bucket_of(struct weak *k, uint64_t at)
{
	return &k->buckets[(at * UINT64_C(0x9e3779b97f4a7c15) >> 40) % BUCKETS];
}

/* The link that names the word, or ends its bucket. */
static int *link_to(struct weak *k, uint64_t at)
{
	int *i = bucket_of(k, at);
	while (*i >= 0 && k->pending[*i].at != at)
		i = &k->pending[*i].next;
	return i;
}

/* The entry becomes visible, and its place that of the last one. */
static void drain(struct weak *k, int i)
{
	struct pending *p = &k->pending[i], *last = &k->pending[k->n - 1];
	write_word(k, p->range, p->at, p->bytes, p->mask);
	*link_to(k, p->at) = p->next;
	if (p != last) {
		*link_to(k, last->at) = i;
		*p = *last;
	}
	k->n--;
}

static bool one_in(struct warp *w, unsigned n) { return random_next(&w->cta->grid->seed) % n == 0; }

static void drain_some(struct warp *w)
{
	struct weak *k = w->weak;
	bool full = k->n == MAX_PENDING;
	if (!k->n || !(full || one_in(w, ONE_OF_OTHERS_IN)))
		return;
	int i = (int)(random_next(&w->cta->grid->seed) % (uint64_t)k->n);
	if (full || !k->pending[i].late)
		drain(k, i);
}

/* A new store takes the place of the same warp's last one. */
static void add(struct warp *w, const struct range *r, uint64_t at, const unsigned char *bytes, unsigned mask)
{
	struct weak *k = w->weak;
	int i = *link_to(k, at);
	bool same = i >= 0 && k->pending[i].cta == w->cta->number && k->pending[i].warp == w->index
	            && k->pending[i].released == NOT_RELEASED;
	if (i >= 0 && !same)
		drain(k, i);
	if (!same) {
		drain_some(w);
		i = k->n++;
		k->pending[i] = (struct pending){.at = at,
		                                 .cta = w->cta->number,
		                                 .range = r,
		                                 .warp = w->index,
		                                 .released = NOT_RELEASED,
		                                 .late = w->in->order != ORDER_WEAK,
		                                 .next = *bucket_of(k, at)};
		*bucket_of(k, at) = i;
	}
	struct pending *p = &k->pending[i];
	p->mask |= mask;
	for (int b = 0; b < WORD; b++)
		if (mask >> b & 1)
			p->bytes[b] = bytes[b];
	if (!p->late && one_in(w, ONE_AT_ONCE_IN))
		drain(k, i);
}

/* ---- runs of bytes ---- */
/* The range, if others share it, else NULL. */
static const struct range *shared_range(struct warp *w, uint64_t at, unsigned bytes)
{
	const struct range *r = w->recent;
	if (!(at & DEVICE_BIT))
		return NULL;
	if (!r || at < r->at || at + bytes > r->at + r->size)
		r = memory_find(w->cta->grid->map, at, bytes);
	return r && r->history ? r : NULL;
}

static const struct range *shared_by_lane(struct warp *w, int lane, uint64_t at)
{
	const struct ins *in = w->in;
	bool device = in->space == SPACE_GLOBAL || in->space == SPACE_GENERIC;
	return device && w->exec >> lane & 1 ? shared_range(w, at, (unsigned)(in->size * in->count)) : NULL;
}

/* Whether the instruction is seen by other devices as it is by this one. */
static bool is_strong(const struct ins *in) { return in->order != ORDER_WEAK && in->scope == SCOPE_SYSTEM; }

static void read_word(struct warp *w, const struct range *r, uint64_t at, bool fresh, unsigned char *to)
{
	struct weak *k = w->weak;
	const struct written *v = written_of(r, at);
	int i = *link_to(k, at);
	memcpy(to, memory_host(at), WORD);
	bool stale = !fresh && __atomic_load_n(&v->time, __ATOMIC_ACQUIRE) > w->acquired && v->writer != k->self;
	if (stale && (w->in->order != ORDER_WEAK || one_in(w, 2)))
		memcpy(to, &v->old, WORD);
	for (int b = 0; b < WORD && i >= 0; b++)
		if (k->pending[i].mask >> b & 1)
			to[b] = k->pending[i].bytes[b];
}

static unsigned in_word(uint64_t at, unsigned bytes)
{
	unsigned room = WORD - (unsigned)(at % WORD);
	return bytes < room ? bytes : room;
}

static void read_bytes(struct warp *w, const struct range *r, uint64_t at, unsigned char *to, unsigned bytes,
                       bool fresh)
{
	for (unsigned n; bytes; bytes -= n, at += n, to += n) {
		unsigned char word[WORD];
		n = in_word(at, bytes);
		read_word(w, r, at - at % WORD, fresh, word);
		memcpy(to, word + at % WORD, n);
	}
}

/* Stores of the warp, which become visible later. */
static void write_bytes(struct warp *w, const struct range *r, uint64_t at, const unsigned char *from, unsigned bytes)
{
	for (unsigned n; bytes; bytes -= n, at += n, from += n) {
		unsigned char word[WORD] = {0};
		n = in_word(at, bytes);
		memcpy(word + at % WORD, from, n);
		add(w, r, at - at % WORD, word, ((1u << n) - 1) << at % WORD);
	}
}

/* What the device stored there before comes first. */
static void drain_bytes(struct weak *k, uint64_t at, unsigned bytes)
{
	for (uint64_t word = at - at % WORD; k->n && word < at + bytes; word += WORD) {
		int i = *link_to(k, word);
		if (i >= 0)
			drain(k, i);
	}
}

/* ---- stores and atomic operations for the system: visible at once ---- */
static void begin_change(const struct weak *k, const struct range *r, uint64_t at, unsigned bytes)
{
	range_lock(r);
	for (uint64_t word = at - at % WORD; word < at + bytes; word += WORD)
		note_change(k, r, word);
}

/* Whole elements: others may poll them. */
static void put_element(unsigned char *to, const unsigned char *from, unsigned size)
{
	uint64_t v = 0;
	memcpy(&v, from, size);
	switch (size) {
	case 1:  __atomic_store_n(to, (uint8_t)v, __ATOMIC_RELEASE); break;
	case 2:  __atomic_store_n((uint16_t *)(void *)to, (uint16_t)v, __ATOMIC_RELEASE); break;
	case 4:  __atomic_store_n((uint32_t *)(void *)to, (uint32_t)v, __ATOMIC_RELEASE); break;
	default: __atomic_store_n((uint64_t *)(void *)to, v, __ATOMIC_RELEASE);
	}
}

static void write_strong(const struct warp *w, const struct range *r, uint64_t at, const unsigned char *from)
{
	const struct ins *in = w->in;
	unsigned bytes = (unsigned)(in->size * in->count);
	drain_bytes(w->weak, at, bytes);
	begin_change(w->weak, r, at, bytes);
	for (unsigned i = 0; i < bytes; i += in->size)
		put_element((unsigned char *)memory_host(at) + i, from + i, in->size);
	range_unlock(r);
}

/* ---- instructions ---- */
void weak_before_load(struct warp *w, const uint64_t *at, unsigned char **p)
{
	unsigned bytes = (unsigned)(w->in->size * w->in->count);
	for (int l = 0; l < LANES; l++) {
		const struct range *r = shared_by_lane(w, l, at[l]);
		if (!r || (is_strong(w->in) && !w->weak->n))
			continue;
		read_bytes(w, r, at[l], w->weak->view[l], bytes, is_strong(w->in));
		p[l] = w->weak->view[l];
	}
}

void weak_before_store(struct warp *w, const uint64_t *at, unsigned char **p)
{
	unsigned bytes = (unsigned)(w->in->size * w->in->count);
	if (w->in->order == ORDER_RELEASE)
		weak_release(w, w->in->scope);
	for (int l = 0; l < LANES; l++) {
		const struct range *r = shared_by_lane(w, l, at[l]);
		if (!r)
			continue;
		read_bytes(w, r, at[l], w->weak->view[l], bytes, true);
		p[l] = w->weak->view[l];
	}
}

void weak_after_store(struct warp *w, const uint64_t *at, unsigned char *const *p)
{
	unsigned bytes = (unsigned)(w->in->size * w->in->count);
	for (int l = 0; l < LANES; l++) {
		if (!(w->exec >> l & 1) || p[l] != w->weak->view[l])
			continue;
		const struct range *r = shared_range(w, at[l], bytes);
		if (is_strong(w->in))
			write_strong(w, r, at[l], p[l]);
		else
			write_bytes(w, r, at[l], p[l], bytes);
	}
}

void *weak_before_atomic(struct warp *w, uint64_t at, void *p, unsigned bytes)
{
	const struct range *r = p == memory_host(at) ? shared_range(w, at, bytes) : NULL;
	if (!r)
		return p;
	if (is_strong(w->in)) {
		drain_bytes(w->weak, at, bytes);
		begin_change(w->weak, r, at, bytes);
		return p;
	}
	read_bytes(w, r, at, w->weak->view[0], bytes, true);
	return w->weak->view[0];
}

void weak_after_atomic(struct warp *w, uint64_t at, const void *p, unsigned bytes)
{
	const struct range *r = p == memory_host(at) || p == w->weak->view[0] ? shared_range(w, at, bytes) : NULL;
	if (r && is_strong(w->in))
		range_unlock(r);
	else if (r)
		write_bytes(w, r, at, p, bytes);
}

void weak_read(struct warp *w, uint64_t at, void *to, unsigned bytes)
{
	const struct range *r = w->weak ? shared_range(w, at, bytes) : NULL;
	if (r)
		read_bytes(w, r, at, to, bytes, false);
	else
		memcpy(to, memory_host(at), bytes);
}

void weak_write(struct warp *w, uint64_t at, const void *from, unsigned bytes)
{
	const struct range *r = w->weak ? shared_range(w, at, bytes) : NULL;
	if (r)
		write_bytes(w, r, at, from, bytes);
	else
		memcpy(memory_host(at), from, bytes);
}

/* ---- release and acquire ---- */
static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* Whether the store is the warp's own, or of one that has released it to this one, as far as can be told. */
static bool is_past(const struct warp *w, const struct pending *p)
{
	if (p->cta == w->cta->number)
		return p->warp == w->index || p->released >= SCOPE_CTA;
	return p->released >= SCOPE_GPU;
}

void weak_release(struct warp *w, enum scope scope)
{
	struct weak *k = w->weak;
	if (!k)
		return;
	w->cta->acquired = later(w->cta->acquired, w->acquired);
	if (scope != SCOPE_CTA)
		k->acquired = later(k->acquired, w->acquired);
	for (int i = k->n - 1; i >= 0; i--) {
		struct pending *p = &k->pending[i];
		if (!is_past(w, p))
			continue;
		if (scope == SCOPE_SYSTEM)
			drain(k, i);
		else if (p->released < (int)scope)
			p->released = (int)scope;
	}
}

/* What follows may be late: others go on meanwhile. */
static void pause_sometimes(struct warp *w)
{
	enum { ONE_PAUSE_IN = 4, MAX_US = 200 };
	if (one_in(w, ONE_PAUSE_IN))
		usleep((useconds_t)(random_next(&w->cta->grid->seed) % MAX_US));
}

void weak_acquire(struct warp *w, enum scope scope)
{
	if (!w->weak)
		return;
	w->acquired = later(w->acquired, w->cta->acquired);
	if (scope != SCOPE_CTA)
		w->acquired = later(w->acquired, w->weak->acquired);
	if (scope != SCOPE_SYSTEM)
		return;
	w->acquired = time_now();
	pause_sometimes(w);
}

static enum scope near(const struct warp *w) { return w->cta->cluster->n > 1 ? SCOPE_GPU : SCOPE_CTA; }
void weak_release_near(struct warp *w) { weak_release(w, near(w)); }
void weak_acquire_near(struct warp *w) { weak_acquire(w, near(w)); }

/* ---- a kernel's run ---- */
struct weak *weak_new(const struct launch *l, const struct memory_map *map)
{
	int i = 0;
	while (i < map->n && !map->ranges[i].history)
		i++;
	if (i == map->n)
		return NULL;
	struct weak *k = malloc(sizeof *k);
	k->self = (uint32_t)getpid() * 64 + (uint32_t)l->device;
	k->n = 0;
	k->started = k->acquired = time_now();
	for (int b = 0; b < BUCKETS; b++)
		k->buckets[b] = -1;
	return k;
}

void weak_start(struct warp *w) { w->acquired = w->weak ? w->weak->started : 0; }

void weak_free(struct weak *k)
{
	while (k && k->n)
		drain(k, k->n - 1);
	free(k);
}
