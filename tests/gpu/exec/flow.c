/* Control flow of a warp: which lanes run, where the others wait. Faults. */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "../../../runtime/cuda_api.h"
#include "handlers.h"
#include "race.h"
#include "weak.h"

uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* ---- lanes at different positions ---- */
static void park(struct warp *w, uint32_t lanes, int pc)
{
	for (int i = 0; i < w->n_parked; i++)
		if (w->parked[i].pc == pc) {
			w->parked[i].lanes |= lanes;
			return;
		}
	w->parked[w->n_parked++] = (struct parked){lanes, pc};
	if (pc < w->meets_at)
		w->meets_at = pc;
}

/* Takes the group with the lowest position. */
static void unpark(struct warp *w)
{
	int lowest = 0;
	for (int i = 1; i < w->n_parked; i++)
		if (w->parked[i].pc < w->parked[lowest].pc)
			lowest = i;
	w->active = w->parked[lowest].lanes;
	w->pc = w->parked[lowest].pc;
	w->parked[lowest] = w->parked[--w->n_parked];
	w->meets_at = INT_MAX;
	for (int i = 0; i < w->n_parked; i++)
		if (w->parked[i].pc < w->meets_at)
			w->meets_at = w->parked[i].pc;
}

void warp_regroup(struct warp *w)
{
	park(w, w->active, w->pc);
	unpark(w);
}

void warp_branch(struct warp *w, int target)
{
	if (w->exec == w->active) {
		w->pc = target;
		return;
	}
	park(w, w->exec, target);
	w->active &= ~w->exec;
}

void warp_exit(struct warp *w)
{
	w->alive &= ~w->exec;
	w->active &= ~w->exec;
	if (w->active)
		return;
	if (w->n_parked)
		unpark(w);
	else
		w->state = WARP_DONE;
}

/* ---- faults ---- */
/* The line of PTX, without the space around it. */
static void quote_line(const char *text, int line, char *to, size_t size)
{
	for (int i = 1; i < line && text; i++) {
		text = strchr(text, '\n');
		text += text != NULL;
	}
	size_t n = 0;
	if (text) {
		text += strspn(text, " \t");
		n = strcspn(text, "\n");
		while (n && strchr(" \t\r", text[n - 1]))
			n--;
	}
	snprintf(to, size, "%.*s", (int)(n < size ? n : size - 1), text ? text : "");
}

void warp_fault(struct warp *w, int code, int lane, const char *format, ...)
{
	struct grid *g = w->cta->grid;
	const struct kernel *k = g->launch->kernel;
	char what[400], line[160], thread[48] = "";
	va_list args;
	va_start(args, format);
	vsnprintf(what, sizeof what, format, args);
	va_end(args);
	quote_line(k->text, w->in->line, line, sizeof line);
	if (lane >= 0)
		snprintf(thread, sizeof thread, ", lane %d", lane);
	g->fault.code = code;
	snprintf(g->fault.text, sizeof g->fault.text, "%s in kernel %s, CTA (%u, %u, %u), warp %d%s, PTX line %d: %s", what,
	         k->name, w->cta->at[0], w->cta->at[1], w->cta->at[2], w->index, thread, w->in->line, line);
	longjmp(g->failed, 1);
}

/* ---- instructions ---- */
void x_bra(struct warp *w, const struct ins *in) { warp_branch(w, in->target); }

void x_exit(struct warp *w, const struct ins *in)
{
	(void)in;
	warp_exit(w);
}

void x_nothing(struct warp *w, const struct ins *in)
{
	(void)w;
	(void)in;
}

void x_fence(struct warp *w, const struct ins *in)
{
	race_fence(w, in->scope);
	weak_acquire(w, in->scope);
	weak_release(w, in->scope);
}

void x_fence_proxy(struct warp *w, const struct ins *in)
{
	(void)in;
	race_proxy_fence(w);
}

void x_trap(struct warp *w, const struct ins *in)
{
	(void)in;
	warp_fault(w, CUDA_ERROR_LAUNCH_FAILED, __builtin_ctz(w->exec), "trap");
}
