/* Values of templates: Python's, as far as templates can make them. All are in the memory of one work, and most never
 * change once they are made, because the sandbox forbids it. */
#ifndef JINJA_VALUE_H
#define JINJA_VALUE_H
#include <jansson.h>
#include "work.h"

enum kind {
	ABSENT, /* no value: a parameter without an argument */
	UNDEFINED,
	NONE,
	BOOL,
	INT,
	FLOAT,
	STRING,
	LIST,
	TUPLE,
	DICT,
	RANGE,
	VIEW,     /* items, keys or values of a dict */
	ITERATOR, /* can be walked once */
	NAMESPACE,
	LOOP,     /* the variable `loop` */
	MACRO,    /* {% macro %} */
	FUNCTION, /* built in */
	METHOD,   /* a method of a value */
};

struct value {
	uint8_t kind;
	uint8_t of; /* UNDEFINED: see undefined(); VIEW: enum view; STRING: whether it is safe_string() */
	union {
		bool b;
		int64_t i;
		double f;
		struct span s;     /* STRING, in UTF-8; UNDEFINED: the name */
		struct list *list; /* LIST, TUPLE, VIEW, ITERATOR */
		struct dict *dict; /* DICT, NAMESPACE */
		struct range *range;
		struct loop *loop;
		struct macro *macro;
		const struct builtin *function;
		struct method *method;
	};
};

struct list {
	struct value *at;
	size_t n, room;
	size_t next; /* ITERATOR: the first element that was not taken yet */
};
enum view { VIEW_ITEMS, VIEW_KEYS, VIEW_VALUES };

struct dict {
	struct value *keys, *values;
	size_t n, room;
	uint32_t *slot; /* 1 + an index, or 0; NULL: few keys, which are compared one by one */
	size_t slots;   /* a power of two */
};

struct range {
	int64_t start, stop, step, n;
};

struct method {
	const struct builtin *function;
	struct value self;
};

static inline struct value none(void) { return (struct value){.kind = NONE}; }
static inline struct value boolean(bool b) { return (struct value){.kind = BOOL, .b = b}; }
static inline struct value integer(int64_t i) { return (struct value){.kind = INT, .i = i}; }
static inline struct value real(double f) { return (struct value){.kind = FLOAT, .f = f}; }
static inline struct value string(struct span s) { return (struct value){.kind = STRING, .s = s}; }

/* What the filters `safe` and `escape` make: what is added to it by + is escaped. */
static inline struct value safe_string(struct span s) { return (struct value){.kind = STRING, .of = 1, .s = s}; }
static inline bool is_safe(struct value v) { return v.kind == STRING && v.of; }
/* Fails for a safe string: Python's operation would make another one, which is not supported. */
void check_unsafe(struct work *w, struct value v);

/* Undefined values say why: `name` is not a variable; not an attribute of a value of kind `of`; forbidden. */
enum { NO_VARIABLE = 0, FORBIDDEN = 255, NO_ARGUMENT = 254, NO_ELEMENT = 253 };
static inline struct value undefined(struct span name, int of)
{
	return (struct value){.kind = UNDEFINED, .of = (uint8_t)of, .s = name};
}
/* Fails: an undefined value was used for more than printing. */
_Noreturn void fail_undefined(struct work *w, struct value v);
/* "a dict", for errors. */
const char *kind_name(struct value v);

struct value list_new(struct work *w, enum kind kind);
void list_add(struct work *w, struct value list, struct value element);
void list_reserve(struct work *w, struct value list, size_t n);    /* room for n elements, of a new list */
struct value pair(struct work *w, struct value a, struct value b); /* a tuple */

struct value dict_new(struct work *w, enum kind kind);
/* The index of a key; SIZE_MAX: it has none. A value that cannot be a key, such as a list, is not found. */
size_t dict_find(struct work *w, const struct dict *d, struct value key);
/* Sets the value of a key; fails if it cannot be a key. */
void dict_set(struct work *w, struct dict *d, struct value key, struct value v);
/* The value of a name, or NULL. */
struct value *dict_get(struct work *w, const struct dict *d, struct span name);
struct value dict_view(struct work *w, const struct dict *d, enum view view);

/* JSON as values. Strings remain the JSON's. */
struct value value_of_json(struct work *w, const json_t *j);

/* Python's == and bool(). */
bool values_equal(struct work *w, struct value a, struct value b);
bool is_true(struct value v);

static inline bool is_number(struct value v) { return v.kind == BOOL || v.kind == INT || v.kind == FLOAT; }
static inline bool is_whole(struct value v) { return v.kind == BOOL || v.kind == INT; }
static inline int64_t whole(struct value v) { return v.kind == BOOL ? v.b : v.i; }
static inline double number(struct value v) { return v.kind == FLOAT ? v.f : (double)whole(v); }
/* a - b by its sign; NaN compares with nothing: 2. */
int numbers_compare(struct value a, struct value b);
#endif
