/* Constants of the planner's formulas: read from records of std.calibration and of engines. */
#include "deploy.h"
#include <string.h>

struct fitting {
	struct sema *sema;
	struct record *self;
	struct calibration *out;
	bool open; /* a constant is missing: left open by `auto`, or wrong and reported */
};

/* ---- parts of a fit -------------------------------------------------------------------------- */

/* A constant that every fit has. */
static double constant(struct fitting *c, struct record *r, const char *field)
{
	double x = figure_of(r, field);
	c->open |= !figure_known(x);
	return x;
}

static enum dtype format_of(struct fitting *c, struct record *r, const char *field)
{
	struct val v = value_of(r, field);
	c->open |= v.kind != V_DTYPE;
	return v.kind == V_DTYPE ? v.dtype : DTYPE_F32;
}

/* The fit's own source, or that of all. */
static const char *source_of(const struct fitting *c, struct record *r)
{
	const char *own = string_of(r, "source");
	return own ? own : c->out->source;
}

static void twice(struct fitting *c, struct record *second, struct record *first, const char *what)
{
	struct diag *d = sema_report(c->sema, DIAG_E0106, second->span, "`%s` has two fits of %s", c->out->name, what);
	diag_related(c->sema->sink, d, first->span, "first here");
	c->open = true;
}

/* The records of a list. */
struct fits {
	struct val *at;
	int n;
};

static struct fits fits_of(struct record *r, const char *field)
{
	struct val v = value_of(r, field);
	return v.kind == V_LIST ? (struct fits){v.list.at, v.list.n} : (struct fits){NULL, 0};
}

/* ---- kinds of fits --------------------------------------------------------------------------- */

static struct fit_product read_product(struct fitting *c, struct record *r)
{
	return (struct fit_product){.weights = format_of(c, r, "weights"),
	                            .activations = format_of(c, r, "activations"),
	                            .compute = constant(c, r, "compute"),
	                            .memory = constant(c, r, "memory"),
	                            .l2 = constant(c, r, "l2"),
	                            .tile = constant(c, r, "tile"),
	                            .launch = constant(c, r, "launch"),
	                            .waves = constant(c, r, "waves"),
	                            .split = constant(c, r, "split"),
	                            .casts = flag_of(r, "casts"),
	                            .untiled = flag_of(r, "untiled"),
	                            .spread = figure_of(r, "spread"),
	                            .source = source_of(c, r)};
}

static struct fit_grouped read_grouped(struct fitting *c, struct record *r)
{
	return (struct fit_grouped){.weights = format_of(c, r, "weights"),
	                            .activations = format_of(c, r, "activations"),
	                            .compute = constant(c, r, "compute"),
	                            .memory = constant(c, r, "memory"),
	                            .l2 = constant(c, r, "l2"),
	                            .tile = constant(c, r, "tile"),
	                            .launch = constant(c, r, "launch"),
	                            .untiled = flag_of(r, "untiled"),
	                            .spread = figure_of(r, "spread"),
	                            .source = source_of(c, r)};
}

static const char *formats_text(struct fitting *c, const char *what, enum dtype weights, enum dtype activations)
{
	return arena_printf(c->sema->arena, "%s of %s weights with %s activations", what, dtype_name(weights),
	                    dtype_name(activations));
}

static void read_products(struct fitting *c)
{
	struct fits fits = fits_of(c->self, "matmul");
	for (int i = 0; i < fits.n; i++) {
		struct fit_product f = read_product(c, fits.at[i].record);
		for (int k = 0; k < i; k++)
			if (c->out->products.at[k].weights == f.weights && c->out->products.at[k].activations == f.activations)
				twice(c, fits.at[i].record, fits.at[k].record, formats_text(c, "products", f.weights, f.activations));
		vec_push(c->sema->arena, &c->out->products, f);
	}
}

static void read_groups(struct fitting *c)
{
	struct fits fits = fits_of(c->self, "grouped");
	for (int i = 0; i < fits.n; i++) {
		struct fit_grouped f = read_grouped(c, fits.at[i].record);
		for (int k = 0; k < i; k++)
			if (c->out->grouped.at[k].weights == f.weights && c->out->grouped.at[k].activations == f.activations)
				twice(c, fits.at[i].record, fits.at[k].record,
				      formats_text(c, "grouped products", f.weights, f.activations));
		vec_push(c->sema->arena, &c->out->grouped, f);
	}
}

static struct fit_prefill read_prefill(struct fitting *c, struct record *r)
{
	return (struct fit_prefill){.compute = constant(c, r, "compute"),
	                            .rise = constant(c, r, "rise"),
	                            .launch = constant(c, r, "launch"),
	                            .block = constant(c, r, "block"),
	                            .spread = figure_of(r, "spread")};
}

static struct fit_decode read_decode(struct fitting *c, struct record *r)
{
	return (struct fit_decode){.memory = constant(c, r, "memory"),
	                           .launch = constant(c, r, "launch"),
	                           .block = constant(c, r, "block"),
	                           .latency = constant(c, r, "latency"),
	                           .saturation = constant(c, r, "saturation"),
	                           .compute = constant(c, r, "compute"),
	                           .spread = figure_of(r, "spread")};
}

static struct fit_attention read_kernels(struct fitting *c, struct record *r)
{
	struct record *prefill = record_of(r, "prefill"), *decode = record_of(r, "decode"),
				  *latent = record_of(r, "latent");
	struct fit_attention f = {.library = r->name ? r->name : "",
	                          .has_prefill = prefill != NULL,
	                          .has_decode = decode != NULL,
	                          .has_latent = latent != NULL,
	                          .backward = figure_of(r, "backward"),
	                          .source = source_of(c, r)};
	if (prefill)
		f.prefill = read_prefill(c, prefill);
	if (decode)
		f.decode = read_decode(c, decode);
	if (latent)
		f.latent = read_decode(c, latent);
	return f;
}

static void read_attention(struct fitting *c)
{
	struct fits fits = fits_of(c->self, "attention");
	for (int i = 0; i < fits.n; i++) {
		struct fit_attention f = read_kernels(c, fits.at[i].record);
		for (int k = 0; k < i; k++)
			if (!strcmp(c->out->attention.at[k].library, f.library))
				twice(c, fits.at[i].record, fits.at[k].record,
				      arena_printf(c->sema->arena, "attention of `%s`", f.library));
		vec_push(c->sema->arena, &c->out->attention, f);
	}
}

static void read_rows(struct fitting *c)
{
	struct record *r = record_of(c->self, "rows");
	c->out->rows = (struct fit_rows){.launch = constant(c, r, "launch"),
	                                 .pointwise = constant(c, r, "pointwise"),
	                                 .reduction = constant(c, r, "reduction"),
	                                 .spread = figure_of(r, "spread"),
	                                 .source = source_of(c, r)};
}

static struct fit_collective read_collective(struct fitting *c, struct record *r)
{
	static const char *const protocols[] = {"small", "medium", "large"};
	struct fit_collective f = {
		.hop = constant(c, r, "hop"), .spread = figure_of(r, "spread"), .source = source_of(c, r), .known = true};
	for (int i = 0; i < 3; i++) {
		struct record *protocol = record_of(r, protocols[i]);
		f.latency[i] = constant(c, protocol, "latency");
		f.share[i] = constant(c, protocol, "share");
	}
	return f;
}

static void read_collectives(struct fitting *c)
{
	static const char *const fields[COLLECTIVE_FITS] = {
		[OF_ALL_REDUCE] = "all_reduce", [OF_ALL_GATHER] = "all_gather",         [OF_REDUCE_SCATTER] = "reduce_scatter",
		[OF_ALL_TO_ALL] = "all_to_all", [OF_POINT_TO_POINT] = "point_to_point", [OF_ONE_SHOT] = "one_shot",
	};
	for (int i = 0; i < COLLECTIVE_FITS; i++) {
		struct record *r = record_of(c->self, fields[i]);
		c->out->collective[i] =
			r ? read_collective(c, r) : (struct fit_collective){.spread = ABSENT, .source = c->out->source};
	}
}

const struct calibration *calibration_read(struct sema *s, struct record *r)
{
	struct calibration *out = arena_new(s->arena, struct calibration);
	const char *source = string_of(r, "source"), *of = string_of(r, "of");
	*out = (struct calibration){
		.name = r->name, .source = source ? source : "", .of = of ? of : "", .generation = string_of(r, "generation")};
	struct fitting c = {.sema = s, .self = r, .out = out, .open = !source || !of};
	read_products(&c);
	read_groups(&c);
	read_attention(&c);
	read_rows(&c);
	read_collectives(&c);
	return c.open ? NULL : out;
}

/* ---- engines --------------------------------------------------------------------------------- */

const struct engine *engine_read(struct sema *s, struct record *r)
{
	struct engine *out = arena_new(s->arena, struct engine);
	const char *source = string_of(r, "source");
	*out = (struct engine){.name = r->name,
	                       .measured = flag_of(r, "measured"),
	                       .step = figure_of(r, "step"),
	                       .sequence = figure_of(r, "sequence"),
	                       .launch = figure_of(r, "launch"),
	                       .library = string_of(r, "attention"),
	                       .dropout = flag_of(r, "dropout"),
	                       .one_shot = flag_of(r, "one_shot"),
	                       .fused_cast = flag_of(r, "fused_cast"),
	                       .fused_products = flag_of(r, "fused_products"),
	                       .fused_passes = flag_of(r, "fused_passes"),
	                       .route_launches = (double)count_of(r, "route_launches"),
	                       .optimizer_bytes = figure_of(r, "optimizer_bytes"),
	                       .source = source ? source : ""};
	return out;
}
