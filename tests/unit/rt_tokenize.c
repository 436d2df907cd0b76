/* `launcher tokenize`: ids of a text, text of ids, and what it refuses. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "runtime/report.h"
#include "runtime/tokenize.h"

static char folder[] = "/tmp/rt_tokenize.XXXXXX", file[64], said[1024];

static int make_folder(void **state)
{
	(void)state;
	static const char json[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\xC3\xA4\":3,"
							   "\"\xC2\xB8\":4,\"\xC5\x83\":5},\"merges\":"
							   "[\"a "
							   "b\"]},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
							   "\"decoder\":{\"type\":\"ByteLevel\"},"
							   "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
							   "\"id\":\"<s>\"}},{\"Sequence\":{\"id\":"
							   "\"A\"}}],\"special_tokens\":{\"<s>\":{\"ids\":[6]}}},"
							   "\"added_tokens\":[{\"id\":6,\"content\":\"<s>\",\"special\":true}]}";
	if (!mkdtemp(folder))
		return -1;
	snprintf(file, sizeof file, "%s/tokenizer.json", folder);
	FILE *f = fopen(file, "w");
	fputs(json, f);
	return fclose(f);
}

static int remove_folder(void **state)
{
	(void)state;
	unlink(file);
	return rmdir(folder);
}

/* What is printed for this input, and the status; what is said goes to `said`. */
static int run(const char *in, size_t n, uint32_t vocab, bool decode, char *out)
{
	char *printed = NULL;
	size_t size;
	int before = dup(2), log = open("/tmp", O_TMPFILE | O_RDWR, 0600);
	FILE *input = fmemopen((void *)(uintptr_t)(n ? in : "x"), n ? n : 1, "r"),
		 *output = open_memstream(&printed, &size);
	if (!n)
		fgetc(input);
	dup2(log, 2);
	int status = tokenize(folder, vocab, decode, input, output);
	fclose(input);
	fclose(output);
	fflush(stderr);
	dup2(before, 2);
	ssize_t got = pread(log, said, sizeof said - 1, 0);
	said[got < 0 ? 0 : got] = 0;
	close(log);
	close(before);
	strcpy(out, printed);
	free(printed);
	return status;
}

static void expect(const char *in, bool decode, const char *expected)
{
	char out[256];
	assert_int_equal(run(in, strlen(in), 7, decode, out), STATUS_OK);
	assert_string_equal(out, expected);
	assert_string_equal(said, "");
}

static void a_text_becomes_ids_and_ids_a_text(void **state)
{
	(void)state;
	expect("ab\xE4\xB8\xAD", false, "[6,2,3,4,5]\n");
	expect("a<s>ab", false, "[6,0,6,2]\n");
	expect("", false, "[6]\n");
	expect("[6,2,3,4,5]\n", true, "<s>ab\xE4\xB8\xAD");
	expect(" [3, 4, 0] ", true,
	       "\xEF\xBF\xBD"
	       "a");
	expect("[]", true, "");
}

static void refuse(const char *in, uint32_t vocab, bool decode, const char *expected)
{
	char out[256];
	assert_int_equal(run(in, strlen(in), vocab, decode, out), STATUS_FAILED);
	assert_string_equal(out, "");
	if (!strstr(said, expected))
		fail_msg("expected `%s` in: %s", expected, said);
}

static void wrong_input_is_refused(void **state)
{
	(void)state;
	refuse("a\xFF", 7, false, "standard input: the text is not UTF-8: byte 1, 0xff");
	refuse("1,2", 7, true, "standard input is not a JSON list of token ids");
	refuse("{}", 7, true, "standard input is not a JSON list of token ids");
	refuse("[1,7]", 7, true, "element 1 of the list is not the id of a token");
	refuse("[1,4294967296]", 7, true, "element 1 of the list is not the id of a token");
	refuse("[1.5]", 7, true, "element 0 of the list is not the id of a token");
	refuse("a", 6, false, "tokenizer.json: its ids go up to 6, but the model has a vocabulary of 6");
	char away[80];
	snprintf(away, sizeof away, "%s.away", file);
	rename(file, away);
	refuse("a", 7, false, "tokenizer.json: No such file or directory");
	rename(away, file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_becomes_ids_and_ids_a_text),
		cmocka_unit_test(wrong_input_is_refused),
	};
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
