/* The devices of a deployment: their memory, and the number formats that they multiply. */
#include "deploy.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

static double magnitude(struct record *r, const char *field)
{
	double x = 0;
	if (record_field(r, field))
		val_number(record_get(r, field, r->span), &x);
	return x;
}

/* ---- gigabytes on the box -------------------------------------------------------------------- */

/* The quantity that sets the memory of a device last, if it is written in a file of the author's in powers of ten. */
static const struct node *decimal_memory(struct deployment *c, const struct field *memory)
{
	const struct field_set *set = memory->sets.n ? &memory->sets.at[memory->sets.n - 1] : NULL;
	if (!set || !set->value || set->value->kind != N_QTY || set->layer->module->is_std)
		return NULL;
	struct span unit = set->value->num.unit;
	const char *text = c->sema->sink->sources->files.at[unit.file].text + unit.lo;
	return unit.hi - unit.lo == 2 && (!strncmp(text, "GB", 2) || !strncmp(text, "TB", 2)) ? set->value : NULL;
}

/* Letters and digits at the start of a name: the make of a device, `H100` of `H100_SXM`. 0: no digit is among them. */
static size_t make_length(const char *name)
{
	size_t n = 0;
	bool digit = false;
	for (; isalnum((unsigned char)name[n]); n++)
		digit |= isdigit((unsigned char)name[n]) != 0;
	return digit ? n : 0;
}

static double distance(double a, double b) { return a > b ? a - b : b - a; }

/* The device of the library of the same make whose memory is nearest to a number of GiB; NULL: it has none of that
 * make. */
static struct record *library_device(struct deployment *c, const struct record *device, double gib)
{
	struct module *m = module_std(c->sema, "clusters", device->span);
	size_t n = make_length(device->name);
	struct record *nearest = NULL;
	for (int i = 0; n && m && i < m->own.n; i++) {
		struct def *def = m->own.at[i];
		if (strcmp(def->kind, "device") != 0 || make_length(def->name) != n
		    || strncasecmp(def->name, device->name, n) != 0)
			continue;
		struct record *r = def_record(c->sema, def);
		double there = r ? magnitude(r, "memory") / 0x1p30 : 0;
		if (there > 0 && (!nearest || distance(there, gib) < distance(magnitude(nearest, "memory") / 0x1p30, gib)))
			nearest = r;
	}
	return nearest;
}

/* Boxes say GB and mean neither GB nor what is usable: W0306 where the library knows what the driver reports. */
static void check_memory(struct deployment *c, struct record *device)
{
	struct sema *s = c->sema;
	const struct field *memory = record_field(device, "memory");
	const struct node *written = memory ? decimal_memory(c, memory) : NULL;
	double bytes = magnitude(device, "memory");
	struct record *known = written ? library_device(c, device, bytes / 1e9) : NULL;
	if (!known || distance(magnitude(known, "memory"), bytes) < 0.01 * bytes)
		return;
	double reported = magnitude(known, "memory") / 0x1p30;
	struct diag *d = sema_report(s, DIAG_W0306, written->span, "%g GB is %.1f GiB; the driver of `%s` reports %.1f GiB",
	                             bytes / 1e9, bytes / 0x1p30, known->name, reported);
	diag_related(s->sink, d, field_where(record_field(known, "memory")), "as the driver reports it");
	const char *gib = arena_printf(s->arena, "%g GiB", reported);
	diag_help(s->sink, d, "write `%s`, or use `%s` of std.clusters", gib, known->name);
	diag_fix(s->sink, d, written->span, gib);
}

/* ---- number formats -------------------------------------------------------------------------- */

static const char *formats_text(struct deployment *c, const struct record *peak)
{
	struct text t = {.arena = c->sema->arena};
	for (int i = 0; i < peak->fields.n; i++)
		text_add(&t, "%s%s", i ? ", " : "", peak->fields.at[i]->name);
	return t.at;
}

/* The edit in words: another 16-bit format that the device has. */
static const char *other_format(struct record *peak, enum dtype missing)
{
	enum dtype other = missing == DTYPE_BF16 ? DTYPE_F16 : DTYPE_BF16;
	return record_field(peak, dtype_name(other)) ? dtype_name(other) : "f32";
}

/* `require` cannot say this of each entry of a map. */
static void check_rate(struct deployment *c, struct record *peak, const struct field *f)
{
	struct val rate = record_get(peak, f->name, f->span);
	double x;
	if (val_number(rate, &x) && x <= 0)
		deployment_report(c, DIAG_E0203, field_where(f), "`peak.%s` expects a FlopRate above 0, found %s", f->name,
		                  val_show(c->sema, rate));
}

/* A format without an entry in `peak` is one that the device has no products for; f32 every device has. */
static void check_formats(struct deployment *c, struct record *device)
{
	const struct program *p = c->deploy->program;
	struct val peak = record_field(device, "peak") ? record_get(device, "peak", device->span) : val_bad();
	if (peak.kind != V_RECORD || !peak.record->fields.n)
		return;
	for (int i = 0; i < peak.record->fields.n; i++)
		check_rate(c, peak.record, peak.record->fields.at[i]);
	bool said[DTYPE_COUNT] = {[DTYPE_F32] = true};
	for (int i = 0; i < p->values.n; i++) {
		const struct value *v = &p->values.at[i];
		enum dtype t = v->op == OP_CONTRACT ? p->values.at[v->args[0]].dtype : DTYPE_F32;
		if (said[t] || record_field(peak.record, dtype_name(t)))
			continue;
		said[t] = true;
		struct diag *d = deployment_report(c, DIAG_E0605, field_where(record_field(c->self, "cluster")),
		                                   "`%s` multiplies in %s, which `%s` does not", c->deploy->model_name,
		                                   dtype_name(t), device->name);
		diag_related(c->sema->sink, d, v->span, "the first such product");
		diag_related(c->sema->sink, d, field_where(record_field(device, "peak")), "products in %s",
		             formats_text(c, peak.record));
		const char *other = other_format(peak.record, t);
		struct suggestion values[] = {{"model.weight", other}, {"model.act", other}, {"model.kv", other}};
		if (diag_check(c->sema->sink, c->deploy->name, DIAG_E0605, values, 3) >= 0)
			diag_help(c->sema->sink, d,
			          "compute in a format that the device multiplies, `%s { weight = %s; act = %s; kv = %s }`; or "
			          "list its peak in %s",
			          c->deploy->model_name, other, other, other, dtype_name(t));
		else
			diag_help(c->sema->sink, d, "compute in a format that the device multiplies, or list its peak in %s",
			          dtype_name(t));
	}
}

static bool set_by_author(const struct field *f)
{
	return f->sets.n && !f->sets.at[f->sets.n - 1].layer->module->is_std;
}

static void check_reserve(struct deployment *c, struct record *device, struct record *reserve)
{
	struct deploy *d = c->deploy;
	const struct field *memory = record_field(device, "memory"), *kept = record_field(reserve, "memory");
	d->reserve_memory = magnitude(reserve, "memory");
	if (!memory || !kept || d->reserve_memory < d->device_memory)
		return;
	const struct field *wrong = !set_by_author(kept) && set_by_author(memory) ? memory : kept;
	struct arena *a = c->sema->arena;
	struct diag *diag =
		deployment_report(c, DIAG_E0203, field_where(wrong), "the reserve takes a whole device: %s of %s",
	                      val_data_text(a, d->reserve_memory), val_data_text(a, d->device_memory));
	diag_related(c->sema->sink, diag, field_where(wrong == kept ? memory : kept),
	             wrong == kept ? "the memory of a device" : "the reserve");
}

void deployment_machine(struct deployment *c)
{
	struct val device = record_get(c->cluster, "device", c->cluster->span);
	struct val reserve = record_get(c->cluster, "reserve", c->cluster->span);
	c->deploy->cluster_name = c->cluster->name;
	if (device.kind == V_RECORD) {
		c->deploy->device_name = device.record->name;
		c->deploy->device_memory = magnitude(device.record, "memory");
		c->deploy->device_bandwidth = magnitude(device.record, "bandwidth");
		check_memory(c, device.record);
		check_formats(c, device.record);
	}
	if (reserve.kind == V_RECORD && device.kind == V_RECORD)
		check_reserve(c, device.record, reserve.record);
}
