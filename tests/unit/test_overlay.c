/* Texts that replace those of files: the main file, an imported one, one that was never saved, the library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../sema/sema.h"

static char folder[] = "/tmp/overlay_XXXXXX", main_file[64], part_file[64], new_file[64];

static const char whole[] = "use \"part.deploy\" as part\nworkload W = part.Load { batch = 8 }\n";
static const char part[] = "use std.workload { Inference }\nworkload Load : Inference { seq = 64; chunk = 8 }\n";
static const char wrong_part[] = "use std.workload { Inference }\nworkload Load : Inference { sqe = 64; chunk = 8 }\n";
static const char imports_new[] = "use \"new.deploy\" as part\nworkload W = part.Load { batch = 8 }\n";
static const char empty_workload[] = "schema Nothing { }\n";

static void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct overlay over(const char *path, const char *text) { return (struct overlay){path, {text, strlen(text)}}; }

/* Checks `path` with overlays. Returns the first report's code and where it is, "" for none, "unread" for no file. */
static const char *reports(const char *path, const struct overlay *at, int n)
{
	static char said[128];
	struct arena arena = {0};
	struct names names = {.arena = &arena};
	struct sources sources = {.arena = &arena};
	struct sink sink = {.arena = &arena, .sources = &sources};
	struct sema_options options = {.overlays = {at, n}};
	struct sema *s = sema_new(&arena, &names, &sink, &options);
	bool read = sema_load(s, path);
	const struct diag *d = sink.diags.n ? sink.diags.at[0] : NULL;
	if (read)
		snprintf(said, sizeof said, "%s%s%s", d ? diag_code_name(d->code) : "", d ? " " : "",
		         d ? strrchr(sources.files.at[d->at.file].path, '/') + 1 : "");
	arena_free(&arena);
	return read ? said : "unread";
}

static void an_imported_file_is_replaced(void **state)
{
	(void)state;
	struct overlay wrong = over(part_file, wrong_part), right = over(part_file, part);
	assert_string_equal(reports(main_file, NULL, 0), "");
	assert_string_equal(reports(main_file, &wrong, 1), "E0201 part.deploy");
	write_text(part_file, wrong_part);
	assert_string_equal(reports(main_file, NULL, 0), "E0201 part.deploy");
	assert_string_equal(reports(main_file, &right, 1), "");
	write_text(part_file, part);
}

static void the_main_file_is_replaced(void **state)
{
	(void)state;
	struct overlay wrong = over(main_file, "workload W = Nothing { }\n");
	assert_string_equal(reports(main_file, &wrong, 1), "E0101 main.deploy");
}

static void a_file_need_not_be_saved(void **state)
{
	(void)state;
	struct overlay texts[] = {over(main_file, imports_new), over(new_file, part)};
	assert_string_equal(reports(main_file, texts, 1), "E0101 main.deploy"); /* cannot read "new.deploy" */
	assert_string_equal(reports(main_file, texts, 2), "");
	assert_string_equal(reports(new_file, texts, 1), "unread");
	assert_string_equal(reports(new_file, texts, 2), "");
}

static void standard_input_is_replaced(void **state)
{
	(void)state;
	char here[4096];
	assert_non_null(getcwd(here, sizeof here - 2));
	strcat(here, "/-");
	struct overlay wrong = over(here, "workload W = Nothing { }\n");
	assert_string_equal(reports("-", &wrong, 1), "E0101 -");
}

static void the_library_is_replaced(void **state)
{
	(void)state;
	struct overlay texts[] = {over(main_file, part), over("std/workload.deploy", empty_workload)};
	assert_string_equal(reports(main_file, texts, 1), "");
	assert_string_equal(reports(main_file, texts, 2), "E0101 main.deploy");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_imported_file_is_replaced), cmocka_unit_test(the_main_file_is_replaced),
		cmocka_unit_test(a_file_need_not_be_saved),     cmocka_unit_test(standard_input_is_replaced),
		cmocka_unit_test(the_library_is_replaced),
	};
	if (!mkdtemp(folder))
		return 1;
	snprintf(main_file, sizeof main_file, "%s/main.deploy", folder);
	snprintf(part_file, sizeof part_file, "%s/part.deploy", folder);
	snprintf(new_file, sizeof new_file, "%s/new.deploy", folder);
	write_text(main_file, whole);
	write_text(part_file, part);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(main_file);
	unlink(part_file);
	rmdir(folder);
	return failed;
}
