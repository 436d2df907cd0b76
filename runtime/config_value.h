/* What a model says of config.json, beside what a file has there (docs/language.md, Checkpoints). The launcher and
 * `deployc import` share it, so that both accept the same files. */
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

/* The value at a path like rope_parameters.rope_theta; NULL when absent. A dot is a step into an object, never a part
 * of a key. */
json_t *config_find(json_t *root, const char *path);
/* A decimal written with fewer digits than a double has is the same number. */
bool same_number(double a, double b);
/* Numbers compare as numbers, lists element by element. v NULL: the file lacks it. */
bool config_agrees(const struct config_value *want, json_t *v);
/* The value in words, at most n bytes with the 0. */
void config_text(const struct config_value *want, char *out, size_t n);

/* Fields of the file that no name covers: a name covers itself and all below it. An object is looked into only where
 * something in it has a name. A null says nothing, and a dot in a key is no step into an object. `report` is called for
 * each, in the file's order. */
struct config_names {
	const char **at;
	size_t n;
};
void config_unknown(json_t *root, const struct config_names *names,
                    void (*report)(void *context, const char *path, json_t *v), void *context);
#endif
