/* deployc init: a first spec, from answers. */
#ifndef DEPLOYC_INIT_H
#define DEPLOYC_INIT_H
#include "compile.h"

/* What was asked for, and what is known of it. */
struct first_spec {
	const struct options *options;
	struct arena *arena;
	struct compilation library; /* of which names are looked up */
	const char *model, *cluster;
	const char *settings;   /* fields of the model that are set; "": none */
	const char *here;       /* a file with a cluster, or NULL */
	const char *field;      /* of the cluster: how many of its largest units there are; NULL: it has one size */
	int64_t devices, units; /* of the cluster as it is: devices, and the value of that field */
	int64_t gpus;           /* 0: as few as fit */
};

const char *folder_of(struct arena *a, const char *path); /* "." of a name alone */
/* init.c: answers, from options or from questions. EXIT_OK, or another status after a message. */
/* init_plan.c: the text of a spec that `check` accepts, with the plan that was chosen; NULL after a message. */
const char *init_plan(struct first_spec *f);
#endif
