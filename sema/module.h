/* Reading the files of modules: shared by sema.c and module.c. */
#ifndef DEPLOYC_MODULE_H
#define DEPLOYC_MODULE_H
#include "internal.h"

/* Opens a file's module: parses the file, opens its imports, then checks it. `use`: where it is imported. */
struct module *module_file(struct sema *s, const char *file, const char *label, struct file_text text, struct span use);
/* The module of a file, by its absolute path without links. Opens it with this text if it is not open yet. */
struct module *module_at(struct sema *s, const char *file, const char *label, struct file_text text, struct span use);
/* A module that is already open; NULL after E0102. */
struct module *module_again(struct sema *s, struct module *m, struct span use);
#endif
