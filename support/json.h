/* JSON values from spans and texts, for the forms that programs read. */
#ifndef DEPLOYC_JSON_H
#define DEPLOYC_JSON_H
#include <jansson.h>
#include "source.h"

/* A string; bytes that are not UTF-8 are replaced by `?`. */
json_t *json_text(const char *text);
/* Adds line and column of both ends, 1-based, in code points; the end is past the last character. */
void json_set_region(json_t *object, const struct sources *s, struct span at, const char *const names[4]);
/* Frees the result of json_dumps. */
void json_text_free(char *text);
/* One line, members in the order in which they were set; releases the value. */
void json_put(json_t *value, FILE *out);
#endif
