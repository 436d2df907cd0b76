/* config.json of a checkpoint -> its `.deploy` model, by reading the `config` of its family backwards. */
#ifndef DEPLOYC_IMPORT_H
#define DEPLOYC_IMPORT_H
#include <stdio.h>
#include "../sema/sema.h"

struct imported {
	const char *text;   /* of the file to write; NULL: none, the reasons were reported */
	const char *source; /* the config.json that was read */
};

struct import_options {
	const struct sema_options *sema; /* its folders (-I) are searched for families, before the library */
	const char *output;              /* the file to write, from whose folder the model imports; NULL: standard output */
};

/* Reads PATH, a config.json or the folder of one. Problems go to stderr, one line each; mistakes in the user's families
 * and in the resulting model go to `sink`. */
struct imported import_checkpoint(struct arena *arena, struct names *names, struct sink *sink, const char *path,
                                  const struct import_options *o);
#endif
