/* Checkpoints and weights: valid and invalid headers, shards, number formats, slices, tiles and expert maps. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "rt_tiny.h"

static char folder[] = "/tmp/rt_weights.XXXXXX";

/* length: the header's length in the file; 0: the true one; UINT64_MAX: none, for other kinds of files. */
static void write_file(const char *name, const char *header, uint64_t length, const void *data, size_t bytes)
{
	char *path = join_path(folder, name);
	FILE *f = fopen(path, "w");
	length = length ? length : strlen(header);
	if (length != UINT64_MAX)
		fwrite(&length, 8, 1, f);
	fwrite(header, 1, strlen(header), f);
	if (bytes)
		fwrite(data, 1, bytes, f);
	fclose(f);
	free(path);
}

static void remove_file(const char *name)
{
	char *path = join_path(folder, name);
	unlink(path);
	free(path);
}

/* Opens the folder; the problems' text holds `expected`, or there are none. */
static struct checkpoint *open_expecting(const char *expected)
{
	struct problems p;
	problems_open(&p);
	struct checkpoint *c = checkpoint_open(folder, &p);
	fflush(p.out);
	if (expected ? !p.n || !strstr(p.text, expected) : p.n)
		fail_msg("expected `%s` in: %s", expected ? expected : "nothing", p.text);
	p.n = 0;
	problems_close(&p, "");
	return c;
}

static void refuse(const char *header, uint64_t length, const char *expected)
{
	static const float data[4] = {1, 2, 3, 4};
	write_file("model.safetensors", header, length, data, sizeof data);
	checkpoint_close(open_expecting(expected));
}

static void headers_are_checked(void **state)
{
	(void)state;
	static const char good[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},\"b\":{\"dtype\":"
							   "\"I64\",\"shape\":[],\"data_offsets\":[16,24]}}";
	static const float data[6] = {1, 2, 3, 4};
	write_file("model.safetensors", good, 0, data, sizeof data);
	struct checkpoint *c = open_expecting(NULL);
	const struct tensor *t = checkpoint_find(c, "a");
	assert_non_null(t);
	assert_int_equal(t->count, 4);
	assert_memory_equal(t->data, data, 16);
	assert_int_equal(checkpoint_find(c, "b")->dtype, TENSOR_OTHER_DTYPE);
	assert_null(checkpoint_find(c, "c"));
	checkpoint_close(c);
	refuse("{}", 1000, "truncated, or not safetensors");
	refuse("{}", UINT64_MAX - 1, "truncated, or not safetensors");
	refuse("[]", 0, "not a JSON object");
	refuse("{\"a\":", 0, "unexpected token");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,20]}}", 0,
	       "its header describes 85: the file is truncated");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,12]}}", 0, "do not fit its shape");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[12,0]}}", 0, "not a range");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,16]}}", 0, "an invalid shape");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,16]}}", 0,
	       "an invalid shape");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,16]}}", 0, "at most 8 axes");
	refuse("{\"a\":{\"dtype\":\"I32\",\"shape\":[5],\"data_offsets\":[0,16]}}", 0, "do not fit its shape");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[3],"
	       "\"data_offsets\":[4,16]}}",
	       0, "tensors a and b overlap");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],"
	       "\"data_offsets\":[12,16]}}",
	       0, "the data from byte 8 on belongs to no tensor");
	refuse("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]}}", 0,
	       "the data from byte 12 on belongs to no tensor");
	refuse("{}", 0, "the data from byte 0 on belongs to no tensor");
	write_file("model.safetensors", "{}", 0, NULL, 0);
	checkpoint_close(open_expecting(NULL));
	refuse("{\"a\\u001b[2J\\nb\":7}", 0, "tensor a\\x1b[2J\\nb has no dtype");
	refuse("{\"a\":{\"shape\":[4],\"data_offsets\":[0,16]}}", 0, "no dtype");
	refuse("{\"a\":7}", 0, "no dtype");
	/* a format that is not known has any size; a tensor without elements is anywhere */
	write_file(
		"model.safetensors",
		"{\"b\":{\"dtype\":\"X7\",\"shape\":[2,2],\"data_offsets\":[0,16]},\"a\":{\"dtype\":\"F32\",\"shape\":[0],"
		"\"data_offsets\":[0,0]},\"c\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[0,0]}}",
		0, data, 16);
	c = open_expecting(NULL);
	assert_int_equal(checkpoint_find(c, "b")->dtype, TENSOR_OTHER_DTYPE);
	assert_string_equal(checkpoint_find(c, "b")->stored, "X7");
	checkpoint_close(c);
	static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
	write_file("model.safetensors", pointer, UINT64_MAX, NULL, 0);
	checkpoint_close(open_expecting("model.safetensors is a pointer of git-lfs, not the file itself"));
	write_file("model.safetensors", "abc", UINT64_MAX, NULL, 0);
	checkpoint_close(open_expecting("truncated"));
	remove_file("model.safetensors");
}

static void shards_are_read_by_their_index(void **state)
{
	(void)state;
	static const uint16_t one[2] = {0x3f80, 0x4000};
	write_file("s1.safetensors", "{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 0, one, 4);
	write_file("s2.safetensors", "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 0, one, 4);
	write_file("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\"}}",
	           UINT64_MAX, NULL, 0);
	struct checkpoint *c = open_expecting(NULL);
	assert_int_equal(checkpoint_size(c), 2);
	assert_non_null(checkpoint_find(c, "b"));
	checkpoint_close(c);
	write_file("model.safetensors.index.json",
	           "{\"weight_map\":{\"a\":\"s1.safetensors\",\"b\":\"s2.safetensors\",\"c\":\"s1.safetensors\"}}",
	           UINT64_MAX, NULL, 0);
	checkpoint_close(open_expecting("tensor c is not in s1.safetensors, as it says"));
	write_file("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"s2.safetensors\",\"b\":\"s1.safetensors\"}}",
	           UINT64_MAX, NULL, 0);
	checkpoint_close(open_expecting("tensor a is not in s2.safetensors, as it says"));
	write_file("s2.safetensors", "{\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]}}", 0, one, 4);
	checkpoint_close(open_expecting("tensor a appears twice"));
	remove_file("s2.safetensors");
	checkpoint_close(open_expecting("cannot open"));
	write_file("model.safetensors.index.json", "{\"weight_map\":[\"s1.safetensors\"]}", UINT64_MAX, NULL, 0);
	checkpoint_close(open_expecting("model.safetensors.index.json has no weight_map"));
	write_file("model.safetensors.index.json", "{\"weight_map\":{\"a\":\"../s1.safetensors\"}}", UINT64_MAX, NULL, 0);
	checkpoint_close(open_expecting("not in a file of this folder"));
	remove_file("s1.safetensors");
	remove_file("model.safetensors.index.json");
}

/* JSON that takes forty times its size is rejected, and a pipe is not waited for. */
static void parsing_is_bounded(void **state)
{
	(void)state;
	enum { PAIRS = 4 << 20 };
	char *text = malloc(3 * PAIRS + 8), *to = text;
	struct problems p;
	to += sprintf(to, "{\"a\":[");
	for (int i = 0; i < PAIRS; i++)
		to += sprintf(to, i ? ",[]" : "[]");
	sprintf(to, "]}");
	write_file("config.json", text, UINT64_MAX, NULL, 0);
	free(text);
	char *path = join_path(folder, "config.json");
	problems_open(&p);
	assert_null(json_file(path, &p));
	assert_int_equal(truncate(path, (16 << 20) + 1), 0);
	assert_null(json_file(path, &p));
	remove_file("config.json");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(json_file(path, &p));
	remove_file("config.json");
	fflush(p.out);
	assert_non_null(strstr(p.text, "bytes of JSON take more than 256 MiB of memory"));
	assert_non_null(strstr(p.text, "config.json has 16777217 bytes, at most 16777216 are read"));
	assert_non_null(strstr(p.text, "config.json is not a file"));
	p.n = 0;
	problems_close(&p, "");
	free(path);
}

static const char cut[] = "{\"b\":{\"dtype\":\"F32\",\"shape\":[4092],\"data_offsets\":[0,16368]},"
						  "\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16368,16384]}}";

/* Reads a tensor of a file that is truncated after it was mapped. `other`: reads from another file instead. */
static _Noreturn void read_what_is_gone(const struct reporter *reporter, bool other)
{
	float to[4];
	struct checkpoint *c = open_expecting(NULL);
	struct source s = {.tensor = checkpoint_find(c, "a")};
	char *path = join_path(folder, "model.safetensors"), *log = join_path(folder, "log");
	signal(SIGBUS, SIG_DFL); /* cmocka's */
	checkpoint_guard(c, reporter);
	const volatile char *another = mmap(NULL, 16384, PROT_READ, MAP_PRIVATE, open(path, O_RDONLY), 0);
	if (truncate(path, 10) || dup2(open(log, O_CREAT | O_WRONLY, 0600), STDERR_FILENO) < 0)
		_exit(9);
	if (other)
		_exit(another[16000]);
	source_read(&s, 0, 1, 4, DR_F32, to);
	_exit(0);
}

static void files_that_are_cut_are_told(void **state)
{
	(void)state;
	static float data[4096];
	struct reporter rank = {board_open(2), 1};
	int status;
	for (int other = 0; other < 2; other++) {
		write_file("model.safetensors", cut, 0, data, sizeof data);
		pid_t pid = fork();
		if (pid == 0)
			read_what_is_gone(&rank, other);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (other) /* of which nothing is known */
			assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
		else
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == STATUS_FAILED);
	}
	assert_non_null(strstr(rank.board->rank[1].message, "model.safetensors was truncated while it was in use"));
	board_close(rank.board, 2);
	write_file("model.safetensors", cut, 0, data, sizeof data);
	pid_t child = fork();
	if (child == 0)
		read_what_is_gone(NULL, false);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), STATUS_FAILED);
	char said[256] = "", *log = join_path(folder, "log");
	FILE *f = fopen(log, "r");
	assert_non_null(fgets(said, sizeof said, f));
	assert_non_null(strstr(said, "model.safetensors was truncated while it was in use"));
	fclose(f);
	free(log);
	remove_file("log");
	remove_file("model.safetensors");
}

/* The first problems, and how many more. */
static void problems_are_counted(void **state)
{
	(void)state;
	struct problems p;
	problems_open(&p);
	for (int i = 0; i < PROBLEMS_LISTED + 7; i++)
		problem(&p, "%d", i);
	fflush(p.out);
	assert_null(strstr(p.text, "20"));
	assert_non_null(strstr(p.text, "19"));
	assert_int_equal(p.n, PROBLEMS_LISTED + 7);
	p.n = 0;
	problems_close(&p, "");
}

/* 1000 bytes of a message are shown. */
static void long_messages_are_truncated(void **state)
{
	(void)state;
	char text[1008];
	memset(text, 'a', sizeof text);
	for (int more = 0; more <= 7; more += 7) {
		struct problems p;
		problems_open(&p);
		problem(&p, "%.*s", 1000 + more, text);
		fflush(p.out);
		assert_string_equal(strrchr(p.text, 'a') + 1, more ? "... (7 bytes more)\n" : "\n");
		p.n = 0;
		problems_close(&p, "");
	}
}

/* Every byte is converted and back. A number rounds to the nearer of its two neighbours, in the middle to the even one;
 * too large a number becomes the largest. */
static void fp8_is_right(struct fp8 t)
{
	for (int h = 0; h < 256; h++) {
		float x = f32_of_fp8(t, (uint8_t)h), next = f32_of_fp8(t, (uint8_t)(h + 1));
		if (isnan(x) || isinf(x))
			continue;
		assert_int_equal(fp8_of_f32(t, x), h);
		assert_int_equal(fp8_of_f32(t, x * 2 > t.largest ? 1e30f : x), x * 2 > t.largest ? (int)t.special - 1 : h);
		if ((h & 0x7f) == 0x7f || isnan(next) || isinf(next))
			continue;
		float middle = (x + next) / 2;
		assert_int_equal(fp8_of_f32(t, middle), h & 1 ? h + 1 : h);
		assert_int_equal(fp8_of_f32(t, nextafterf(middle, x)), h);
		assert_int_equal(fp8_of_f32(t, nextafterf(middle, next)), h + 1);
	}
}

static void formats_are_converted(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 0x10000; h++) {
		if ((h & 0x7c00) != 0x7c00 || (h & 0x3ff) == 0)
			assert_int_equal(f16_of_f32(f32_of_f16((uint16_t)h)), h);
		if ((h & 0x7f80) != 0x7f80 || (h & 0x7f) == 0)
			assert_int_equal(bf16_of_f32(f32_of_bf16((uint16_t)h)), h);
	}
	assert_int_equal(f16_of_f32(65519.0f), 0x7bff);
	assert_int_equal(f16_of_f32(65520.0f), 0x7c00);
	assert_int_equal(f16_of_f32(0x1p-24f), 1);
	assert_int_equal(f16_of_f32(0x1p-25f), 0);
	assert_int_equal(f16_of_f32(1.0f + 0x1p-11f), 0x3c00);
	assert_int_equal(f16_of_f32(1.0f + 3 * 0x1p-11f), 0x3c02);
	assert_int_equal(bf16_of_f32(1.0f + 0x1p-8f), 0x3f80);
	assert_int_equal(bf16_of_f32(1.0f + 3 * 0x1p-8f), 0x3f82);
	assert_true(isnan(f32_of_bf16(bf16_of_f32(NAN))));
	assert_true(isnan(f32_of_f16(f16_of_f32(NAN))));
	float wide[3];
	numbers_widen(DR_FP8E4M3, (const uint8_t[]){0x7e, 0x01, 0xb8}, 3, wide);
	assert_true(wide[0] == 448 && wide[1] == 0x1p-9f && wide[2] == -1);
	numbers_widen(DR_FP8E5M2, (const uint8_t[]){0x7b, 0x01, 0xbc}, 3, wide);
	assert_true(wide[0] == 57344 && wide[1] == 0x1p-16f && wide[2] == -1);
	fp8_is_right(FP8_E4M3);
	fp8_is_right(FP8_E5M2);
	assert_true(f32_of_fp8(FP8_E4M3, 0x7e) == 448 && f32_of_fp8(FP8_E4M3, 1) == 0x1p-9f
	            && isnan(f32_of_fp8(FP8_E4M3, 0x7f)));
	assert_true(f32_of_fp8(FP8_E5M2, 0x7b) == 57344 && f32_of_fp8(FP8_E5M2, 1) == 0x1p-16f
	            && isinf(f32_of_fp8(FP8_E5M2, 0xfc)));
	assert_int_equal(fp8_of_f32(FP8_E4M3, 1.0625f), 0x38); /* a tie between 1 and 1.125: to the even one */
	assert_int_equal(fp8_of_f32(FP8_E4M3, -1.1875f), 0xba);
}

/* ---- slices and tiles ------------------------------------------------------------------------ */
/* One param over a mesh of dp 2 x tp 2, loaded on `rank`, and the device's bytes. */
struct loaded {
	struct plan plan;
	struct device *device;
	struct memory memory;
};

static struct loaded load_on(const char *device, struct blob_builder *b, const struct dr_param *param,
                             const char *folder_or_null, int rank)
{
	struct loaded l;
	struct problems p;
	struct dr_program *h = (struct dr_program *)(void *)b->at;
	h->params = blob_put(b, param, 1, sizeof *param);
	assert_null(plan_open(&l.plan, b->at));
	struct reporter r = {board_open(4), rank};
	struct device_options o = {.image = NULL, .workers = 1, .spin = false, .reporter = r};
	problems_open(&p);
	struct checkpoint *c = folder_or_null ? checkpoint_open(folder_or_null, &p) : NULL;
	if (c)
		weights_check(&l.plan, c, &(struct unverified){0}, &p);
	assert_true(problems_close(&p, "weights"));
	l.device = device_open(device, &o);
	memset(&l.memory, 0, sizeof l.memory);
	l.memory.base[param->space] = l.device->alloc(l.device, param->offset + 4 * param->bytes);
	weights_load(&l.plan, rank, c, l.device, &l.memory, 2, &r);
	checkpoint_close(c);
	return l;
}

static struct loaded load(struct blob_builder *b, const struct dr_param *param, const char *folder_or_null, int rank)
{
	return load_on("cpu", b, param, folder_or_null, rank);
}

/* Stored [4][3 * 10]: columns 10 .. 20 of a concatenation, transposed: n over the columns in two axes, k
 * over the rows. */
static void slices_become_tiles(void **state)
{
	(void)state;
	static struct blob_builder b;
	static float stored[4][30], got[2 * 4 * 4];
	for (int i = 0; i < 120; i++)
		stored[i / 30][i % 30] = (float)i;
	write_file("model.safetensors", "{\"w\":{\"dtype\":\"F32\",\"shape\":[4,30],\"data_offsets\":[0,480]}}", 0, stored,
	           sizeof stored);
	tiny_build(&b, &(struct tiny){1, 2, 2, 1});
	struct dr_axis axes[3] = {tiny_axis(&b, "k", 4, 4, GROUP_NONE, DR_WEIGHT_K, 30),
	                          tiny_axis(&b, "n1", 2, 1, GROUP_DP, DR_WEIGHT_N, 5),
	                          tiny_axis(&b, "n2", 5, 5, GROUP_NONE, DR_WEIGHT_N, 1)};
	int64_t shape[2] = {4, 30};
	struct dr_param p = {.path = blob_text(&b, "w"),
	                     .key = blob_text(&b, "w"),
	                     .space = DR_SPACE_OUTSIDE,
	                     .bytes = 2 * 4 * 4 * 4,
	                     .dtype = DR_F32,
	                     .n_tile = 4,
	                     .k_run = 2,
	                     .axes = blob_put(&b, axes, 3, sizeof *axes),
	                     .shape = blob_put(&b, shape, 2, sizeof *shape),
	                     .base = 10};
	struct loaded l = load(&b, &p, folder, 2); /* dp = 1: columns 15 .. 19 */
	l.device->read(l.device, got, flat(l.memory.base[DR_SPACE_OUTSIDE], sizeof got));
	for (int n = 0; n < 8; n++)
		for (int k = 0; k < 4; k++)
			assert_int_equal((int)got[n / 4 * 16 + k / 2 * 8 + n % 4 * 2 + k % 2], n < 5 ? (int)stored[k][15 + n] : 0);
	l.device->close(l.device);
	remove_file("model.safetensors");
}

/* Numbers of one byte, stored with another axis innermost, in tiles of 32 that several threads fill. */
static void bytes_become_tiles(void **state)
{
	enum { K = 8192, N = 40, TILE = 32 };
	(void)state;
	static struct blob_builder b;
	static uint8_t stored[K][N];
	static float got[2 * K * TILE];
	for (int i = 0; i < K * N; i++)
		stored[i / N][i % N] = (uint8_t)((i * 5 + i / N) % 0x7f);
	write_file("model.safetensors", "{\"w\":{\"dtype\":\"F8_E4M3\",\"shape\":[8192,40],\"data_offsets\":[0,327680]}}",
	           0, stored, sizeof stored);
	tiny_build(&b, &(struct tiny){1, 2, 2, 1});
	struct dr_axis axes[2] = {tiny_axis(&b, "k", K, K, GROUP_NONE, DR_WEIGHT_K, N),
	                          tiny_axis(&b, "n", N, N, GROUP_NONE, DR_WEIGHT_N, 1)};
	int64_t shape[2] = {K, N};
	struct dr_param p = {.path = blob_text(&b, "w"),
	                     .key = blob_text(&b, "w"),
	                     .space = DR_SPACE_OUTSIDE,
	                     .bytes = sizeof got,
	                     .dtype = DR_F32,
	                     .n_tile = TILE,
	                     .k_run = 1,
	                     .axes = blob_put(&b, axes, 2, sizeof *axes),
	                     .shape = blob_put(&b, shape, 2, sizeof *shape),
	                     .base = 0};
	struct loaded l = load(&b, &p, folder, 0);
	l.device->read(l.device, got, flat(l.memory.base[DR_SPACE_OUTSIDE], sizeof got));
	for (int n = 0; n < 2 * TILE; n++)
		for (int k = 0; k < K; k++)
			assert_true(got[n / TILE * K * TILE + k * TILE + n % TILE]
			            == (n < N ? f32_of_fp8(FP8_E4M3, stored[k][n]) : 0));
	l.device->close(l.device);
	remove_file("model.safetensors");
}

/* Rows that are stored as they are wanted: from the second half of each, at an odd address, with room for 24 more. */
static void rows_go_from_the_file_into_tiles(void **state)
{
	enum { N = 40, K = 2 * 300, HALF = K / 2, TILE = 32, PAIR = 2 };
	(void)state;
	static struct blob_builder b;
	static uint16_t stored[N][K], got[2 * TILE * HALF];
	static const char *const devices[] = {"cpu", "far"};
#ifdef RANKS_ARE_THREADS /* no place for the far device's memory */
	enum { DEVICES = 1 };
#else
	enum { DEVICES = 2 };
#endif
	for (int i = 0; i < N * K; i++)
		stored[i / K][i % K] = (uint16_t)(i * 7 + i / K);
	write_file("model.safetensors", "{\"w\":{\"dtype\":\"BF16\",\"shape\":[40,600],\"data_offsets\":[0,48000]}} ", 0,
	           stored, sizeof stored);
	for (int i = 0; i < DEVICES; i++) {
		tiny_build(&b, &(struct tiny){1, 2, 2, 1});
		struct dr_axis axes[2] = {tiny_axis(&b, "n", N, N, GROUP_NONE, DR_WEIGHT_N, K),
		                          tiny_axis(&b, "k", K, HALF, GROUP_TP, DR_WEIGHT_K, 1)};
		int64_t shape[2] = {N, K};
		struct dr_param p = {.path = blob_text(&b, "w"),
		                     .key = blob_text(&b, "w"),
		                     .space = DR_SPACE_OUTSIDE,
		                     .bytes = sizeof got,
		                     .dtype = DR_BF16,
		                     .n_tile = TILE,
		                     .k_run = PAIR,
		                     .axes = blob_put(&b, axes, 2, sizeof *axes),
		                     .shape = blob_put(&b, shape, 2, sizeof *shape)};
		struct loaded l = load_on(devices[i], &b, &p, folder, 1);
		l.device->read(l.device, got, flat(l.memory.base[DR_SPACE_OUTSIDE], sizeof got));
		for (int n = 0; n < 2 * TILE; n++)
			for (int k = 0; k < HALF; k++)
				assert_int_equal(got[n / TILE * TILE * HALF + k / PAIR * TILE * PAIR + n % TILE * PAIR + k % PAIR],
				                 n < N ? stored[n][HALF + k] : 0);
		l.device->close(l.device);
	}
	remove_file("model.safetensors");
}

/* Experts one by one in the file, stacked on the device; bf16 stored, f32 wanted; expert 2 and 3 on tp = 1. */
static void keyed_axes_choose_tensors(void **state)
{
	(void)state;
	static struct blob_builder b;
	static uint16_t stored[4][3];
	float got[2][4];
	char header[1024], *h = header;
	h += sprintf(h, "{");
	for (int e = 0; e < 4; e++) {
		h += sprintf(h, "%s\"moe.%d.w\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[%d,%d]}", e ? "," : "", e,
		             e * 6, e * 6 + 6);
		for (int k = 0; k < 3; k++)
			stored[e][k] = bf16_of_f32((float)(10 * e + k));
	}
	sprintf(h, "}");
	write_file("model.safetensors", header, 0, stored, sizeof stored);
	tiny_build(&b, &(struct tiny){1, 2, 2, 1});
	struct dr_axis axes[2] = {tiny_axis(&b, "expert", 4, 2, GROUP_TP, DR_WEIGHT_GROUP, 0),
	                          tiny_axis(&b, "k", 3, 3, GROUP_NONE, DR_WEIGHT_K, 1)};
	axes[0].keyed = 1;
	int64_t shape[1] = {3};
	struct dr_param p = {.path = blob_text(&b, "w"),
	                     .key = blob_text(&b, "moe.{expert}.w"),
	                     .space = DR_SPACE_OUTSIDE,
	                     .bytes = sizeof got,
	                     .dtype = DR_F32,
	                     .n_tile = 1,
	                     .k_run = 2,
	                     .axes = blob_put(&b, axes, 2, sizeof *axes),
	                     .shape = blob_put(&b, shape, 1, sizeof *shape),
	                     .base = 0};
	struct loaded l = load(&b, &p, folder, 1);
	l.device->read(l.device, got, flat(l.memory.base[DR_SPACE_OUTSIDE], sizeof got));
	static const float expected[2][4] = {{20, 21, 22, 0}, {30, 31, 32, 0}};
	assert_memory_equal(got, expected, sizeof got);
	l.device->close(l.device);
	remove_file("model.safetensors");
}

/* Without a checkpoint, an element is the same whatever the mesh. */
static void random_weights_do_not_depend_on_the_mesh(void **state)
{
	(void)state;
	static struct blob_builder whole, half;
	float a[6][4], b[3][4];
	int64_t shape[2] = {6, 4};
	tiny_build(&whole, &(struct tiny){1, 1, 1, 1});
	tiny_build(&half, &(struct tiny){1, 1, 2, 1});
	struct blob_builder *of[2] = {&whole, &half};
	struct loaded l[2];
	for (int i = 0; i < 2; i++) {
		struct dr_axis axes[2] = {tiny_axis(of[i], "n", 6, i ? 3 : 6, GROUP_TP, DR_PLAIN, 4),
		                          tiny_axis(of[i], "k", 4, 4, GROUP_NONE, DR_PLAIN, 1)};
		struct dr_param p = {.path = blob_text(of[i], "w"),
		                     .key = blob_text(of[i], "w"),
		                     .space = DR_SPACE_OUTSIDE,
		                     .bytes = i ? sizeof b : sizeof a,
		                     .dtype = DR_F32,
		                     .axes = blob_put(of[i], axes, 2, sizeof *axes),
		                     .shape = blob_put(of[i], shape, 2, sizeof *shape)};
		l[i] = load(of[i], &p, NULL, i);
	}
	l[0].device->read(l[0].device, a, flat(l[0].memory.base[DR_SPACE_OUTSIDE], sizeof a));
	l[1].device->read(l[1].device, b, flat(l[1].memory.base[DR_SPACE_OUTSIDE], sizeof b));
	assert_memory_equal(a[3], b, sizeof b);
	assert_true(a[0][0] != a[0][1] && fabsf(a[0][0]) < 1);
	l[0].device->close(l[0].device);
	l[1].device->close(l[1].device);
}

/* 8 experts, 2 for each owner of dp x tp; dp is exchanged over, tp must be the rank's own. */
static void expert_maps_follow_the_mesh(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	int32_t got[8];
	uint32_t atoms[2] = {1, 2}, exchange[2] = {1, 0};
	static const int32_t expected[8] = {-1, -1, 0, 1, -1, -1, 2, 3};
	tiny_build(&b, &(struct tiny){1, 2, 2, 1});
	struct dr_map map = {0, 8, 2, blob_put(&b, atoms, 2, 4), blob_put(&b, exchange, 2, 4)};
	((struct dr_program *)(void *)b.at)->maps = blob_put(&b, &map, 1, sizeof map);
	assert_null(plan_open(&plan, b.at));
	struct device_options o = {.image = NULL, .workers = 1, .spin = false, .reporter = {board_open(4), 1}};
	struct device *d = device_open("cpu", &o);
	struct memory m = {.base = {[DR_SPACE_TABLE] = d->alloc(d, sizeof got)}};
	tables_load(&plan, 1, d, &m); /* dp 0, tp 1 */
	d->read(d, got, flat(m.base[DR_SPACE_TABLE], sizeof got));
	assert_memory_equal(got, expected, sizeof got);
	d->close(d);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_checked),
		cmocka_unit_test(shards_are_read_by_their_index),
		cmocka_unit_test(parsing_is_bounded),
		cmocka_unit_test(files_that_are_cut_are_told),
		cmocka_unit_test(problems_are_counted),
		cmocka_unit_test(long_messages_are_truncated),
		cmocka_unit_test(formats_are_converted),
		cmocka_unit_test(slices_become_tiles),
		cmocka_unit_test(keyed_axes_choose_tensors),
		cmocka_unit_test(random_weights_do_not_depend_on_the_mesh),
		cmocka_unit_test(expert_maps_follow_the_mesh),
		cmocka_unit_test(bytes_become_tiles),
		cmocka_unit_test(rows_go_from_the_file_into_tiles),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
