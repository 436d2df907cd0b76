/* Races: each access of a warp is compared with those before it of the same bytes. */
#include "race.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "clocks.h"
#include "shadow.h"

struct race_warp {
	struct clocks now;     /* what it has seen; its own time is in there too */
	struct clocks fenced;  /* at its last fence for the GPU: what its next strong write releases to all */
	struct clocks near;    /* at its last fence: what that releases to its CTA */
	struct clocks pending; /* what its strong reads found: seen from its next fence on */
	uint32_t fence_time;   /* its own time at its last fence; 0: none yet */
};

struct race_cta {
	struct race_warp warps[MAX_WARPS];
	struct clocks barriers[BARRIERS], exited;
	struct shadow shared;
};

/* What strong writes of an address released: to all, and to the CTA of the last one. */
struct sync {
	struct sync *next;
	uint64_t at;
	struct clocks all, near;
	uint64_t near_cta;
};

enum { SYNC_BUCKETS = 1024 };
struct races {
	struct shadow global;
	struct sync *syncs[SYNC_BUCKETS];
};

/* ---- memory ---- */
struct races *races_new(const struct launch *l)
{
	const char *setting = getenv("EMU_RACE");
	uint64_t agents = (uint64_t)l->grid[0] * l->grid[1] * l->grid[2] * AGENTS;
	/* Larger grids, and kernels, have no numbers for their accesses. */
	bool fits = agents < (1 << AGENT_BITS) - 1 && l->kernel->n_code < 1 << INS_BITS;
	if (!setting || strcmp(setting, "1") != 0)
		return NULL;
	if (!fits)
		fprintf(stderr, "emulated GPU: %s is too large for EMU_RACE\n", l->kernel->name);
	return fits ? calloc(1, sizeof(struct races)) : NULL;
}

void races_free(struct races *r)
{
	if (!r)
		return;
	shadow_forget(&r->global);
	for (int i = 0; i < SYNC_BUCKETS; i++)
		while (r->syncs[i]) {
			struct sync *s = r->syncs[i];
			r->syncs[i] = s->next;
			clocks_free(&s->all);
			clocks_free(&s->near);
			free(s);
		}
	free(r);
}

struct race_cta *race_cta_new(void) { return calloc(1, sizeof(struct race_cta)); }

static void forget_warp(struct race_warp *r)
{
	clocks_forget(&r->now);
	clocks_forget(&r->fenced);
	clocks_forget(&r->near);
	clocks_forget(&r->pending);
	r->fence_time = 0;
}

void race_cta_start(struct cta *c)
{
	struct race_cta *r = c->races;
	if (!r)
		return;
	shadow_forget(&r->shared);
	clocks_forget(&r->exited);
	for (int i = 0; i < BARRIERS; i++)
		clocks_forget(&r->barriers[i]);
	for (int i = 0; i < c->n_warps; i++) {
		forget_warp(&r->warps[i]);
		clocks_of(&r->warps[i].now, c->number)->seen[i] = 1;
	}
}

void race_cta_free(struct race_cta *r)
{
	if (!r)
		return;
	shadow_forget(&r->shared);
	clocks_free(&r->exited);
	for (int i = 0; i < BARRIERS; i++)
		clocks_free(&r->barriers[i]);
	for (int i = 0; i < MAX_WARPS; i++) {
		clocks_free(&r->warps[i].now);
		clocks_free(&r->warps[i].fenced);
		clocks_free(&r->warps[i].near);
		clocks_free(&r->warps[i].pending);
	}
	free(r);
}

static struct race_warp *of(const struct warp *w) { return &w->cta->races->warps[w->index]; }

/* A warp's knowledge of its own CTA comes first. */
static uint32_t *own_time(const struct warp *w) { return &of(w)->now.ctas[0].seen[w->index]; }

/* The warp's next accesses are later than what it released. */
static void tick(struct warp *w)
{
	if (++*own_time(w) == MAX_CLOCK)
		warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, -1, "more synchronizations than EMU_RACE can number");
}

/* ---- reports ---- */
struct accessor {
	struct warp *w;
	int lane;
	enum space space;
	struct cta *owner; /* of shared memory */
	uint64_t at;       /* there */
	const char *what;
	bool async; /* a copy or product, which sees other writes after a fence.proxy.async only */
};

_Noreturn static void report(const struct accessor *a, epoch other, const char *was)
{
	const struct kernel *k = a->w->cta->grid->launch->kernel;
	uint64_t agent = epoch_agent(other), at = a->at;
	const char *space = "global";
	if (a->space == SPACE_SHARED) {
		space = at >= STATIC_SHARED ? "static shared" : "dynamic shared";
		at = at >= STATIC_SHARED ? at - STATIC_SHARED : at;
	}
	warp_fault(a->w, CUDA_ERROR_LAUNCH_FAILED, a->lane,
	           "race: %s of %s address 0x%llx is not ordered after a %s by warp %d of CTA %llu in PTX line %d", a->what,
	           space, (unsigned long long)at, was, (int)(agent % AGENTS), (unsigned long long)(agent / AGENTS),
	           k->code[epoch_ins(other)].line);
}

/* ---- accesses ---- */
static uint64_t agent_of(const struct warp *w) { return w->cta->number * AGENTS + (unsigned)w->index; }

/* Whether what the epoch stands for is ordered before what the warp does now. */
static bool is_before(const struct warp *w, epoch e)
{
	uint64_t agent = epoch_agent(e), cta = agent / AGENTS;
	const struct known *own = &of(w)->now.ctas[0];
	if (cta == own->cta) /* nearly always */
		return epoch_clock(e) <= own->seen[agent % AGENTS];
	return epoch_clock(e) <= clocks_seen(&of(w)->now, cta, (int)(agent % AGENTS));
}

static void check(const struct accessor *a, epoch other, bool strong, const char *was)
{
	if (!other || is_before(a->w, other) || (strong && epoch_strong(other)))
		return;
	report(a, other, epoch_clock(other) == PENDING ? "copy or product that has not been waited for" : was);
}

static struct accessor accessor_of(struct warp *w, int lane, enum space space, uint64_t at, const char *what)
{
	struct accessor a = {.w = w, .lane = lane, .space = space, .owner = w->cta, .at = at, .what = what};
	if (space == SPACE_SHARED)
		a.owner = shared_owner(w, &a.at);
	return a;
}

static void check_proxy(const struct accessor *a, epoch write)
{
	uint64_t agent = epoch_agent(write);
	if (!write || !a->async || agent % AGENTS == ASYNC_AGENT)
		return;
	if (epoch_clock(write) > clocks_proxied(&of(a->w)->now, agent / AGENTS, (int)(agent % AGENTS)))
		report(a, write, "write, by a fence.proxy.async,");
}

static void note_read(struct cell *c, const struct warp *w, epoch e)
{
	for (int i = 0; i < READS; i++)
		if (!c->reads[i] || is_before(w, c->reads[i])) {
			c->reads[i] = e;
			return;
		}
	c->reads[epoch_clock(e) % READS] = e;
}

static void read_cell(const struct accessor *a, struct cell *c, epoch e)
{
	check(a, c->write, epoch_strong(e), "write");
	check_proxy(a, c->write);
	if (a->w->in->read_only && c->write)
		report(a, c->write, "write in the same launch, which ld.global.nc may not see,");
	note_read(c, a->w, e);
}

static void write_cell(const struct accessor *a, struct cell *c, epoch e)
{
	if (!(a->w->unchanged >> a->lane & 1))
		check(a, c->write, epoch_strong(e), "write");
	for (int i = 0; i < READS; i++) {
		check(a, c->reads[i], epoch_strong(e), "read");
		c->reads[i] = 0;
	}
	c->write = e;
}

static struct shadow *shadow_of(const struct accessor *a)
{
	return a->space == SPACE_SHARED ? &a->owner->races->shared : &a->w->cta->grid->races->global;
}

static uint32_t number_of(const struct warp *w, const struct ins *in)
{
	return (uint32_t)(in - w->cta->grid->launch->kernel->code);
}

/* Bytes from `at` on in one piece of 16. */
static unsigned piece(uint64_t at, uint64_t end)
{
	unsigned room = 16 - (unsigned)(at % 16);
	return end - at < room ? (unsigned)(end - at) : room;
}

static void access_cells(const struct accessor *a, unsigned bytes, bool writes, epoch e)
{
	for (uint64_t end = a->at + bytes, at = a->at; at < end;) {
		unsigned part = piece(at, end);
		int n;
		struct cell *c = shadow_cells(shadow_of(a), at, part, &n);
		for (int i = 0; i < n; i++)
			if (writes)
				write_cell(a, &c[i], e);
			else
				read_cell(a, &c[i], e);
		at += part;
	}
}

/* ---- release and acquire ---- */
/* Addresses of shared memory get the CTA's number. */
static uint64_t shared_key(uint64_t cta, uint64_t at) { return (cta << 20 | at) + 1; }
static uint64_t key_of(const struct cta *owner, enum space space, uint64_t at)
{
	return space == SPACE_SHARED ? shared_key(owner->number, at) : at;
}

/* NULL: nothing was released there, and `add` is false. */
static struct sync *sync_of(struct races *r, uint64_t at, bool add)
{
	struct sync **bucket = &r->syncs[(at * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SYNC_BUCKETS], *s = *bucket;
	while (s && s->at != at)
		s = s->next;
	if (s || !add)
		return s;
	s = calloc(1, sizeof *s);
	*s = (struct sync){.next = *bucket, .at = at};
	return *bucket = s;
}

/* A strong read: acquires now, or at the next fence. */
static void acquire(struct warp *w, uint64_t key)
{
	enum order order = w->in->order;
	const struct sync *s = sync_of(w->cta->grid->races, key, false);
	if (!s)
		return;
	struct clocks *to = order == ORDER_ACQUIRE || order == ORDER_BOTH ? &of(w)->now : &of(w)->pending;
	if (s->near.n && s->near_cta == w->cta->number)
		clocks_join(to, &s->near);
	if (w->in->scope != SCOPE_CTA)
		clocks_join(to, &s->all);
}

/* A strong write: releases what there is now, or what there was at the last fence. What a store releases replaces what
 * was released before, that of an atomic operation joins it. */
static void release(struct warp *w, uint64_t key, bool replaces)
{
	enum order order = w->in->order;
	bool now = order == ORDER_RELEASE || order == ORDER_BOTH;
	const struct clocks *all = now ? &of(w)->now : &of(w)->fenced, *near = now ? &of(w)->now : &of(w)->near;
	struct sync *s = sync_of(w->cta->grid->races, key, near->n);
	if (!s)
		return;
	if (replaces) {
		clocks_forget(&s->all);
		clocks_forget(&s->near);
	}
	if (s->near_cta != w->cta->number)
		clocks_forget(&s->near);
	s->near_cta = w->cta->number;
	clocks_join(&s->near, near);
	if (w->in->scope != SCOPE_CTA)
		clocks_join(&s->all, all);
	if (now)
		tick(w);
}

void race_fence(struct warp *w, enum scope scope)
{
	struct race_warp *r = of(w);
	if (!w->cta->races)
		return;
	clocks_join(&r->now, &r->pending);
	clocks_set(&r->near, &r->now);
	if (scope != SCOPE_CTA)
		clocks_set(&r->fenced, &r->now);
	r->fence_time = *own_time(w);
	tick(w);
}

/* Who has seen what a strong write released has seen the write too: it counts as made at that time. */
static uint32_t time_of(const struct warp *w, bool strong_write)
{
	bool fenced = w->in->order == ORDER_RELAXED && of(w)->fence_time;
	return strong_write && fenced ? of(w)->fence_time : *own_time(w);
}

void race_access(struct warp *w, int lane, enum space space, uint64_t at, unsigned bytes, enum access_kind kind)
{
	static const char *const names[] = {"a read", "a write", "an atomic operation"};
	struct accessor a = accessor_of(w, lane, space, at, names[kind]);
	bool strong = w->in->order != ORDER_WEAK, writes = kind != ACCESS_LOAD;
	epoch e = epoch_of(agent_of(w), time_of(w, strong && writes), number_of(w, w->in), strong);
	if (strong && kind != ACCESS_STORE)
		acquire(w, key_of(a.owner, space, a.at));
	access_cells(&a, bytes, writes, e);
	if (strong && writes)
		release(w, key_of(a.owner, space, a.at), kind == ACCESS_STORE);
}

/* ---- copies and products that are waited for ---- */
static epoch pending_of(const struct warp *w, const struct ins *in)
{
	return epoch_of(agent_of(w), PENDING, number_of(w, in), false);
}

/* Accesses of `from` become those of `to`. */
static void settle(const struct accessor *a, unsigned bytes, epoch from, epoch to)
{
	for (uint64_t end = a->at + bytes, at = a->at; at < end;) {
		unsigned part = piece(at, end);
		int n;
		struct cell *c = shadow_cells(shadow_of(a), at, part, &n);
		for (int i = 0; i < n; i++) {
			c[i].write = c[i].write == from ? to : c[i].write;
			for (int k = 0; k < READS; k++)
				c[i].reads[k] = c[i].reads[k] == from ? to : c[i].reads[k];
		}
		at += part;
	}
}

void race_copy_begins(struct warp *w, int lane, uint64_t at, unsigned bytes)
{
	struct accessor a = accessor_of(w, lane, SPACE_SHARED, at, "a copy");
	access_cells(&a, bytes, true, pending_of(w, w->in));
}

void race_ends(struct warp *w, enum space space, uint64_t at, unsigned bytes, const struct ins *in)
{
	struct accessor a = accessor_of(w, -1, space, at, "");
	settle(&a, bytes, pending_of(w, in), epoch_of(agent_of(w), *own_time(w), number_of(w, in), false));
}

void race_async_begins(struct warp *w, int lane, enum space space, uint64_t at, unsigned bytes, bool writes)
{
	struct accessor a = accessor_of(w, lane, space, at, writes ? "a copy" : "an asynchronous read");
	a.async = !writes;
	access_cells(&a, bytes, writes, pending_of(w, w->in));
}

static epoch epoch_of_copy(const struct warp *w, uint32_t copy, const struct ins *in)
{
	return epoch_of(w->cta->number * AGENTS + ASYNC_AGENT, copy, number_of(w, in), false);
}

void race_copy_ends(struct warp *w, enum space space, uint64_t at, unsigned bytes, const struct ins *in, uint32_t copy)
{
	struct accessor a = accessor_of(w, -1, space, at, "");
	settle(&a, bytes, pending_of(w, in), epoch_of_copy(w, copy, in));
}

void race_proxy_fence(struct warp *w)
{
	if (!w->cta->races)
		return;
	clocks_proxy(&of(w)->now);
	tick(w);
}

/* ---- mbarriers: `near` is of the arrivals of this phase, `all` of the last phase ---- */
static struct sync *phase_of(const struct grid *g, uint64_t cta, uint64_t at)
{
	return sync_of(g->races, shared_key(cta, at), true);
}

void race_arrive_at(struct warp *w, uint64_t cta, uint64_t at)
{
	if (!w->cta->races)
		return;
	clocks_join(&phase_of(w->cta->grid, cta, at)->near, &of(w)->now);
	tick(w);
}

void race_copy_arrives(const struct cta *from, uint64_t cta, uint64_t at, uint32_t copy)
{
	if (!from->races)
		return;
	uint32_t *seen = &clocks_of(&phase_of(from->grid, cta, at)->near, from->number)->seen[ASYNC_AGENT];
	*seen = copy > *seen ? copy : *seen;
}

void race_phase(const struct grid *g, uint64_t cta, uint64_t at)
{
	if (!g->races)
		return;
	struct sync *s = phase_of(g, cta, at);
	clocks_set(&s->all, &s->near);
	clocks_forget(&s->near);
}

void race_phase_seen(struct warp *w, uint64_t cta, uint64_t at)
{
	if (w->cta->races)
		clocks_join(&of(w)->now, &phase_of(w->cta->grid, cta, at)->all);
}

/* ---- barriers ---- */
void race_arrive(struct warp *w, unsigned barrier)
{
	if (!w->cta->races)
		return;
	clocks_join(&w->cta->races->barriers[barrier], &of(w)->now);
	tick(w);
}

void race_leave(struct warp *w, unsigned barrier)
{
	if (!w->cta->races)
		return;
	clocks_join(&of(w)->now, &w->cta->races->barriers[barrier]);
	clocks_join(&of(w)->now, &w->cta->races->exited);
}

void race_open(struct cta *c, unsigned barrier)
{
	if (c->races)
		clocks_forget(&c->races->barriers[barrier]);
}

/* Who waits for all threads waits for those that have exited too. */
void race_exit(struct warp *w)
{
	if (w->cta->races)
		clocks_join(&w->cta->races->exited, &of(w)->now);
}
