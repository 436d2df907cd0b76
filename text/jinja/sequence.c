/* Elements of values, and their order. */
#include "../utf8.h"
#include "sequence.h"
#include "strings.h"

/* ---- elements -------------------------------------------------------------------------------------------------- */
static struct list *characters(struct work *w, struct span s)
{
	struct value out = list_new(w, LIST);
	for (size_t i = 0, n; i < s.n; i += n) {
		n = (size_t)utf8_length(s.at[i]);
		list_add(w, out, string((struct span){s.at + i, n}));
	}
	return out.list;
}

static struct list *numbers(struct work *w, const struct range *r)
{
	struct value out = list_new(w, LIST);
	list_reserve(w, out, (size_t)r->n);
	for (int64_t i = 0; i < r->n; i++)
		list_add(w, out, integer(r->start + i * r->step));
	return out.list;
}

static struct list *left(struct work *w, struct list *l)
{
	struct value out = list_new(w, LIST);
	if (l->next < l->n)
		*out.list = (struct list){.at = l->at + l->next, .n = l->n - l->next};
	l->next = l->n;
	return out.list;
}

bool can_walk(struct value v)
{
	return v.kind == UNDEFINED || v.kind == STRING || v.kind == DICT || v.kind == RANGE || v.kind == LIST
	       || v.kind == TUPLE || v.kind == VIEW || v.kind == ITERATOR;
}

struct list *elements(struct work *w, struct value v)
{
	switch (v.kind) {
	case LIST:
	case TUPLE:
	case VIEW:     return v.list;
	case ITERATOR: return left(w, v.list);
	case STRING:   return characters(w, v.s);
	case DICT:     return dict_view(w, v.dict, VIEW_KEYS).list;
	case RANGE:    return numbers(w, v.range);
	case UNDEFINED:
		if (v.of == FORBIDDEN)
			fail_undefined(w, v);
		return list_new(w, LIST).list;
	default: work_fail(w, "%s has no elements", kind_name(v));
	}
}

int64_t length(struct work *w, struct value v)
{
	switch (v.kind) {
	case LIST:
	case TUPLE:
	case VIEW:      return (int64_t)v.list->n;
	case STRING:    return (int64_t)count_characters(w, v.s);
	case DICT:      return (int64_t)v.dict->n;
	case RANGE:     return v.range->n;
	case UNDEFINED: return 0;
	default:        return -1;
	}
}

struct value element(struct work *w, struct value v, int64_t index)
{
	struct value absent = {.kind = ABSENT};
	if (v.kind != LIST && v.kind != TUPLE && v.kind != RANGE && v.kind != STRING)
		return absent;
	int64_t n = length(w, v);
	if (index < 0)
		index += n;
	if (index < 0 || index >= n)
		return absent;
	if (v.kind == RANGE)
		return integer(v.range->start + index * v.range->step);
	if (v.kind != STRING)
		return v.list->at[index];
	const char *at = character_at(v.s, (size_t)index);
	return string((struct span){at, (size_t)utf8_length(*at)});
}

/* ---- slices ---------------------------------------------------------------------------------------------------- */
static int64_t bound(struct work *w, struct value v, int64_t n, int64_t step, int64_t missing)
{
	int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
	if (v.kind == NONE)
		return missing;
	if (!is_whole(v))
		work_fail(w, "a bound of a slice is %s", kind_name(v));
	int64_t at = whole(v) < 0 ? whole(v) + n : whole(v);
	return at < low ? low : at > high ? high : at;
}

static struct value slice_string(struct work *w, struct span s, int64_t start, int64_t step, int64_t n)
{
	struct text out = {.work = w};
	if (step == 1) {
		const char *from = character_at(s, (size_t)start);
		size_t size = (size_t)(character_at((struct span){from, s.n - (size_t)(from - s.at)}, (size_t)n) - from);
		return string((struct span){from, size});
	}
	struct list *l = characters(w, s);
	for (int64_t i = 0; i < n; i++)
		text_span(&out, l->at[start + i * step].s);
	return string(text_end(&out));
}

static struct value slice_range(struct work *w, const struct range *r, int64_t from, int64_t to, int64_t by, int64_t n)
{
	struct range *out = work_alloc(w, sizeof *out);
	*out = (struct range){r->start + from * r->step, r->start + to * r->step, by * r->step, n};
	return (struct value){.kind = RANGE, .range = out};
}

struct value slice(struct work *w, struct value v, struct value start, struct value stop, struct value step)
{
	if (v.kind == UNDEFINED)
		fail_undefined(w, v);
	if (v.kind != LIST && v.kind != TUPLE && v.kind != RANGE && v.kind != STRING)
		work_fail(w, "%s has no slices", kind_name(v));
	if (step.kind != NONE && (!is_whole(step) || !whole(step)))
		work_fail(w, "the step of a slice is %s", is_whole(step) ? "0" : kind_name(step));
	check_unsafe(w, v);
	int64_t n = length(w, v), by = step.kind == NONE ? 1 : whole(step);
	by = by > n + 1 ? n + 1 : by < -n - 1 ? -n - 1 : by; /* a longer step leads out as well */
	int64_t from = bound(w, start, n, by, by < 0 ? n - 1 : 0), to = bound(w, stop, n, by, by < 0 ? -1 : n);
	int64_t count = by > 0 ? (to - from + by - 1) / by : (from - to - by - 1) / -by;
	count = (by > 0 ? to > from : from > to) ? count : 0;
	if (v.kind == STRING)
		return slice_string(w, v.s, count ? from : 0, by, count);
	if (v.kind == RANGE)
		return slice_range(w, v.range, from, to, by, count);
	struct value out = list_new(w, v.kind);
	for (int64_t i = 0; i < count; i++)
		list_add(w, out, v.list->at[from + i * by]);
	return out;
}

/* ---- order ----------------------------------------------------------------------------------------------------- */
bool contains(struct work *w, struct value in, struct value v)
{
	if (in.kind == STRING && v.kind != STRING)
		work_fail(w, "%s in a string", kind_name(v));
	if (in.kind == STRING) {
		work_bytes(w, in.s.n);
		return find_span(in.s, v.s) != NULL;
	}
	if (in.kind == DICT) {
		if (v.kind == LIST || v.kind == DICT)
			work_fail(w, "%s cannot be a key of a dict", kind_name(v));
		return dict_find(w, in.dict, v) != SIZE_MAX;
	}
	if (in.kind == ITERATOR) {
		while (in.list->next < in.list->n)
			if (values_equal(w, in.list->at[in.list->next++], v))
				return true;
		return false;
	}
	const struct list *l = elements(w, in);
	for (size_t i = 0; i < l->n; i++)
		if (values_equal(w, l->at[i], v))
			return true;
	return false;
}

static bool list_less(struct work *w, const struct list *a, const struct list *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (!values_equal(w, a->at[i], b->at[i]))
			return is_less(w, a->at[i], b->at[i]);
	return a->n < b->n;
}

bool is_less(struct work *w, struct value a, struct value b)
{
	bool less = false;
	work_steps(w, 1);
	if (is_number(a) && is_number(b))
		return numbers_compare(a, b) == -1;
	if (a.kind == STRING && b.kind == STRING) {
		size_t n = a.s.n < b.s.n ? a.s.n : b.s.n;
		int order = n ? memcmp(a.s.at, b.s.at, n) : 0;
		work_bytes(w, n);
		return order < 0 || (!order && a.s.n < b.s.n);
	}
	if (a.kind == UNDEFINED || b.kind == UNDEFINED)
		fail_undefined(w, a.kind == UNDEFINED ? a : b);
	if (a.kind != b.kind || (a.kind != LIST && a.kind != TUPLE))
		work_fail(w, "%s and %s have no order", kind_name(a), kind_name(b));
	work_enter(w);
	less = list_less(w, a.list, b.list);
	work_leave(w);
	return less;
}

/* Merges the sorted halves [lo, mid) and [mid, hi) of `from` into `to`, both of which are pairs of element and key. */
struct sorted {
	struct value v, key;
};
static void merge(struct work *w, const struct sorted *from, struct sorted *to, size_t lo, size_t mid, size_t hi,
                  bool reverse)
{
	for (size_t a = lo, b = mid, at = lo; at < hi; at++) {
		bool second = a == mid;
		if (!second && b < hi)
			second = reverse ? is_less(w, from[a].key, from[b].key) : is_less(w, from[b].key, from[a].key);
		to[at] = second ? from[b++] : from[a++];
	}
}

void sort_by(struct work *w, struct list *l, struct list *keys, bool reverse)
{
	size_t n = l->n;
	struct sorted *a = work_alloc(w, (n + 1) * sizeof *a), *b = work_alloc(w, (n + 1) * sizeof *b);
	for (size_t i = 0; i < n; i++)
		a[i] = (struct sorted){l->at[i], keys->at[i]};
	for (size_t run = 1; run < n; run *= 2) {
		for (size_t lo = 0; lo < n; lo += 2 * run) {
			size_t mid = lo + run < n ? lo + run : n, hi = lo + 2 * run < n ? lo + 2 * run : n;
			merge(w, a, b, lo, mid, hi, reverse);
		}
		struct sorted *c = a;
		a = b;
		b = c;
	}
	for (size_t i = 0; i < n; i++) {
		l->at[i] = a[i].v;
		keys->at[i] = a[i].key;
	}
}
