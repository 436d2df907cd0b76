/* Reads a file into memory. */
#ifndef TEXT_FILE_H
#define TEXT_FILE_H
#include "field.h"

/* Appends the file with the field's name; false: refused. */
bool text_file_read(const struct field *f, struct bytes *out);
#endif
