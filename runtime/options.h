/* The launcher's options (options.def) and environment (env.def). */
#ifndef DEPLOY_OPTIONS_H
#define DEPLOY_OPTIONS_H
#include "runtime.h"

enum command { RUN = 1, BENCH = 2, PLAN = 4, PROBE = 8, TOKENIZE = 16 };

/* For --help. */
void print_options(void);
/* These return false after a message: for the options of a command; for its environment, of which an image of some form
 * has a device; for options that do not go together. */
bool parse_options(struct options *o, int command, int argc, char **argv);
bool read_environment(struct options *o, enum dr_image_form form);
bool options_agree(const struct options *o);
#endif
