/* The line that shows how far loading is. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../runtime/event.h"
#include "../../runtime/progress.h"
#include "../../runtime/world.h"
#include "rt_tiny.h"

static void units_fit(void **state)
{
	(void)state;
	char text[PROGRESS_BYTES];
	progress_text(text, 1500000000, 8000000000, 2000000000);
	assert_string_equal(text, "loading weights: 1.5 of 8.0 GB, 0.8 GB/s");
	progress_text(text, 250000, 999000000, 500000000);
	assert_string_equal(text, "loading weights: 0.2 of 999.0 MB, 0.5 MB/s");
	progress_text(text, 0, UINT64_MAX, 0);
	assert_string_equal(text, "loading weights: 0.0 of 18446744073.7 GB, 0.0 GB/s");
}

/* What a look prints on standard error. */
static const char *look(struct progress *p, const struct job *job)
{
	static char text[512];
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO);
	fflush(stderr);
	dup2(fileno(file), STDERR_FILENO);
	progress_look(p, job);
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(file);
	text[fread(text, 1, sizeof text - 1, file)] = 0;
	fclose(file);
	return text;
}

/* It comes after half a second, counts all ranks, and goes when they have loaded. */
static void line_comes_and_goes(void **state)
{
	(void)state;
	static struct blob_builder b;
	struct plan plan;
	tiny_build(&b, &(struct tiny){1, 2, 2, 1});
	assert_null(plan_open(&plan, b.at));
	struct world world = {.board = board_open((int)plan.head->ranks)};
	struct job job = {.plan = &plan, .world = &world};
	struct progress p = {.begin = now_ns(), .terminal = true};
	assert_string_equal(look(&p, &job), "");
	p.begin -= 2000000000;
	for (uint32_t i = 0; i < plan.head->ranks; i++) {
		atomic_store(&world.board->rank[i].activity, i ? ACTIVITY_LOAD : ACTIVITY_WAIT);
		atomic_store(&world.board->rank[i].loaded, 100000);
	}
	char want[64];
	snprintf(want, sizeof want, "\rloading weights: %.1f of ", (double)plan.head->ranks / 10);
	assert_memory_equal(look(&p, &job), want, strlen(want));
	assert_string_equal(look(&p, &job), ""); /* not so soon again */
	p.shown -= 600000000;
	for (uint32_t i = 0; i < plan.head->ranks; i++)
		atomic_store(&world.board->rank[i].activity, ACTIVITY_WAIT);
	const char *gone = look(&p, &job);
	assert_true(gone[0] == '\r' && strspn(gone + 1, " ") == PROGRESS_BYTES && gone[1 + PROGRESS_BYTES] == '\r');
	p.shown -= 600000000;
	assert_string_equal(look(&p, &job), "");
	struct progress elsewhere = {.begin = now_ns() - 2000000000, .terminal = false};
	atomic_store(&world.board->rank[0].activity, ACTIVITY_LOAD);
	assert_string_equal(look(&elsewhere, &job), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(units_fit), cmocka_unit_test(line_comes_and_goes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
