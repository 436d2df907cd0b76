/* Shared by deploy*.c: one deployment while it is checked. */
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
/* The span to change: where the value of a field was written. */
struct span field_where(const struct field *f);
/* Limits of counts: a product of two of them and the bytes of a row stays within 63 bits. */
enum { MAX_COUNT = 1 << 24, MAX_PER_SEQUENCE = 1 << 16 }; /* PER_SEQUENCE: rows, and positions in a page */
#define MAX_POSITIONS ((int64_t)1 << 40)

/* The last item `name = value` that sets a field; empty if only the library sets it. */
struct span field_item(const struct field *f);

/* Reads an Int field in [min, MAX_COUNT]. false, with *out untouched: an `auto` leaves it open, or it is wrong. */
bool deployment_int(struct deployment *c, struct record *r, const char *field, int64_t min, int64_t *out);
bool deployment_within(struct deployment *c, struct record *r, const char *field, int64_t min, int64_t max,
                       int64_t *out);
/* W0810: a choice is left open. */
void deployment_auto(struct deployment *c, struct span at, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* deploy_read.c: fields of a record, which may be NULL, as plain values. *from: the field, or NULL. A missing
 * field is none, NULL, ABSENT or 0; so is one that `auto` leaves open. */
struct val value_from(struct record *r, const char *field, const struct field **from);
struct val value_of(struct record *r, const char *field);
struct record *record_of(struct record *r, const char *field);
double figure_from(struct record *r, const char *field, const struct field **from);
double figure_of(struct record *r, const char *field);
int64_t count_of(struct record *r, const char *field);
bool flag_of(struct record *r, const char *field);
const char *string_of(struct record *r, const char *field); /* of a String; NULL: none */

/* deploy_calibration.c: the constants of a record of std.calibration. NULL: `auto` leaves one open, or a report was
 * made (E0106: two fits for one purpose). */
const struct calibration *calibration_read(struct sema *s, struct record *r);
/* The engine of a deployment; never NULL. An open time is ABSENT. */
const struct engine *engine_read(struct sema *s, struct record *r);
/* deploy_machine.c: reads the machine; the memory of its device, and the formats that it multiplies. W0306, E0605. */
void deployment_machine(struct deployment *c);
/* The machine alone, of c->cluster, without checks; and the link in a record's field `link`, ABSENT without one. */
void deployment_read_machine(struct deployment *c);
struct link deployment_read_link(struct record *r);
/* deploy_mesh.c: mesh axes, levels; compares products with the devices. E0601, E0602, E0606, W0810. */
void deployment_mesh(struct deployment *c);
/* deploy_rules.c: a rule as a field, "rule expert at moe phase decode", and as its value, "ep * tp". */
const char *deploy_rule_path(struct arena *a, const struct deploy *d, const struct rule *r);
const char *deploy_rule_target(struct arena *a, const struct deploy *d, const struct rule *r);
/* The rules that are not inert. Needs the mesh and the program. E0502, E0505, W0810. */
void deployment_rules(struct deployment *c);
/* deploy_fields.c: workload, pipeline, experts, communication; settings that this version does not honour. E0505,
 * E0703, E0901, W0521. */
void deployment_workload(struct deployment *c);
void deployment_settings(struct deployment *c);
/* deploy_load.c: laws of lengths and arrivals of Inference, whose ranges of lengths are read. E0203, E0707. */
void deployment_load(struct deployment *c, int64_t shortest_output);
#endif
