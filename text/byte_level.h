/* The alphabet of vocabularies of bytes (GPT-2): each byte is a printable character below U+0144. */
#ifndef TEXT_BYTE_LEVEL_H
#define TEXT_BYTE_LEVEL_H
#include <stdbool.h>
#include "bytes.h"

/* Appends the character of each byte. */
void byte_level_add(struct span text, struct bytes *out);
/* Appends the bytes that the characters stand for. false, and nothing appended: one of them stands for none. */
bool byte_level_decode(struct span text, struct bytes *out);
#endif
