/* What the files deploy*.c share: one deployment while it is checked. */
#ifndef DEPLOYC_SEMA_DEPLOY_H
#define DEPLOYC_SEMA_DEPLOY_H
#include "internal.h"

struct deployment {
	struct sema *sema;
	struct deploy *deploy; /* being filled in */
	struct record *self, *model, *plan, *cluster, *work;
	bool bad; /* an error was reported for this deployment */
};

/* Reports; an error marks the deployment as bad. */
struct diag *deployment_report(struct deployment *c, enum diag_code code, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Where the value of a field was written: what to change. */
struct span field_where(const struct field *f);
/* Counts are bounded, so that a product of two of them and the bytes of a row stays within 63 bits. */
enum { MOST = 1 << 24, MOST_OF_SEQUENCE = 1 << 16 }; /* the second: rows and positions in a page */
#define MOST_POSITIONS ((int64_t)1 << 40)

/* The whole item `name = value` that sets a field last; empty where nothing outside the library sets it to a value. */
struct span field_item(const struct field *f);

/* An Int field of at least `least` and at most MOST. false, *out untouched: it is left open by an `auto`, or wrong. */
bool deployment_int(struct deployment *c, struct record *r, const char *field, int64_t least, int64_t *out);
bool deployment_within(struct deployment *c, struct record *r, const char *field, int64_t least, int64_t most,
                       int64_t *out);
/* W0810: a choice is left open. */
void deployment_auto(struct deployment *c, struct span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* deploy_machine.c: reads the machine; the memory of its device, and the formats that it multiplies. W0306, E0605. */
void deployment_machine(struct deployment *c);
/* deploy_mesh.c: mesh axes, their product against the devices, levels. E0601, E0602, E0606, W0810. */
void deployment_mesh(struct deployment *c);
/* deploy_rules.c: the rules that are not inert. E0502, E0505, W0810. Needs the mesh and the program. */
void deployment_rules(struct deployment *c);
/* deploy_fields.c: workload, pipeline, experts, communication; what this version does not honour. E0505, E0703, E0901,
 * W0521. */
void deployment_workload(struct deployment *c);
void deployment_settings(struct deployment *c);
#endif
