/* Reading the files of modules: what sema.c and module.c share. */
#ifndef DEPLOYC_MODULE_H
#define DEPLOYC_MODULE_H
#include "internal.h"

/* Opens a file's module: parses it, its imports first. `use`: what names it. */
struct module *module_file(struct sema *s, const char *file, const char *label, struct file_text text, struct span use);
/* The module of a file, by its absolute path without links: the open one, or it is opened with this text. */
struct module *module_at(struct sema *s, const char *file, const char *label, struct file_text text, struct span use);
/* A module that is already open; NULL after E0102. */
struct module *module_again(struct sema *s, struct module *m, struct span use);
#endif
