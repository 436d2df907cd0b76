/* config.json as Python writes it: JSON, and the words NaN, Infinity and -Infinity. Shared by the launcher and `deployc
 * import`. */
#ifndef DR_JSON_TEXT_H
#define DR_JSON_TEXT_H
#include <jansson.h>

/* Reads n bytes. Such a word becomes a string with a mark: it is there, and equals no value of a `.deploy` text. NULL:
 * see *e. */
json_t *json_text_read(const char *text, size_t n, json_error_t *e);
/* A value on one line, as the file has it: these words bare again, keys in order, reals with up to 15 digits. To be
 * freed; NULL for lack of memory. */
char *json_text_show(const json_t *v);
#endif
