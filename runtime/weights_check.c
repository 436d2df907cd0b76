/* Checks every tensor that a param reads: it exists, with the shape and a format that the program was compiled for. */
#include <stdlib.h>
#include <string.h>
#include "number.h"
#include "runtime.h"

/* One check. read: by index of the checkpoint's tensors. */
struct check {
	const struct plan *plan;
	const struct checkpoint *c;
	struct problems *p;
	bool *read;
	int narrowed;
};

enum { SHAPE_BYTES = 200 };

static size_t append(char *out, size_t at, size_t n, const char *s, size_t length)
{
	for (size_t i = 0; i < length && at + 1 < n; i++)
		out[at++] = s[i];
	out[at] = 0;
	return at;
}

/* The turn of the param's loop, as {layer} or {layer*2+1} counts it; -1: the name is another. */
static int64_t turn_number(const struct plan *plan, const struct dr_param *p, int64_t layer, const char *name, size_t n)
{
	const char *index = plan_string(plan, p->index);
	size_t length = strlen(index);
	int64_t turn = layer - p->first_layer;
	if (!p->in_loop || n < length || strncmp(index, name, length) || (n > length && name[length] != '*'))
		return -1;
	if (n == length)
		return turn;
	char *end;
	int64_t times = strtoll(name + length + 1, &end, 10);
	return turn * times + strtoll(end, NULL, 10);
}

/* The number for {name}: the turn, or the index along a keyed axis; -1: none. */
static int64_t key_number(const struct plan *plan, const struct dr_param *p, int64_t layer, const int64_t *digit,
                          const char *name, size_t n)
{
	const struct dr_axis *axes = plan_array(plan, struct dr_axis, p->axes);
	for (uint32_t a = 0; a < p->axes.n; a++) {
		const char *axis = plan_string(plan, axes[a].name);
		if (axes[a].keyed && strlen(axis) == n && !strncmp(axis, name, n))
			return digit[a];
	}
	return turn_number(plan, p, layer, name, n);
}

void param_key(const struct plan *plan, const struct dr_param *p, int64_t layer, const int64_t *digit, char *out,
               size_t n)
{
	size_t at = 0;
	out[0] = 0;
	for (const char *s = plan_string(plan, p->key); *s;) {
		size_t plain = strcspn(s, "{"), name;
		at = append(out, at, n, s, plain);
		s += plain;
		if (!*s)
			return;
		name = strcspn(s, "}");
		int64_t number = key_number(plan, p, layer, digit, s + 1, name - 1);
		char text[24];
		size_t length = (size_t)snprintf(text, sizeof text, "%lld", (long long)number);
		size_t whole = name + (s[name] == '}');
		at = number < 0 ? append(out, at, n, s, whole) : append(out, at, n, text, length);
		s += whole;
	}
}

static void format_shape(const int64_t *dim, int dims, char *out)
{
	size_t at = (size_t)snprintf(out, SHAPE_BYTES, "[");
	for (int i = 0; i < dims && at < SHAPE_BYTES; i++)
		at += (size_t)snprintf(out + at, SHAPE_BYTES - at, "%s%lld", i ? ", " : "", (long long)dim[i]);
	if (at < SHAPE_BYTES)
		snprintf(out + at, SHAPE_BYTES - at, "]");
}

static void check_tensor(struct check *k, const struct dr_param *p, const char *key)
{
	char stored[SHAPE_BYTES], expected[SHAPE_BYTES];
	const int64_t *shape = plan_array(k->plan, int64_t, p->shape);
	const struct tensor *t = checkpoint_find(k->c, key);
	const char *path = plan_string(k->plan, p->path);
	if (!t) {
		problem(k->p, "%s: no tensor %s", path, key);
		return;
	}
	k->read[t - checkpoint_at(k->c, 0)] = true;
	if (t->dims != (int)p->shape.n || memcmp(t->dim, shape, p->shape.n * sizeof *shape)) {
		format_shape(t->dim, t->dims, stored);
		format_shape(shape, (int)p->shape.n, expected);
		problem(k->p, "%s: tensor %s is %s, the launcher was compiled for %s", path, key, stored, expected);
	}
	if (t->dtype == TENSOR_OTHER_DTYPE)
		problem(k->p, "%s: tensor %s is %s; F32, BF16, F16, F8_E4M3 and F8_E5M2 can be read", path, key, t->stored);
	k->narrowed +=
		t->dtype != TENSOR_OTHER_DTYPE && t->dtype != p->dtype && dtype_size(t->dtype) >= dtype_size(p->dtype);
}

/* Advances the digits of the keyed axes; false past the end. */
static bool next_key(const struct dr_axis *axes, uint32_t n, int64_t *digit)
{
	for (uint32_t a = n; a-- > 0;) {
		if (!axes[a].keyed)
			continue;
		if (++digit[a] < axes[a].extent)
			return true;
		digit[a] = 0;
	}
	return false;
}

static void check_param(struct check *k, const struct dr_param *p, int64_t layers)
{
	const struct dr_axis *axes = plan_array(k->plan, struct dr_axis, p->axes);
	for (int64_t layer = 0; layer < (p->in_loop ? layers : 1); layer++) {
		int64_t digit[MAX_AXES] = {0};
		if (!plan_has_param(k->plan, p, layer))
			continue;
		do {
			char key[KEY_BYTES];
			param_key(k->plan, p, layer, digit, key, sizeof key);
			check_tensor(k, p, key);
		} while (next_key(axes, p->axes.n, digit));
	}
}

void weights_check(const struct plan *plan, const struct checkpoint *c, struct unverified *u, struct problems *p)
{
	struct check k = {plan, c, p, host_alloc((size_t)checkpoint_size(c), sizeof(bool)), 0};
	int64_t layers = plan->stages[plan->n_stages - 1].layer_end;
	int before = p->n;
	for (uint32_t i = 0; i < plan->head->params.n; i++)
		check_param(&k, &plan->params[i], layers);
	bool complete = p->n == before;
	weights_unread_check(plan, c, k.read, u, complete ? p : NULL);
	if (complete && k.narrowed)
		print_note("%d tensors are narrowed to the format that the program declares", k.narrowed);
	free(k.read);
}
