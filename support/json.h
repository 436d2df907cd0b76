/* JSON values from spans, texts and figures, for the forms that programs read. */
#ifndef DEPLOYC_JSON_H
#define DEPLOYC_JSON_H
#include <jansson.h>
#include "source.h"

/* A string; bytes that are not UTF-8 are replaced by `?`. */
json_t *json_text(const char *text);
json_t *json_text_or_null(const char *text); /* null for NULL and "" */
/* An integer where the figure is one that a double holds exactly; null where it is unknown (NaN) or infinite. */
json_t *json_figure(double figure);
/* [begin, end] */
json_t *json_range(double begin, double end);
/* Adds a member; the object owns the value. */
void json_set(json_t *object, const char *name, json_t *value);
/* The head of a document: what it is, and the version of its form. */
json_t *json_document(const char *format, int version);
/* Adds line and column of both ends, 1-based, in code points; the end is past the last character. */
void json_set_region(json_t *object, const struct sources *s, struct span at, const char *const names[4]);
/* Frees the result of json_dumps. */
void json_text_free(char *text);
/* One line, members in the order in which they were set; releases the value. */
void json_put(json_t *value, FILE *out);
/* The same over several lines, with a newline at the end. */
void json_put_lines(json_t *value, FILE *out);
#endif
