/* Work given up in one process: internal errors, lack of memory, and good compilations between them. Linked with the
 * driver without its main, and with tests/robust/no_codegen.c, where code generation is an internal error. The address
 * sanitizer finds leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "../../driver/driver.h"

static const char good[] = "samples/tiny_llama.deploy", small[] = "tests/golden/e0101_typo_in_total.deploy";
static char folder[] = "/tmp/give_up_XXXXXX", output[64];

/* ---- a process whose memory ends ------------------------------------------------------------- */

static long left;

static void *allocate(size_t bytes) { return left-- > 0 ? calloc(1, bytes) : NULL; }

struct said {
	char out[1 << 16], err[1 << 16];
};

static int redirect(int fd, int *kept)
{
	int file = memfd_create("said", 0);
	fflush(stdout);
	*kept = dup(fd);
	dup2(file, fd);
	return file;
}

static void restore(int fd, int kept, int file, char *text, size_t size)
{
	fflush(stdout);
	dup2(kept, fd);
	close(kept);
	ssize_t n = pread(file, text, size - 1, 0);
	text[n < 0 ? 0 : n] = 0;
	close(file);
}

/* Runs a command in which all requests after the first `requests` fail. */
static int try_with(const struct options *o, int (*work)(const struct options *, int), long requests, struct said *said)
{
	struct heap heap = {.apart = true, .allocate = allocate};
	struct options own = *o;
	int out, err;
	own.heap = &heap;
	left = requests;
	int out_file = redirect(1, &out), err_file = redirect(2, &err);
	int status = work(&own, 0);
	restore(2, err, err_file, said->err, sizeof said->err);
	restore(1, out, out_file, said->out, sizeof said->out);
	return status;
}

static int entries(const char *path)
{
	int n = 0;
	DIR *dir = opendir(path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void assert_one_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);
	assert_non_null(at);
	assert_true(at == text || at[-1] == '\n');
	assert_int_equal(strlen(at) - 1, strchr(at, '\n') - at);
}

/* Fails each request in turn, or one in `every`; in between, a run without failures must work as before. Returns the
 * number of requests. */
static long fail_each(const struct options *o, int (*work)(const struct options *, int), int every)
{
	static struct said whole, said;
	int files = entries("/proc/self/fd"), outputs = entries(folder);
	int good_status = try_with(o, work, INT32_MAX, &whole);
	long all = INT32_MAX - left;
	if (o->output && o->format != FORM_HTML)
		unlink(o->output);
	for (long n = 0; n < all; n += every) {
		assert_int_equal(try_with(o, work, n, &said), EXIT_MEMORY);
		assert_one_line(said.err, "deployc: out of memory: ");
		assert_int_equal(entries("/proc/self/fd"), files);
		assert_int_equal(entries(folder), outputs);
		if (n / every % 16 == 0) {
			assert_int_equal(try_with(o, work, INT32_MAX, &said), good_status);
			assert_string_equal(said.out, whole.out);
			assert_string_equal(said.err, whole.err);
			if (o->output)
				unlink(o->output);
		}
	}
	return all;
}

static struct options options(enum command command, const char **spec)
{
	return (struct options){.command = command, .specs = spec, .n_specs = 1, .level = 2};
}

/* ---- lack of memory -------------------------------------------------------------------------- */

static void check_ends_without_memory(void **state)
{
	(void)state;
	const char *spec = good;
	struct options o = options(COMMAND_CHECK, &spec);
	assert_true(fail_each(&o, compile, 499) > 1000);
}

static void diagnostics_end_without_memory(void **state)
{
	(void)state;
	const char *spec = small;
	struct options o = options(COMMAND_CHECK, &spec);
	for (enum error_form form = 0; form < ERROR_FORMS; form++) {
		o.error_form = form;
		assert_true(fail_each(&o, compile, 211) > 100);
	}
}

static void a_form_ends_without_memory(void **state)
{
	(void)state;
	const char *spec = good;
	struct options o = options(COMMAND_BUILD, &spec);
	o.emit = EMIT_DAG_SCHED;
	o.output = output;
	assert_true(fail_each(&o, compile, 1999) > 1000);
}

static void formatting_ends_without_memory(void **state)
{
	(void)state;
	const char *spec = good;
	struct options o = options(COMMAND_FMT, &spec);
	o.only_check = true;
	assert_true(fail_each(&o, format_file, 11) > 100);
}

static int import_one(const struct options *o, int i)
{
	(void)i;
	return import_file(o);
}

static void import_ends_without_memory(void **state)
{
	(void)state;
	const char *file = "tests/fixtures/llama/config.json";
	struct options o = options(COMMAND_IMPORT, &file);
	o.output = output;
	assert_true(fail_each(&o, import_one, 1999) > 1000);
}

/* ---- internal errors ------------------------------------------------------------------------- */

static void an_internal_error_ends_one_compilation(void **state)
{
	(void)state;
	static struct said whole, said, again;
	const char *spec = good;
	struct options check = options(COMMAND_CHECK, &spec), emit = options(COMMAND_BUILD, &spec);
	emit.emit = EMIT_LLVM;
	emit.output = output;
	int files = entries("/proc/self/fd"), outputs = entries(folder);
	assert_int_equal(try_with(&check, compile, INT32_MAX, &whole), EXIT_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(try_with(&emit, compile, INT32_MAX, &said), EXIT_INTERNAL);
		assert_non_null(strstr(said.err, "deployc: internal error at tests/robust/no_codegen.c:"));
		assert_int_equal(entries(folder), outputs);
		assert_int_equal(entries("/proc/self/fd"), files);
		assert_int_equal(try_with(&check, compile, INT32_MAX, &again), EXIT_OK);
		assert_string_equal(again.out, whole.out);
		assert_string_equal(again.err, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(check_ends_without_memory),  cmocka_unit_test(diagnostics_end_without_memory),
		cmocka_unit_test(a_form_ends_without_memory), cmocka_unit_test(formatting_ends_without_memory),
		cmocka_unit_test(import_ends_without_memory), cmocka_unit_test(an_internal_error_ends_one_compilation),
	};
	json_set_alloc_funcs(heap_malloc, heap_free);
	if (!mkdtemp(folder))
		return 1;
	snprintf(output, sizeof output, "%s/out", folder);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(output);
	rmdir(folder);
	return failed;
}
