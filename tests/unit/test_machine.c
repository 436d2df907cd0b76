/* The machine of a deployment: each figure of a spec in base units, and what is absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "sema_fixture.h"

/* Every field of std.hw is written here. */
static const char stated[] = "device Card : Accelerator {\n"
							 "  memory = 47.5 GiB; bandwidth = 864 GB/s; power = 300 W; sms = 142\n"
							 "  peak { f32 = 90 TFLOPS; bf16 = 181 TFLOPS; i8 = 362 TOPS }\n"
							 "  efficiency { matmul = 80%; memory = 75%; link = 90% }\n"
							 "}\n"
							 "link Lane : Link { bidirectional = 64 GB/s; latency = 2 us }\n"
							 "link Net : Link { unidirectional = 100 Gbit/s; latency = 5 us }\n"
							 "cluster Office : Cluster {\n"
							 "  device = Card\n"
							 "  level box { count = 4; link = Lane; topology = ring; in_network_reduce = true }\n"
							 "  level room { count = 2; link = Net; topology = fat_tree\n"
							 "    nics_per_device = 0.5; oversubscription = 2.5 }\n"
							 "  level site { count = 3; link = Net; topology = rail }\n"
							 "  host { memory = 2 TiB; cores = 64; pcie = 32 GB/s }\n"
							 "  reserve { memory = 1.5 GiB }\n"
							 "  price = 3.60 USD/h\n"
							 "}\n";

/* Only what std.hw requires. */
static const char bare[] = "device Card : Accelerator { memory = 64 GB; bandwidth = 1 TB/s }\n"
						   "link Net : Link { unidirectional = 1 GB/s }\n"
						   "cluster Office : Cluster {\n"
						   "  device = Card\n"
						   "  level box { count = 8 }\n"
						   "  level room { count = 3; link = Net }\n"
						   "}\n";

/* The machine of a deployment on `Office { refined }`. */
static const struct machine *machine_of(struct fixture *f, const char *declarations, const char *refined)
{
	const char *text = arena_printf(&f->arena,
	                                "use std.hw { Accelerator, Link, Cluster }\n"
	                                "use std.models { Qwen3_8B }\n"
	                                "use std.workload { Inference }\n"
	                                "plan One { mesh tp = 1 }\n"
	                                "%sdeploy D {\n"
	                                "  model = Qwen3_8B; cluster = Office { %s }; plan = One; gpus = 1\n"
	                                "  workload = Inference { batch = 8; seq = 64 }\n"
	                                "}\n",
	                                declarations, refined);
	struct sema *s = fixture_load(f, text);
	int n;
	struct deploy **all = sema_deploys(s, &n);
	assert_int_equal(n, 1);
	assert_non_null(all[0]->program);
	return &all[0]->machine;
}

#define IS(figure, value) assert_true(fabs((figure) - (double)(value)) <= 1e-12 * fabs((double)(value)))
#define IS_ABSENT(figure) assert_false(figure_known(figure))

/* Formats that are not in `listed` have no peak. */
static void only_peaks(const struct accelerator *d, const enum dtype *listed, int n)
{
	for (int t = 0; t < DTYPE_COUNT; t++) {
		bool is_listed = false;
		for (int i = 0; i < n; i++)
			is_listed |= listed[i] == (enum dtype)t;
		assert_int_equal(figure_known(d->peak[t]), is_listed);
	}
}

static void stated_figures_are_in_base_units(void **state)
{
	const struct machine *m = machine_of(*state, stated, "");
	const struct accelerator *d = &m->device;
	assert_string_equal(m->name, "Office");
	assert_string_equal(d->name, "Card");
	IS(d->memory, 47.5 * 0x1p30);
	IS(d->bandwidth, 864e9);
	IS(d->peak[DTYPE_F32], 90e12);
	IS(d->peak[DTYPE_BF16], 181e12);
	IS(d->peak[DTYPE_I8], 362e12);
	only_peaks(d, (const enum dtype[]){DTYPE_F32, DTYPE_BF16, DTYPE_I8}, 3);
	IS(d->matmul_efficiency, 0.8);
	IS(d->memory_efficiency, 0.75);
	IS(d->link_efficiency, 0.9);
	IS(d->power, 300);
	IS(d->multiprocessors, 142);
	assert_null(d->calibration);
	IS(m->host.memory, 0x1p41);
	assert_int_equal(m->host.cores, 64);
	IS(m->host.pcie, 32e9);
	IS(m->reserve, 1.5 * 0x1p30);
	IS(m->price, 0.001);
}

static void levels_are_inside_out(void **state)
{
	const struct machine *m = machine_of(*state, stated, "");
	assert_int_equal(m->levels.n, 3);
	assert_int_equal(m->devices, 24);
	const struct level *box = &m->levels.at[0], *room = &m->levels.at[1], *site = &m->levels.at[2];
	assert_string_equal(box->name, "box");
	assert_int_equal(box->count, 4);
	assert_string_equal(box->link.name, "Lane");
	IS(box->link.bandwidth, 32e9); /* one direction of two */
	IS(box->link.latency, 2e-6);
	assert_int_equal(box->topology, TOPOLOGY_RING);
	IS(box->nics_per_device, 1);
	IS(box->oversubscription, 1);
	assert_true(box->in_network_reduce);
	assert_string_equal(room->name, "room");
	assert_int_equal(room->count, 2);
	assert_string_equal(room->link.name, "Net");
	IS(room->link.bandwidth, 12.5e9); /* bits */
	IS(room->link.latency, 5e-6);
	assert_int_equal(room->topology, TOPOLOGY_FAT_TREE);
	IS(room->nics_per_device, 0.5);
	IS(room->oversubscription, 2.5);
	assert_false(room->in_network_reduce);
	assert_int_equal(site->topology, TOPOLOGY_RAIL);
	assert_int_equal(machine_unit(m, 0), 4);
	assert_int_equal(machine_unit(m, 1), 8);
	assert_int_equal(machine_unit(m, 2), 24);
}

static void refinements_of_the_deployment_count(void **state)
{
	const struct machine *m = machine_of(*state, stated, "level box { count = 2 }; reserve { memory = 1 GB }");
	assert_int_equal(m->levels.at[0].count, 2);
	assert_int_equal(m->devices, 12);
	IS(m->reserve, 1e9);
}

/* std.hw's default of 0 s is not a figure of this machine. */
static void what_is_not_stated_is_absent(void **state)
{
	const struct machine *m = machine_of(*state, bare, "");
	const struct accelerator *d = &m->device;
	IS(d->memory, 64e9);
	IS(d->bandwidth, 1e12);
	only_peaks(d, NULL, 0);
	IS_ABSENT(d->matmul_efficiency);
	IS_ABSENT(d->memory_efficiency);
	IS_ABSENT(d->link_efficiency);
	IS_ABSENT(d->power);
	IS_ABSENT(d->multiprocessors);
	const struct level *box = &m->levels.at[0], *room = &m->levels.at[1];
	assert_null(box->link.name);
	IS_ABSENT(box->link.bandwidth);
	IS_ABSENT(box->link.latency);
	assert_int_equal(box->topology, TOPOLOGY_SWITCH);
	IS(box->nics_per_device, 1);
	IS(box->oversubscription, 1);
	assert_false(box->in_network_reduce);
	assert_string_equal(room->link.name, "Net");
	IS(room->link.bandwidth, 1e9);
	IS_ABSENT(room->link.latency);
	IS_ABSENT(m->host.memory);
	assert_int_equal(m->host.cores, 0);
	IS_ABSENT(m->host.pcie);
	assert_true(m->reserve == 0);
	IS_ABSENT(m->price);
}

static void what_auto_leaves_open_is_absent(void **state)
{
	const struct machine *m =
		machine_of(*state, stated,
	               "device = Card { memory = auto; bandwidth = auto; power = auto; peak { bf16 = auto }\n"
	               "  efficiency { matmul = auto } }\n"
	               "level box { count = auto; topology = auto; nics_per_device = auto; oversubscription = auto\n"
	               "  in_network_reduce = auto; link = auto in [Lane, Net] }\n"
	               "level room { link = Net { unidirectional = auto; latency = auto } }\n"
	               "host { memory = auto; cores = auto; pcie = auto }; reserve { memory = auto }; price = auto");
	IS_ABSENT(m->device.memory);
	IS_ABSENT(m->device.bandwidth);
	IS_ABSENT(m->device.power);
	IS_ABSENT(m->device.peak[DTYPE_BF16]);
	IS(m->device.peak[DTYPE_F32], 90e12);
	IS_ABSENT(m->device.matmul_efficiency);
	IS(m->device.memory_efficiency, 0.75);
	const struct level *box = &m->levels.at[0], *room = &m->levels.at[1];
	assert_int_equal(box->count, 0);
	assert_int_equal(box->topology, TOPOLOGY_OPEN);
	IS_ABSENT(box->nics_per_device);
	IS_ABSENT(box->oversubscription);
	assert_false(box->in_network_reduce);
	assert_null(box->link.name);
	IS_ABSENT(box->link.bandwidth);
	assert_string_equal(room->link.name, "Net");
	IS_ABSENT(room->link.bandwidth);
	IS_ABSENT(room->link.latency);
	assert_int_equal(machine_unit(m, 0), 0);
	assert_int_equal(machine_unit(m, 2), 0);
	assert_int_equal(m->devices, 0);
	IS_ABSENT(m->host.memory);
	assert_int_equal(m->host.cores, 0);
	IS_ABSENT(m->host.pcie);
	IS_ABSENT(m->reserve);
	IS_ABSENT(m->price);
}

/* A written 0 s is a figure. */
static void stated_zeros_are_figures(void **state)
{
	const struct machine *m = machine_of(*state, bare, "price = 0 USD/h; level room { link = Net { latency = 0 s } }");
	assert_true(m->price == 0);
	assert_true(m->levels.at[1].link.latency == 0);
}

static void absence_carries_through_arithmetic(void **state)
{
	(void)state;
	assert_true(figure_known(0));
	IS_ABSENT(ABSENT);
	IS_ABSENT(1 + 2 * ABSENT);
}

static void large_units_do_not_overflow(void **state)
{
	struct fixture *f = *state;
	struct machine m = {.name = NULL};
	for (int i = 0; i < 4; i++)
		vec_push(&f->arena, &m.levels, ((struct level){.count = 1 << 24}));
	assert_int_equal(machine_unit(&m, 1), (int64_t)1 << 48);
	assert_true(machine_unit(&m, 2) == INT64_MAX);
	assert_true(machine_unit(&m, 3) == INT64_MAX);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stated_figures_are_in_base_units),    TEST(levels_are_inside_out),
		TEST(refinements_of_the_deployment_count), TEST(what_is_not_stated_is_absent),
		TEST(what_auto_leaves_open_is_absent),     TEST(stated_zeros_are_figures),
		TEST(absence_carries_through_arithmetic),  TEST(large_units_do_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
