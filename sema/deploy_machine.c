/* The machine of a deployment: read from the cluster's records, then checked. */
#include "deploy.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* ---- reading: the one place that looks up fields of a machine ---------------------------------- */

/* What messages point at. */
struct written {
	const struct field *memory, *peak, *reserve;
	struct record *peaks; /* entries of the formats that the device lists; NULL: none */
};

/* A figure that only a measurement gives: the default of std.hw says nothing about this machine. */
static double measured(struct record *r, const char *field)
{
	const struct field *from;
	double x = figure_from(r, field, &from);
	return from && from->sets.n ? x : ABSENT;
}

/* The entry of a format in `peak`; NULL: the device does not multiply in it. */
static const struct field *listed(struct record *peaks, enum dtype t) { return record_field(peaks, dtype_name(t)); }

static double device_memory(struct record *device, const struct field **from)
{
	return figure_from(device, "memory", from);
}

static struct accelerator read_device(struct record *r, struct written *from)
{
	struct record *efficiency = record_of(r, "efficiency");
	struct accelerator d = {.name = r ? r->name : NULL,
	                        .generation = r ? string_of(r, "generation") : NULL,
	                        .memory = device_memory(r, &from->memory),
	                        .bandwidth = figure_of(r, "bandwidth"),
	                        .matmul_efficiency = figure_of(efficiency, "matmul"),
	                        .memory_efficiency = figure_of(efficiency, "memory"),
	                        .link_efficiency = figure_of(efficiency, "link"),
	                        .power = figure_of(r, "power"),
	                        .multiprocessors = figure_of(r, "sms")};
	struct val peaks = value_from(r, "peak", &from->peak);
	from->peaks = peaks.kind == V_RECORD && peaks.record->fields.n ? peaks.record : NULL;
	for (int t = 0; t < DTYPE_COUNT; t++)
		d.peak[t] = figure_of(from->peaks, dtype_name((enum dtype)t));
	return d;
}

static enum topology topology_of(struct record *level)
{
	static const char *const names[TOPOLOGIES] = {"switch", "rail", "fat_tree", "ring"};
	struct val v = value_of(level, "topology");
	for (int i = 0; v.kind == V_SYMBOL && i < TOPOLOGIES; i++)
		if (!strcmp(v.name, names[i]))
			return (enum topology)i;
	return TOPOLOGY_OPEN;
}

struct link deployment_read_link(struct record *r)
{
	struct record *link = record_of(r, "link");
	return (struct link){.name = link ? link->name : NULL,
	                     .bandwidth = figure_of(link, "bandwidth"),
	                     .latency = measured(link, "latency")};
}

static struct level read_level(struct deployment *c, struct record *r)
{
	struct val reduces = value_of(r, "in_network_reduce");
	struct level l = {.name = r->name,
	                  .link = deployment_read_link(r),
	                  .topology = topology_of(r),
	                  .nics_per_device = figure_of(r, "nics_per_device"),
	                  .oversubscription = figure_of(r, "oversubscription"),
	                  .in_network_reduce = reduces.kind == V_BOOL && reduces.b,
	                  .span = r->span};
	deployment_int(c, r, "count", 1, &l.count);
	return l;
}

static void read_machine(struct deployment *c, struct written *from)
{
	struct machine *m = &c->deploy->machine;
	struct record *host = record_of(c->cluster, "host");
	struct val levels = value_of(c->cluster, "level");
	m->name = c->cluster->name;
	m->record = c->cluster;
	m->span = field_where(record_field(c->self, "cluster"));
	struct record *device = record_of(c->cluster, "device"), *calibration = record_of(device, "calibration");
	m->device = read_device(device, from);
	m->device.calibration = calibration ? calibration_read(c->sema, calibration) : NULL;
	for (int i = 0; levels.kind == V_LIST && i < levels.list.n; i++)
		vec_push(c->sema->arena, &m->levels, read_level(c, levels.list.at[i].record));
	m->devices = count_of(c->cluster, "devices");
	m->host = (struct host){figure_of(host, "memory"), count_of(host, "cores"), figure_of(host, "pcie")};
	struct record *reserve = record_of(c->cluster, "reserve");
	m->reserve = figure_from(reserve, "memory", &from->reserve);
	m->reserve_measured = reserve ? string_of(reserve, "measured_on") : NULL;
	m->price = figure_of(c->cluster, "price");
}

void deployment_read_machine(struct deployment *c)
{
	struct written ignored = {.peaks = NULL};
	read_machine(c, &ignored);
}

int64_t machine_unit(const struct machine *m, int level)
{
	int64_t devices = 1;
	for (int i = 0; i <= level; i++)
		if (__builtin_mul_overflow(devices, m->levels.at[i].count, &devices))
			devices = INT64_MAX;
	return devices;
}

/* ---- gigabytes on the box -------------------------------------------------------------------- */

/* The quantity that sets a device's memory last, if it is in a user's file and in powers of ten. */
static const struct node *decimal_memory(struct deployment *c, const struct field *memory)
{
	const struct field_set *set = memory->sets.n ? &memory->sets.at[memory->sets.n - 1] : NULL;
	if (!set || !set->value || set->value->kind != N_QTY || set->layer->module->is_std)
		return NULL;
	struct span unit = set->value->num.unit;
	const char *text = c->sema->sink->sources->files.at[unit.file].text + unit.lo;
	return unit.hi - unit.lo == 2 && (!strncmp(text, "GB", 2) || !strncmp(text, "TB", 2)) ? set->value : NULL;
}

/* Length of the make at the start of a device's name, `H100` in `H100_SXM`: letters and digits. 0: no digits. */
static size_t make_length(const char *name)
{
	size_t n = 0;
	bool digit = false;
	for (; isalnum((unsigned char)name[n]); n++)
		digit |= isdigit((unsigned char)name[n]) != 0;
	return digit ? n : 0;
}

static double distance(double a, double b) { return a > b ? a - b : b - a; }

/* A device of the library. */
struct known {
	const char *name; /* NULL: there is none */
	double memory;
	const struct field *field; /* its memory */
};

/* The library's device of the same make with the memory nearest to a number of GiB. */
static struct known library_device(struct deployment *c, const char *name, double gib)
{
	struct module *m = module_std(c->sema, "clusters", c->cluster->span);
	size_t n = make_length(name);
	struct known nearest = {.name = NULL};
	for (int i = 0; n && m && i < m->own.n; i++) {
		struct def *def = m->own.at[i];
		if (strcmp(def->kind, "device") != 0 || make_length(def->name) != n || strncasecmp(def->name, name, n) != 0)
			continue;
		struct record *r = def_record(c->sema, def);
		struct known device = {def->name, 0, NULL};
		device.memory = device_memory(r, &device.field);
		if (figure_known(device.memory)
		    && (!nearest.name || distance(device.memory / 0x1p30, gib) < distance(nearest.memory / 0x1p30, gib)))
			nearest = device;
	}
	return nearest;
}

/* "80 GB" on a box is neither 80 GB nor what is usable. W0306 if the library knows what the driver reports. */
static void check_memory(struct deployment *c, const struct field *memory)
{
	struct sema *s = c->sema;
	const struct accelerator *device = &c->deploy->machine.device;
	const struct node *written = memory ? decimal_memory(c, memory) : NULL;
	struct known known = {.name = NULL};
	if (written)
		known = library_device(c, device->name, device->memory / 1e9);
	if (!known.name || distance(known.memory, device->memory) < 0.01 * device->memory)
		return;
	double reported = known.memory / 0x1p30;
	struct diag *d = sema_report(s, DIAG_W0306, written->span, "%g GB is %.1f GiB; the driver of `%s` reports %.1f GiB",
	                             device->memory / 1e9, device->memory / 0x1p30, known.name, reported);
	diag_related(s->sink, d, field_where(known.field), "as the driver reports it");
	const char *gib = arena_printf(s->arena, "%g GiB", reported);
	diag_help(s->sink, d, "write `%s`, or use `%s` of std.clusters", gib, known.name);
	diag_fix(s->sink, d, written->span, gib);
}

/* ---- number formats -------------------------------------------------------------------------- */

static const char *formats_text(struct deployment *c, const struct record *peaks)
{
	struct text t = {.arena = c->sema->arena};
	for (int i = 0; i < peaks->fields.n; i++)
		text_add(&t, "%s%s", i ? ", " : "", peaks->fields.at[i]->name);
	return t.at;
}

/* A phrase for help: another 16-bit format that the device has. */
static const char *other_format(struct record *peaks, enum dtype missing)
{
	enum dtype other = missing == DTYPE_BF16 ? DTYPE_F16 : DTYPE_BF16;
	return listed(peaks, other) ? dtype_name(other) : "f32";
}

/* `require` cannot check each entry of a map. */
static void check_rate(struct deployment *c, struct record *peaks, const struct field *f)
{
	struct val rate = record_get(peaks, f->name, f->span);
	double x;
	if (val_number(rate, &x) && x <= 0)
		deployment_report(c, DIAG_E0203, field_where(f), "`peak.%s` expects a FlopRate above 0, found %s", f->name,
		                  val_show(c->sema, rate));
}

/* A device does not multiply formats without an entry in `peak`. Every device multiplies f32. */
static void check_formats(struct deployment *c, const struct written *from)
{
	const struct program *p = c->deploy->program;
	struct record *peaks = from->peaks;
	if (!peaks)
		return;
	for (int i = 0; i < peaks->fields.n; i++)
		check_rate(c, peaks, peaks->fields.at[i]);
	bool said[DTYPE_COUNT] = {[DTYPE_F32] = true};
	for (int i = 0; i < p->values.n; i++) {
		const struct value *v = &p->values.at[i];
		enum dtype t = v->op == OP_CONTRACT ? p->values.at[v->args[0]].dtype : DTYPE_F32;
		if (said[t] || listed(peaks, t))
			continue;
		said[t] = true;
		struct diag *d =
			deployment_report(c, DIAG_E0605, c->deploy->machine.span, "`%s` multiplies in %s, which `%s` does not",
		                      c->deploy->model_name, dtype_name(t), c->deploy->machine.device.name);
		diag_related(c->sema->sink, d, v->span, "the first such product");
		diag_related(c->sema->sink, d, field_where(from->peak), "products in %s", formats_text(c, peaks));
		const char *other = other_format(peaks, t);
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

static void check_reserve(struct deployment *c, const struct field *memory, const struct field *kept)
{
	const struct machine *m = &c->deploy->machine;
	if (!figure_known(m->reserve) || !figure_known(m->device.memory) || m->reserve < m->device.memory)
		return;
	const struct field *wrong = !set_by_author(kept) && set_by_author(memory) ? memory : kept;
	struct arena *a = c->sema->arena;
	struct diag *diag =
		deployment_report(c, DIAG_E0203, field_where(wrong), "the reserve takes a whole device: %s of %s",
	                      val_data_text(a, m->reserve), val_data_text(a, m->device.memory));
	diag_related(c->sema->sink, diag, field_where(wrong == kept ? memory : kept),
	             wrong == kept ? "the memory of a device" : "the reserve");
}

void deployment_machine(struct deployment *c)
{
	struct written from = {.peaks = NULL};
	read_machine(c, &from);
	check_memory(c, from.memory);
	check_formats(c, &from);
	check_reserve(c, from.memory, from.reserve);
}
