/* config.json as Python writes it: JSON, and the words NaN, Infinity and -Infinity. Shared by the launcher and `deployc
 * import`. */
#ifndef DR_JSON_TEXT_H
#define DR_JSON_TEXT_H
#include <jansson.h>

/* Reads n bytes. Such a word becomes a marked string, which equals no value of a `.deploy` text. NULL: see *e. */
json_t *json_text_read(const char *text, size_t n, json_error_t *e);
/* A value on one line, as in the file: these words without marks, keys in order, reals with up to 15 digits. The caller
 * frees it. NULL: no memory. */
char *json_text_show(const json_t *v);
#endif
