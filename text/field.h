/* Fields of tokenizer.json. Every refusal names the file and the path to the field. */
#ifndef TEXT_FIELD_H
#define TEXT_FIELD_H
#include <jansson.h>
#include <stdbool.h>
#include "bytes.h"
#include "tokenizer.h"

struct field {
	const struct field *parent; /* NULL: the file itself */
	const char *name;           /* of the file; of a field; NULL: an element of a list */
	size_t index;
	json_t *v; /* NULL: absent */
	struct text_error *error;
};

struct field field_of(const struct field *f, const char *name);
struct field field_at(const struct field *f, size_t index);
/* Absent, or null. */
static inline bool field_absent(const struct field *f) { return !f->v || json_is_null(f->v); }

/* Writes "FILE: PATH: ..." as the error, and returns false. */
bool field_refuse(const struct field *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* These refuse a value of another type; those of `*out` say what an absent field means. */
bool field_object(const struct field *f);
bool field_list(const struct field *f, size_t max, size_t *n);
bool field_string(const struct field *f, struct span *out);
bool field_string_of(const struct field *f, const char *name, struct span *out);
bool field_bool_of(const struct field *f, const char *name, bool *out);
/* A whole number in [0, max]. */
bool field_number_of(const struct field *f, const char *name, int32_t max, int32_t *out);
/* One character. */
bool field_char_of(const struct field *f, const char *name, struct span *out);
/* Refuses an object with a key that is not in the list, which NULL ends: nothing is ignored. */
bool field_keys(const struct field *f, const char *const *known);

/* The `type` of an object, as an index into the list of names, which NULL ends; -1: not an object, or an unknown type,
 * which is refused as "WHAT `type` is not supported". */
int field_type(const struct field *f, const char *what, const char *const *names);
/* What `one` makes of an object, or of each element of a Sequence of such, however nested, in order. list: the key of a
 * Sequence's elements. */
bool field_sequence(const struct field *f, const char *list, bool (*one)(const struct field *f, void *context),
                    void *context);
#endif
