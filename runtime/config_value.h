/* Compares config.json with what a model expects (docs/language.md, Checkpoints). Shared by the launcher and `deployc
 * import`, so that both accept the same files. */
#ifndef DR_CONFIG_VALUE_H
#define DR_CONFIG_VALUE_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "../support/config_type.h"

struct config_value {
	enum config_type type;
	bool b;
	int64_t i;
	double f;
	const char *s;
};

/* The value at a path like rope_parameters.rope_theta; NULL: absent. A dot separates keys and is never part of one. */
json_t *config_find(json_t *root, const char *path);
/* A decimal with fewer digits than a double is the same number. */
bool same_number(double a, double b);
/* Compares numbers as numbers, lists element by element. v NULL: absent. */
bool config_agrees(const struct config_value *want, json_t *v);
/* Writes the value as text, at most n bytes with the NUL. */
void config_text(const struct config_value *want, char *out, size_t n);

/* The key of the language model in a file of a larger one: of its one object that the program reads. NULL: the program
 * reads the file itself, or no object, or several. */
const char *config_inner_key(json_t *root, bool (*reads)(void *context, json_t *object), void *context);
/* The language model at that key, as if it were a file of its own, with what the larger file decides for its parts: a
 * tied head, how weights are quantised, and the format of numbers if the object has none. A new reference. */
json_t *config_inner(json_t *root, const char *key);

/* Calls `report` for each field that no name covers, in the file's order. A name covers its field and all nested ones.
 * An object without named fields is reported as a whole. A null is ignored. A dot in a key does not separate keys. */
struct config_names {
	const char **at;
	size_t n;
};
void config_unknown(json_t *root, const struct config_names *names,
                    void (*report)(void *context, const char *path, json_t *v), void *context);
#endif
