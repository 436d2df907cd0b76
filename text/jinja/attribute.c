/* Attributes and items. As in Jinja2, a.name prefers a method to the key of a dict, and a["name"] the key. */
#include "attribute.h"
#include "literal.h"
#include "loop.h"
#include "methods.h"
#include "sequence.h"

static bool is_internal(struct span name) { return name.n > 1 && !memcmp(name.at, "__", 2); }

void check_attribute(struct work *w, struct span name, bool called)
{
	const struct builtin *method;
	if (is_internal(name))
		work_fail(w, "attribute `%.*s` is forbidden in templates", SHOWN(name));
	if (!called)
		return;
	bool known = find_method(STRING, name, &method) == IS_METHOD || find_method(LIST, name, &method) == IS_METHOD
	             || find_method(DICT, name, &method) == IS_METHOD;
	if (!known
	    && (find_method(STRING, name, &method) == METHOD_UNSUPPORTED
	        || find_method(DICT, name, &method) == METHOD_UNSUPPORTED))
		work_fail(w, "method `%.*s` is not supported", SHOWN(name));
}

/* A method, or an attribute of what is not a dict; ABSENT: there is none. */
static struct value own_attribute(struct work *w, struct value v, struct span name)
{
	const struct builtin *function;
	struct value absent = {.kind = ABSENT};
	if (is_internal(name))
		return undefined(name, FORBIDDEN);
	if (v.kind == LOOP)
		return loop_attribute(v.loop, name);
	if (v.kind == NAMESPACE) {
		struct value *found = dict_get(w, v.dict, name);
		return found ? *found : absent;
	}
	if (v.kind == MACRO || v.kind == FUNCTION || v.kind == ITERATOR || v.kind == VIEW)
		work_fail(w, "attribute `%.*s` of %s is not supported", SHOWN(name), kind_name(v));
	check_unsafe(w, v);
	switch (find_method(v.kind, name, &function)) {
	case NO_METHOD:          return absent;
	case METHOD_FORBIDDEN:   return undefined(name, FORBIDDEN);
	case METHOD_UNSUPPORTED: work_fail(w, "attribute `%.*s` of %s is not supported", SHOWN(name), kind_name(v));
	case IS_METHOD:          break;
	}
	struct method *m = work_alloc(w, sizeof *m);
	*m = (struct method){function, v};
	return (struct value){.kind = METHOD, .method = m};
}

struct value attribute(struct work *w, struct value v, struct span name)
{
	if (v.kind == UNDEFINED)
		fail_undefined(w, v);
	struct value own = own_attribute(w, v, name);
	if (own.kind != ABSENT)
		return own;
	struct value *found = v.kind == DICT ? dict_get(w, v.dict, name) : NULL;
	return found ? *found : undefined(name, v.kind);
}

struct value item(struct work *w, struct value v, struct value key)
{
	if (v.kind == UNDEFINED)
		fail_undefined(w, v);
	if (v.kind == DICT) {
		size_t at = dict_find(w, v.dict, key);
		if (at != SIZE_MAX)
			return v.dict->values[at];
	}
	if (is_whole(key)) {
		check_unsafe(w, v);
		struct value found = element(w, v, whole(key));
		if (found.kind != ABSENT)
			return found;
	}
	if (key.kind != STRING)
		return undefined(SPAN("an element is missing"), NO_ELEMENT);
	struct value own = own_attribute(w, v, key.s);
	return own.kind != ABSENT ? own : undefined(key.s, v.kind);
}

static struct value item_or(struct work *w, struct value v, struct value key, struct value missing)
{
	struct value found = item(w, v, key);
	return found.kind == UNDEFINED && missing.kind != ABSENT && missing.kind != NONE ? missing : found;
}

/* A part of a path: digits are an index. */
static struct value path_key(struct work *w, struct span part)
{
	struct value key = string(part);
	size_t digits = 0;
	while (digits < part.n && part.at[digits] >= '0' && part.at[digits] <= '9')
		digits++;
	if (!part.n || digits < part.n)
		return key;
	key.kind = INT;
	if (!parse_whole(w, part, 10, &key.i))
		work_fail(w, "`%.*s` is not an index", SHOWN(part));
	return key;
}

struct value item_by_path(struct work *w, struct value v, struct value path, struct value missing)
{
	if (path.kind == ABSENT || path.kind == NONE)
		return v;
	if (path.kind != STRING)
		return item_or(w, v, path, missing);
	for (struct span rest = path.s;;) {
		const char *dot = rest.n ? memchr(rest.at, '.', rest.n) : NULL;
		struct span part = {rest.at, dot ? (size_t)(dot - rest.at) : rest.n};
		v = item_or(w, v, path_key(w, part), missing);
		if (!dot)
			return v;
		rest = (struct span){dot + 1, rest.n - part.n - 1};
	}
}
