/* Values: making, finding and comparing them. */
#include <math.h>
#include "../table.h"
#include "values.h"

enum { FEW = 8 };

const char *kind_name(struct value v)
{
	static const char *const names[] = {
		[ABSENT] = "nothing",
		[UNDEFINED] = "an undefined value",
		[NONE] = "none",
		[BOOL] = "a boolean",
		[INT] = "an integer",
		[FLOAT] = "a float",
		[STRING] = "a string",
		[LIST] = "a list",
		[TUPLE] = "a tuple",
		[DICT] = "a dict",
		[RANGE] = "a range",
		[VIEW] = "a view of a dict",
		[ITERATOR] = "an iterator",
		[NAMESPACE] = "a namespace",
		[LOOP] = "`loop`",
		[MACRO] = "a macro",
		[FUNCTION] = "a function",
		[METHOD] = "a method",
	};
	return names[v.kind];
}

void fail_undefined(struct work *w, struct value v)
{
	switch (v.of) {
	case NO_VARIABLE: work_fail(w, "`%.*s` is undefined", SHOWN(v.s));
	case FORBIDDEN:   work_fail(w, "`%.*s` is forbidden in templates", SHOWN(v.s));
	case NO_ARGUMENT: work_fail(w, "parameter `%.*s` has no argument", SHOWN(v.s));
	case NO_ELEMENT:  work_fail(w, "%.*s", SHOWN(v.s));
	default:          work_fail(w, "%s has no attribute `%.*s`", kind_name((struct value){.kind = v.of}), SHOWN(v.s));
	}
}

void check_unsafe(struct work *w, struct value v)
{
	if (is_safe(v))
		work_fail(
			w, "a string from `safe` or `escape` can only be printed, added, compared, or passed to `~` and `tojson`");
}

/* ---- lists ----------------------------------------------------------------------------------------------------- */
struct value list_new(struct work *w, enum kind kind)
{
	return (struct value){.kind = (uint8_t)kind, .list = work_alloc(w, sizeof(struct list))};
}

void list_reserve(struct work *w, struct value list, size_t n)
{
	list.list->at = work_grow(w, NULL, 0, n + 1, sizeof *list.list->at);
	list.list->room = n + 1;
}

void list_add(struct work *w, struct value list, struct value element)
{
	struct list *l = list.list;
	work_steps(w, 1);
	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 4;
		l->at = work_grow(w, l->at, l->n, l->room, sizeof *l->at);
	}
	l->at[l->n++] = element;
}

struct value pair(struct work *w, struct value a, struct value b)
{
	struct value v = list_new(w, TUPLE);
	list_add(w, v, a);
	list_add(w, v, b);
	return v;
}

/* ---- dicts ----------------------------------------------------------------------------------------------------- */
struct value dict_new(struct work *w, enum kind kind)
{
	return (struct value){.kind = (uint8_t)kind, .dict = work_alloc(w, sizeof(struct dict))};
}

static bool can_be_key(struct value key) { return key.kind == STRING || key.kind == NONE || is_number(key); }

/* Equal keys have equal hashes: 1, 1.0 and true. */
static uint64_t hash_key(struct work *w, struct value key)
{
	double f;
	if (!w->seed)
		w->seed = hash_seed() | 1;
	if (key.kind == STRING)
		return hash_bytes(key.s.at, key.s.n, w->seed);
	if (key.kind == NONE)
		return w->seed;
	f = number(key);
	f = f == 0 ? 0 : f;
	return hash_bytes((const char *)&f, sizeof f, w->seed);
}

/* The slot of a key, or the empty one where it would be. */
static uint32_t *find_slot(struct work *w, const struct dict *d, struct value key)
{
	size_t at = (size_t)hash_key(w, key) & (d->slots - 1);
	for (;; at = (at + 1) & (d->slots - 1)) {
		work_steps(w, 1);
		if (!d->slot[at] || values_equal(w, d->keys[d->slot[at] - 1], key))
			return &d->slot[at];
	}
}

size_t dict_find(struct work *w, const struct dict *d, struct value key)
{
	if (!can_be_key(key))
		return SIZE_MAX;
	if (d->slot)
		return (size_t)*find_slot(w, d, key) - 1;
	for (size_t i = 0; i < d->n; i++)
		if (values_equal(w, d->keys[i], key))
			return i;
	return SIZE_MAX;
}

static void make_slots(struct work *w, struct dict *d)
{
	d->slots = 4 * d->room;
	d->slot = work_alloc(w, d->slots * sizeof *d->slot);
	for (size_t i = 0; i < d->n; i++)
		*find_slot(w, d, d->keys[i]) = (uint32_t)i + 1;
}

void dict_set(struct work *w, struct dict *d, struct value key, struct value v)
{
	if (!can_be_key(key))
		work_fail(w, "%s as a key of a dict is not supported", kind_name(key));
	size_t at = dict_find(w, d, key);
	if (at != SIZE_MAX) {
		d->values[at] = v;
		return;
	}
	work_steps(w, 1);
	if (d->n == d->room) {
		if (d->n >= UINT32_MAX / 8)
			work_fail(w, "a dict has too many keys");
		d->room = d->room ? 2 * d->room : FEW;
		d->keys = work_grow(w, d->keys, d->n, d->room, sizeof *d->keys);
		d->values = work_grow(w, d->values, d->n, d->room, sizeof *d->values);
		if (d->room > FEW)
			make_slots(w, d);
	}
	if (d->slot)
		*find_slot(w, d, key) = (uint32_t)d->n + 1;
	d->keys[d->n] = key;
	d->values[d->n++] = v;
}

struct value *dict_get(struct work *w, const struct dict *d, struct span name)
{
	size_t at = dict_find(w, d, string(name));
	return at == SIZE_MAX ? NULL : &d->values[at];
}

struct value dict_view(struct work *w, const struct dict *d, enum view view)
{
	struct value out = list_new(w, VIEW);
	out.of = (uint8_t)view;
	list_reserve(w, out, d->n);
	for (size_t i = 0; i < d->n; i++)
		list_add(w, out,
		         view == VIEW_KEYS     ? d->keys[i]
		         : view == VIEW_VALUES ? d->values[i]
		                               : pair(w, d->keys[i], d->values[i]));
	return out;
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */
static struct value list_of_json(struct work *w, const json_t *j)
{
	struct value out = list_new(w, LIST);
	for (size_t i = 0; i < json_array_size(j); i++)
		list_add(w, out, value_of_json(w, json_array_get(j, i)));
	return out;
}

static struct value dict_of_json(struct work *w, json_t *j)
{
	struct value out = dict_new(w, DICT);
	for (void *at = json_object_iter(j); at; at = json_object_iter_next(j, at)) {
		struct span key = {json_object_iter_key(at), json_object_iter_key_len(at)};
		dict_set(w, out.dict, string(key), value_of_json(w, json_object_iter_value(at)));
	}
	return out;
}

struct value value_of_json(struct work *w, const json_t *j)
{
	struct value out = none();
	work_enter(w);
	switch (json_typeof(j)) {
	case JSON_OBJECT:  out = dict_of_json(w, (json_t *)(uintptr_t)j); break;
	case JSON_ARRAY:   out = list_of_json(w, j); break;
	case JSON_STRING:  out = string((struct span){json_string_value(j), json_string_length(j)}); break;
	case JSON_INTEGER: out = integer(json_integer_value(j)); break;
	case JSON_REAL:    out = real(json_real_value(j)); break;
	case JSON_TRUE:
	case JSON_FALSE:   out = boolean(json_is_true(j)); break;
	case JSON_NULL:    break;
	}
	work_leave(w);
	return out;
}

/* ---- comparing ------------------------------------------------------------------------------------------------- */
static int sign(int64_t a, int64_t b) { return a < b ? -1 : a > b; }

/* Exact: a double of that size is a whole number. */
static int compare_whole(int64_t a, double b)
{
	if (b >= 0x1p63)
		return -1;
	if (b < -0x1p63)
		return 1;
	int order = sign(a, (int64_t)b);
	double rest = b - trunc(b);
	return order ? order : rest > 0 ? -1 : rest < 0;
}

int numbers_compare(struct value a, struct value b)
{
	if ((a.kind == FLOAT && isnan(a.f)) || (b.kind == FLOAT && isnan(b.f)))
		return 2;
	if (a.kind != FLOAT && b.kind != FLOAT)
		return sign(whole(a), whole(b));
	if (a.kind == FLOAT && b.kind == FLOAT)
		return a.f < b.f ? -1 : a.f > b.f;
	return a.kind == FLOAT ? -compare_whole(whole(b), a.f) : compare_whole(whole(a), b.f);
}

static bool lists_equal(struct work *w, const struct list *a, const struct list *b)
{
	bool equal = a->n == b->n;
	for (size_t i = 0; equal && i < a->n; i++)
		equal = values_equal(w, a->at[i], b->at[i]);
	return equal;
}

static bool dicts_equal(struct work *w, const struct dict *a, const struct dict *b)
{
	bool equal = a->n == b->n;
	for (size_t i = 0; equal && i < a->n; i++) {
		size_t at = dict_find(w, b, a->keys[i]);
		equal = at != SIZE_MAX && values_equal(w, a->values[i], b->values[at]);
	}
	return equal;
}

static bool ranges_equal(const struct range *a, const struct range *b)
{
	return a->n == b->n && (!a->n || (a->start == b->start && (a->n == 1 || a->step == b->step)));
}

bool values_equal(struct work *w, struct value a, struct value b)
{
	bool equal;
	if (is_number(a) && is_number(b))
		return numbers_compare(a, b) == 0;
	if (a.kind != b.kind)
		return false;
	work_steps(w, 1);
	work_enter(w);
	switch (a.kind) {
	case UNDEFINED:
	case NONE:      equal = true; break;
	case STRING:
		work_bytes(w, a.s.n);
		equal = spans_equal(a.s, b.s);
		break;
	case LIST:
	case TUPLE: equal = lists_equal(w, a.list, b.list); break;
	case DICT:  equal = dicts_equal(w, a.dict, b.dict); break;
	case RANGE: equal = ranges_equal(a.range, b.range); break;
	case VIEW:  work_fail(w, "comparing views of dicts is not supported");
	default:    equal = a.list == b.list; /* the same one */
	}
	work_leave(w);
	return equal;
}

bool is_true(struct value v)
{
	switch (v.kind) {
	case ABSENT:
	case UNDEFINED:
	case NONE:      return false;
	case BOOL:      return v.b;
	case INT:       return v.i != 0;
	case FLOAT:     return v.f != 0;
	case STRING:    return v.s.n != 0;
	case LIST:
	case TUPLE:
	case VIEW:      return v.list->n != 0;
	case DICT:      return v.dict->n != 0;
	case RANGE:     return v.range->n != 0;
	default:        return true;
	}
}
