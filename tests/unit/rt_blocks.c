/* Tiles, against their definition; blocks of weights: all rows once, in the order of the file, in one tensor each. */
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../runtime/weights.h"
#include "rt_tiny.h"

/* ---- tiles ----------------------------------------------------------------------------------- */
enum { MAX_ROWS = 33, LONGEST = 300, APART = 320 };

static void check_tile(int64_t rows, size_t bytes, size_t run)
{
	static unsigned char stored[MAX_ROWS * APART + 1], tile[MAX_ROWS * LONGEST + 1];
	const unsigned char *row[MAX_ROWS] = {NULL};
	for (size_t i = 0; i < sizeof stored; i++)
		stored[i] = (unsigned char)(i * 131 + i / 251);
	for (int64_t i = 0; i < rows; i++) /* odd addresses, in no order */
		row[i] = stored + 1 + (i * 5 % rows) * APART;
	size_t all = (size_t)rows * bytes;
	tile[all] = 0x5a;
	tile_fill(row, rows, bytes, run, tile);
	for (int64_t i = 0; i < rows; i++)
		for (size_t at = 0; at < bytes; at++)
			assert_int_equal(tile[(at / run * (size_t)rows + (size_t)i) * run + at % run], row[i][at]);
	assert_int_equal(tile[all], 0x5a);
}

static void tiles_are_filled(void **state)
{
	(void)state;
	static const int64_t rows[] = {1, 3, 4, 8, 15, 16, 32, 33};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (size_t run = 1; run <= 8; run *= 2)
			for (size_t bytes = 0; bytes <= LONGEST; bytes += bytes < 140 ? run : 40)
				check_tile(rows[i], bytes, run);
}

/* ---- blocks ---------------------------------------------------------------------------------- */
enum { EXPERTS = 3, ROWS = 20, WIDTH = 8, TENSORS = 2 * EXPERTS + 1, TENSOR = ROWS * WIDTH * 4 };

/* The file has w of the experts, each followed by its v, then u; the plan has u, v, w. */
static void write_checkpoint(const char *folder)
{
	static float data[TENSORS * ROWS * WIDTH];
	char header[1024], *to = header, *path = join_path(folder, "model.safetensors");
	for (int i = 0; i < TENSORS; i++) {
		char name[32] = "u";
		if (i < 2 * EXPERTS)
			snprintf(name, sizeof name, "%c.%d", i % 2 ? 'v' : 'w', i / 2);
		to += sprintf(to, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}", i ? "," : "{",
		              name, ROWS, WIDTH, i * TENSOR, (i + 1) * TENSOR);
	}
	to += sprintf(to, "}");
	uint64_t length = (uint64_t)(to - header);
	FILE *f = fopen(path, "w");
	assert_true(fwrite(&length, 8, 1, f) == 1 && fwrite(header, length, 1, f) == 1
	            && fwrite(data, sizeof data, 1, f) == 1);
	fclose(f);
	free(path);
}

/* experts 0: a param without that axis. */
static struct dr_param param(struct blob_builder *b, const char *key, int experts, int role)
{
	struct dr_axis axes[3] = {tiny_axis(b, "expert", experts, experts, GROUP_NONE, role, 0),
	                          tiny_axis(b, "n", ROWS, ROWS, GROUP_NONE, DR_WEIGHT_N, WIDTH),
	                          tiny_axis(b, "k", WIDTH, WIDTH, GROUP_NONE, DR_WEIGHT_K, 1)};
	axes[0].keyed = 1;
	int first = experts == 0;
	return (struct dr_param){.path = blob_text(b, key),
	                         .key = blob_text(b, key),
	                         .space = DR_SPACE_OUTSIDE,
	                         .bytes = (uint64_t)(experts ? experts : 1) * TENSOR,
	                         .dtype = DR_F32,
	                         .n_tile = role == DR_WEIGHT_GROUP ? 4 : 0,
	                         .k_run = 1,
	                         .axes = blob_put(b, axes + first, 3 - (size_t)first, sizeof *axes)};
}

static int64_t tile_rows(const struct dr_param *p) { return p->n_tile ? p->n_tile : 1; }

/* Takes all blocks of at most `bytes`, and checks them. */
static void check_blocks(const struct plan *plan, const struct checkpoint *c, uint64_t bytes, bool whole_tiles)
{
	struct memory m = {.base = {[DR_SPACE_OUTSIDE] = 1 << 20}};
	struct weight_block_size size = {bytes, bytes, whole_tiles};
	struct weight_blocks *blocks = weight_blocks_open(plan, 0, c, &m, size);
	const unsigned char *before = NULL;
	int seen[TENSORS * ROWS] = {0};
	size_t n = 0;
	for (const struct weight_block *b; (b = weight_blocks_next(blocks)); n++) {
		struct weight_rows r = b->item->rows;
		assert_int_equal(b->item->to, (1 << 20) + r.param->offset);
		assert_true(b->n > 0 && b->begin > before && b->end - b->begin == b->n * WIDTH * 4);
		assert_true((uint64_t)(b->end - b->begin) <= bytes || b->n == (whole_tiles ? tile_rows(r.param) : 1));
		assert_true(!whole_tiles || b->n % tile_rows(r.param) == 0);
		before = b->begin;
		for (int64_t i = 0; i < b->n; i++) {
			const unsigned char *row = weight_row_stored(&r, b->first + i);
			assert_ptr_equal(row, b->begin + i * WIDTH * 4);
			seen[(row - checkpoint_find(c, "w.0")->data) / (WIDTH * 4)]++;
		}
	}
	assert_null(weight_blocks_next(blocks));
	assert_int_equal(n, weight_blocks_count(blocks));
	for (int i = 0; i < TENSORS * ROWS; i++)
		assert_int_equal(seen[i], 1);
	weight_blocks_close(blocks);
}

static void blocks_follow_the_file(void **state)
{
	(void)state;
	static struct blob_builder b;
	char folder[] = "/tmp/rt_blocks.XXXXXX";
	struct plan plan;
	struct problems p;
	assert_non_null(mkdtemp(folder));
	write_checkpoint(folder);
	tiny_build(&b, &(struct tiny){1, 1, 1, 1});
	struct dr_param params[3] = {param(&b, "u", 0, DR_PLAIN), param(&b, "v.{expert}", EXPERTS, DR_PLAIN),
	                             param(&b, "w.{expert}", EXPERTS, DR_WEIGHT_GROUP)};
	params[1].offset = 1 << 12;
	params[2].offset = 1 << 13;
	((struct dr_program *)(void *)b.at)->params = blob_put(&b, params, 3, sizeof *params);
	assert_null(plan_open(&plan, b.at));
	problems_open(&p);
	struct checkpoint *c = checkpoint_open(folder, &p);
	assert_true(problems_close(&p, "weights"));
	for (uint64_t bytes = 1; bytes <= 4096; bytes *= 2) {
		check_blocks(&plan, c, bytes, false);
		check_blocks(&plan, c, bytes, true);
	}
	checkpoint_close(c);
	char *path = join_path(folder, "model.safetensors");
	unlink(path);
	free(path);
	rmdir(folder);
}

/* Random weights have no file: the order is that of the params. */
static void random_blocks_follow_the_plan(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	struct memory m = {.base = {0}};
	tiny_build(&b, &(struct tiny){1, 1, 1, 1});
	assert_null(plan_open(&plan, b.at));
	struct weight_blocks *blocks = weight_blocks_open(&plan, 0, NULL, &m, (struct weight_block_size){64, 64, true});
	size_t number = 0;
	for (const struct weight_block *block; (block = weight_blocks_next(blocks)); number = block->number) {
		assert_true(block->number >= number && !block->begin && !block->end);
		struct weight_rows r = block->item->rows;
		assert_null(weight_row_stored(&r, block->first));
	}
	assert_true(number > 0);
	weight_blocks_close(blocks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tiles_are_filled),
		cmocka_unit_test(blocks_follow_the_file),
		cmocka_unit_test(random_blocks_follow_the_plan),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
