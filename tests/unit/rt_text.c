/* Tokenizers: what the interface promises, streams, and refusals. tests/text compares tokens with Hugging Face's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "text/tokenizer.h"

#define MODEL "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"c\":7},\"merges\":[\"a b\"]}"

static struct tokenizer *read_text(const char *json, struct text_error *e)
{
	return tokenizer_read("tokenizer.json", json, strlen(json), e);
}

static struct tokenizer *read_good(const char *json)
{
	struct text_error e;
	struct tokenizer *t = read_text(json, &e);
	if (!t)
		fail_msg("%s", e.text);
	return t;
}

/* A tokenizer of this repository, by its name in tests/text/tokenizers. */
static struct tokenizer *open_family(const char *name)
{
	char path[256];
	struct text_error e;
	snprintf(path, sizeof path, "tests/text/tokenizers/%s.json", name);
	struct tokenizer *t = tokenizer_open(path, &e);
	if (!t)
		fail_msg("%s", e.text);
	return t;
}

/* Ids as text: "1,2,3". */
static const char *encode(struct tokenizer *t, const char *text, unsigned flags)
{
	static char out[4096];
	struct token_ids ids = {0};
	struct text_error e;
	size_t n = 0;
	if (!tokenizer_encode(t, text, strlen(text), flags, &ids, &e))
		fail_msg("%s", e.text);
	out[0] = 0;
	for (size_t i = 0; i < ids.n; i++)
		n += (size_t)snprintf(out + n, sizeof out - n, "%s%d", i ? "," : "", ids.at[i]);
	free(ids.at);
	return out;
}

/* ---- tokens ---------------------------------------------------------------------------------- */
static void tokens_are_found_by_text_and_id(void **state)
{
	(void)state;
	struct tokenizer *t = read_good("{" MODEL ",\"added_tokens\":[{\"id\":9,\"content\":\"<x>\",\"special\":true},"
	                                "{\"id\":7,\"content\":\"c\"},{\"id\":5,\"content\":\"<y>\"}]}");
	size_t n;
	assert_int_equal(tokenizer_size(t), 10);
	assert_int_equal(tokenizer_find(t, "ab", 2), 2);
	assert_int_equal(tokenizer_find(t, "<x>", 3), 9);
	assert_int_equal(tokenizer_find(t, "<z>", 3), -1);
	assert_memory_equal(tokenizer_token(t, 5, &n), "<y>", 3);
	assert_memory_equal(tokenizer_token(t, 7, &n), "c", 1);
	assert_null(tokenizer_token(t, 3, &n));
	assert_null(tokenizer_token(t, 10, &n));
	assert_null(tokenizer_token(t, -1, &n));
	assert_true(tokenizer_is_special(t, 9));
	assert_false(tokenizer_is_special(t, 5) || tokenizer_is_special(t, 0) || tokenizer_is_special(t, 100));
	assert_string_equal(encode(t, "ab<x>cab<y>", 0), "2,9,7,2,5");
	assert_string_equal(encode(t, "", 0), "");
	assert_string_equal(encode(t, "ab<x>c", ENCODE_PLAIN), "2,7");
	tokenizer_close(t);
	tokenizer_close(NULL);
}

static void ids_are_appended_and_an_error_appends_none(void **state)
{
	(void)state;
	struct tokenizer *t = read_good("{" MODEL "}");
	struct token_ids ids = {0};
	struct text_error e;
	assert_true(tokenizer_encode(t, "ab", 2, 0, &ids, &e));
	assert_false(tokenizer_encode(t, "ab\xFF", 3, 0, &ids, &e));
	assert_string_equal(e.text, "the text is not UTF-8: byte 2, 0xff, is not part of a character");
	assert_true(tokenizer_encode(t, "a", 1, 0, &ids, &e));
	assert_int_equal(ids.n, 2);
	assert_int_equal(ids.at[1], 0);
	free(ids.at);
	tokenizer_close(t);
}

/* ---- streams --------------------------------------------------------------------------------- */
static void expect_parts(struct text_stream *s, const int32_t *id, const char *const *part, size_t tokens)
{
	size_t n;
	for (size_t i = 0; i < tokens; i++) {
		const char *text = text_stream_next(s, id[i], &n);
		if (n != strlen(part[i]) || memcmp(text, part[i], n))
			fail_msg("token %zu: expected `%s`, got `%.*s`", i, part[i], (int)n, text);
	}
	const char *text = text_stream_end(s, &n);
	if (n != strlen(part[tokens]) || memcmp(text, part[tokens], n))
		fail_msg("end: expected `%s`, got `%.*s`", part[tokens], (int)n, text);
}

#define BYTES                                                                                                         \
	"{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"<0xE4>\":0,\"<0xB8>\":1,\"<0xAD>\":2,\"\xE2\x96\x81x\":" \
	"3,"                                                                                                              \
	"\"<s>\":4}},\"added_tokens\":[{\"id\":4,\"content\":\"<s>\",\"special\":true}]"

static void a_stream_of_bytes_prints_whole_characters(void **state)
{
	(void)state;
	struct tokenizer *t = read_good(
		BYTES ",\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"
			  "{\"String\":\"\xE2\x96\x81\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
			  "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}}");
	const int32_t ids[] = {3, 0, 1, 2, 0, 1, 2, 0, 3, 99, 4, 2, 3, 0, 1};
	static const char *const parts[] = {"x",
	                                    "",
	                                    "",
	                                    "中",
	                                    "",
	                                    "",
	                                    "中",
	                                    "",
	                                    "\xEF\xBF\xBD x",
	                                    "",
	                                    "",
	                                    "\xEF\xBF\xBD",
	                                    " x",
	                                    "",
	                                    "",
	                                    "\xEF\xBF\xBD\xEF\xBF\xBD"};
	static const char *const whole[] = {
		"x",
		"",
		"",
		"",
		"",
		"",
		"",
		"",
		"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD x",
		"",
		"",
		"",
		"\xEF\xBF\xBD x",
		"",
		"",
		"\xEF\xBF\xBD\xEF\xBF\xBD"};
	struct text_stream *s = text_stream_open(t, 0), *w = text_stream_open(t, DECODE_WHOLE);
	for (int again = 0; again < 2; again++) {
		expect_parts(s, ids, parts, sizeof ids / sizeof *ids);
		expect_parts(w, ids, whole, sizeof ids / sizeof *ids);
	}
	text_stream_close(s);
	text_stream_close(w);
	text_stream_close(NULL);
	tokenizer_close(t);
}

static void a_stream_of_a_byte_vocabulary_waits_for_characters(void **state)
{
	(void)state;
	struct tokenizer *t =
		read_good("{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"\xC3\xA4\":0,\"\xC2\xB8\":1,\"\xC5\x83\":2,"
	              "\"\xC4\xA0x\":3,\"\xC3\xB0\":4}},\"decoder\":{\"type\":\"ByteLevel\"},"
	              "\"added_tokens\":[{\"id\":9,\"content\":\"<s>\",\"special\":true}]}");
	const int32_t ids[] = {0, 1, 2, 3, 0, 1, 0, 1, 2, 1, 9, 4};
	static const char *const parts[] = {
		"", "", "中", " x", "", "", "\xEF\xBF\xBD", "", "中", "\xEF\xBF\xBD", "<s>", "", "\xEF\xBF\xBD"};
	struct text_stream *s = text_stream_open(t, DECODE_SPECIAL);
	expect_parts(s, ids, parts, sizeof ids / sizeof *ids);
	text_stream_close(s);
	tokenizer_close(t);
}

static void characters_at_the_end_may_have_to_be_stripped(void **state)
{
	(void)state;
	struct tokenizer *t = read_good(
		"{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"_\":0,\"a\":1,\"__b_\":2}},\"decoder\":"
		"{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\"_\","
		"\"start\":2,\"stop\":2},{\"type\":\"Replace\",\"pattern\":{\"String\":\"b\"},\"content\":\"cd\"}]}}");
	const int32_t ids[] = {0, 0, 0, 1, 0, 0, 0, 2, 0, 0};
	static const char *const parts[] = {"", "", "", "_a", "", "", "_", "____cd", "", "_", ""};
	struct text_stream *s = text_stream_open(t, 0);
	expect_parts(s, ids, parts, sizeof ids / sizeof *ids);
	text_stream_close(s);
	tokenizer_close(t);
}

/* ---- refusals -------------------------------------------------------------------------------- */
static void what_is_not_supported_is_refused_by_name(void **state)
{
	(void)state;
	static const char *const wrong[][2] = {
		{"", "line 1, column 0"},
		{"[]", "expected an object, found a list"},
		{"{" MODEL, "line 1, column"},
		{"{" MODEL ",\"model\":1}", "duplicate object key"},
		{"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "is a pointer of git-lfs"},
		{"{}", "model: is missing; expected an object"},
		{"{\"version\":\"2.0\"," MODEL "}", "version: version `2.0` is not supported"},
		{"{\"extra\":1," MODEL "}", "tokenizer.json: the field `extra` is not supported"},
		{"{\"model\":{\"type\":\"WordPiece\\u001b\"}}", "model: the model `WordPiece\\x1b` is not supported"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}", "model.vocab: expected an object, found a list"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}",
	     "the id of `a` is not a number from 0 to 4194303"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":4194304},\"merges\":[]}}", "the id of `a` is not a number"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":1},\"merges\":[]}}", "`a` and `b` have the same id, 1"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"a b\"]}}",
	     "model.merges[0]: `b` is not in the vocabulary"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"a a\"]}}",
	     "model.merges[0]: `aa` is not in the vocabulary"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[\"aa\"]}}", "`aa` is not two tokens"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":[[\"a\"]]}}", "is not two tokens"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"dropout\":0.1}}", "model.dropout: random tokens"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"x\":1}}", "model: the field `x` is not supported"},
		{"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]],\"unk_id\":1}}",
	     "model.unk_id: 1 is not a number from 0 to 0"},
		{"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}", "model.vocab[0][1]: is not a number"},
		{"{\"normalizer\":{\"type\":\"BertNormalizer\"}," MODEL "}",
	     "normalizer: the normaliser `BertNormalizer` is not supported"},
		{"{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Precompiled\"}]}"
	     "," MODEL "}",
	     "normalizer.normalizers[1]: the normaliser `Precompiled`"},
		{"{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"(\"},\"content\":\"\"}," MODEL "}",
	     "normalizer.pattern.Regex: missing closing parenthesis"},
		{"{\"pre_tokenizer\":{\"type\":\"UnicodeScripts\"}," MODEL "}",
	     "pre_tokenizer: the pre-tokeniser `UnicodeScripts`"},
		{"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":\"Isolated\",\"invert\":"
	     "false}," MODEL "}",
	     "the pattern is empty"},
		{"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"isolated\"}," MODEL "}",
	     "the behaviour `isolated` is not supported"},
		{"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"__\"}," MODEL "}", "`__` is not one character"},
		{"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}," MODEL "}",
	     "the scheme `last` is not supported"},
		{"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\"},"
	     "\"normalizer\":"
	     "{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":false}," MODEL "}",
	     "prepend_scheme `first` is not supported after"},
		{"{\"decoder\":{\"type\":\"CTC\"}," MODEL "}", "decoder: the decoder `CTC` is not supported"},
		{"{\"decoder\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a\"},\"content\":\"\"}," MODEL "}",
	     "regular expressions are not"},
		{"{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"ByteFallback\"}]}," MODEL
	     "}",
	     "only Fuse, Strip and Replace"},
		{"{\"post_processor\":{\"type\":\"BertProcessing\"}," MODEL "}",
	     "post_processor: the post-processor `BertProcessing`"},
		{"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[],\"special_tokens\":{}}," MODEL "}",
	     "lacks the text, A"},
		{"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\"}}],\"special_"
	     "tokens\":{}}," MODEL "}",
	     "only templates with one text"},
		{"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{"
	     "\"Sequence\":{\"id\":\"A\"}}],"
	     "\"special_tokens\":{\"x\":{\"ids\":[4]}}}," MODEL "}",
	     "post_processor: no token has id 4"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1},\"merges\":7}}",
	     "model.merges: expected a list, found a number"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{},\"merges\":[],\"unk_token\":1}}",
	     "model.unk_token: expected a string, found a number"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":2,\"ab\":3},\"merges\":[\"a "
	     "b\"],\"continuing_subword_prefix\":\"##\"}}",
	     "model.merges[0]: `b` lacks the prefix of characters inside words"},
		{"{\"model\":{\"type\":\"Unigram\",\"vocab\":[1]}}", "model.vocab[0]: expected a list, found a number"},
		{"{\"model\":{\"vocab\":{\"a\":1}}}", "model.type: is missing; expected a string"},
		{"{\"normalizer\":{\"type\":\"Prepend\",\"prepend\":1}," MODEL "}", "normalizer.prepend: expected a string"},
		{"{\"normalizer\":{\"type\":\"NFC\",\"x\":1}," MODEL "}", "normalizer: the field `x` is not supported"},
		{"{\"normalizer\":{\"type\":\"Replace\",\"pattern\":\"a\",\"content\":\"\"}," MODEL "}",
	     "normalizer.pattern: expected an object"},
		{"{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"}}," MODEL "}",
	     "normalizer.content: is missing"},
		{"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}}," MODEL "}",
	     "pre_tokenizer.behavior: is missing"},
		{"{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"use_regex\":\"yes\"}," MODEL "}",
	     "use_regex: expected true or false, found a string"},
		{"{\"pre_tokenizer\":{\"type\":\"Digits\",\"individual_digits\":1}," MODEL "}",
	     "individual_digits: expected true or false"},
		{"{\"pre_tokenizer\":{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"ab\"}," MODEL "}",
	     "`ab` is not one character"},
		{"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":1}," MODEL "}",
	     "prepend_scheme: expected a string"},
		{"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"first\",\"add_prefix_"
	     "space\":false}," MODEL "}",
	     "is false, but prepend_scheme is `first`"},
		{"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"add_prefix_space\":1}," MODEL "}",
	     "add_prefix_space: expected true"},
		{"{\"decoder\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}," MODEL "}",
	     "decoder.pattern: the pattern is empty"},
		{"{\"decoder\":{\"type\":\"Replace\",\"pattern\":1,\"content\":\"\"}," MODEL "}",
	     "decoder.pattern: expected an object"},
		{"{\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}," MODEL "}",
	     "decoder.start: -1 is not a number"},
		{"{\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":\"1\",\"stop\":0}," MODEL "}",
	     "decoder.start: expected a whole number"},
		{"{\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}," MODEL "}",
	     "the scheme `last`"},
		{"{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"Replace\",\"pattern\":{"
	     "\"String\":\"ab\"},\"content\":\"\"}]}," MODEL "}",
	     "Replace after Fuse or ByteLevel is supported for one character only"},
		{"{\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"TemplateProcessing\",\"single\":[{"
	     "\"Sequence\":{\"id\":\"A\"}}],"
	     "\"special_tokens\":{}},{\"type\":\"TemplateProcessing\",\"single\":[],\"special_tokens\":{}}]}," MODEL "}",
	     "post_processor.processors[1]: more than one template is not supported"},
		{"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],"
	     "\"special_tokens\":{}}," MODEL "}",
	     "post_processor.special_tokens.x: is missing; expected an object"},
		{"{\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}],"
	     "\"special_tokens\":{\"x\":{\"ids\":[-1]}}}," MODEL "}",
	     "special_tokens.x.ids: is not a list of numbers"},
		{"{\"added_tokens\":[{\"id\":3,\"content\":\"ab\"}]," MODEL "}",
	     "added_tokens[0]: `ab` has id 3 here, but 2 in model.vocab"},
		{"{\"added_tokens\":[{\"id\":1,\"content\":\"x\"}]," MODEL "}",
	     "`x` has id 1, which model.vocab gives another token"},
		{"{\"added_tokens\":[{\"id\":3,\"content\":\"\"}]," MODEL "}", "its content is empty"},
		{"{\"added_tokens\":[{\"id\":3,\"content\":\"x\"},{\"id\":3,\"content\":\"y\"}]," MODEL "}",
	     "`y`, with id 3, appears twice"},
		{"{\"added_tokens\":[{\"id\":3,\"content\":\"x\",\"special\":1}]," MODEL "}",
	     "special: expected true or false, found a number"},
	};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct text_error e;
		struct tokenizer *t = read_text(wrong[i][0], &e);
		if (t)
			fail_msg("%s: was read", wrong[i][0]);
		if (strncmp(e.text, "tokenizer.json: ", 16) || !strstr(e.text, wrong[i][1]))
			fail_msg("expected `%s`, got `%s`", wrong[i][1], e.text);
	}
}

static void sequences_have_limits(void **state)
{
	(void)state;
	char json[4096] = "";
	struct text_error e;
	for (int i = 0; i < 9; i++)
		strcat(json, "{\"type\":\"Sequence\",\"normalizers\":[");
	strcat(json, "{\"type\":\"NFC\"}");
	for (int i = 0; i < 9; i++)
		strcat(json, "]}");
	char whole[8192];
	snprintf(whole, sizeof whole, "{\"normalizer\":%s," MODEL "}", json);
	assert_null(read_text(whole, &e));
	assert_non_null(strstr(e.text, "sequences are nested deeper than 8"));
	strcpy(json, "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}");
	for (int i = 0; i < 64; i++)
		strcat(json, ",{\"type\":\"NFC\"}");
	snprintf(whole, sizeof whole, "{\"normalizer\":%s]}," MODEL "}", json);
	assert_null(read_text(whole, &e));
	assert_non_null(strstr(e.text, "normalizer.normalizers: has 65 elements; at most 64 are supported"));
}

static void files_that_are_not_files_are_refused(void **state)
{
	(void)state;
	char path[] = "/tmp/rt_text.XXXXXX";
	struct text_error e;
	assert_null(tokenizer_open("/tmp", &e));
	assert_string_equal(e.text, "/tmp: is not a file");
	assert_null(tokenizer_open("/nowhere/tokenizer.json", &e));
	assert_string_equal(e.text, "/nowhere/tokenizer.json: No such file or directory");
	int fd = mkstemp(path);
	assert_int_equal(ftruncate(fd, TEXT_MAX_FILE + 1L), 0);
	assert_null(tokenizer_open(path, &e));
	assert_non_null(strstr(e.text, "has 67108865 bytes; at most 67108864 are supported"));
	close(fd);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(tokenizer_open(path, &e)); /* and does not wait for a writer */
	unlink(path);
}

static void long_strings_are_refused(void **state)
{
	(void)state;
	enum { LONG = 257 };
	char name[LONG + 1], json[LONG + 400];
	struct text_error e;
	memset(name, 'x', LONG);
	name[LONG] = 0;
	snprintf(json, sizeof json, "{\"added_tokens\":[{\"id\":9,\"content\":\"%s\"}]," MODEL "}", name);
	assert_null(read_text(json, &e));
	assert_string_equal(e.text,
	                    "tokenizer.json: added_tokens[0]: its content has 257 bytes; at most 256 are supported");
	snprintf(json, sizeof json, "{\"added_tokens\":[{\"id\":9,\"content\":\"%s\"}]," MODEL "}", name + 1);
	tokenizer_close(read_good(json));
}

/* The first words say what an encoder of `ab?` says; NULL: it encodes. */
static void unknown_characters(void **state)
{
	(void)state;
	static const struct {
		const char *json, *text, *expected;
	} tests[] = {
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[],\"unk_token\":\"?\"}}", "ab",
	     "the text cannot be encoded: it has a character without a token, and unk_token is not in the vocabulary"},
		{"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0]]}}", "ab",
	     "the text cannot be encoded: it has a character without a token, and the model has no unk_id"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}", "bab", "0"},
		{"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"<0x62>\":1,\"?\":2},\"merges\":[],\"unk_token\":\"?\","
	     "\"byte_fallback\":true}}",
	     "abcab", "0,1,2,0,1"},
		{"{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",0],[\"<0x62>\",0],[\"?\",0]],\"unk_id\":2,\"byte_"
	     "fallback\":true}}",
	     "abcabb", "0,2,0,1,1"},
	};
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		struct tokenizer *t = read_good(tests[i].json);
		struct token_ids ids = {0};
		struct text_error e;
		if (tokenizer_encode(t, tests[i].text, strlen(tests[i].text), 0, &ids, &e))
			assert_string_equal(encode(t, tests[i].text, 0), tests[i].expected);
		else
			assert_string_equal(e.text, tests[i].expected);
		free(ids.at);
		tokenizer_close(t);
	}
}

/* ---- long texts ------------------------------------------------------------------------------ */
/* Half a second for a million characters in one word; a quadratic algorithm takes hours. */
static void long_words_are_no_problem(void **state)
{
	(void)state;
	enum { LONG = 1000000 };
	static const char *const names[] = {"llama3", "mistral", "gemma", "unigram", "unigram_bytes", "qwen2"};
	static const char *const units[] = {"a", "\xCC\x81\xCC\xA3", " ", "the "};
	char *text = malloc(LONG + 8);
	for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
		struct tokenizer *t = open_family(names[k]);
		for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
			struct token_ids ids = {0};
			struct text_error e;
			size_t unit = strlen(units[u]), n = LONG / unit * unit;
			for (size_t i = 0; i < n; i++)
				text[i] = units[u][i % unit];
			if (!tokenizer_encode(t, text, n, 0, &ids, &e))
				fail_msg("%s: %s", names[k], e.text);
			free(ids.at);
		}
		tokenizer_close(t);
	}
	free(text);
}

static void texts_have_limits(void **state)
{
	(void)state;
	static const char replace[] =
		"{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},"
		"\"content\":\"xxxxxxxxxxxxxxxx\"},"
		"{\"type\":\"Replace\",\"pattern\":{\"String\":\"x\"},\"content\":\"xxxxxxxxxxxxxxxx\"},{\"type\":\"Replace\","
		"\"pattern\":{\"String\":\"x\"},\"content\":"
		"\"xxxxxxxxxxxxxxxx\"}]}," MODEL "}";
	struct tokenizer *t = read_good(replace);
	struct token_ids ids = {0};
	struct text_error e;
	char *text = calloc(TEXT_MAX_INPUT + 1, 1);
	memset(text, 'x', 1 << 18);
	assert_false(tokenizer_encode(t, text, 1 << 18, 0, &ids, &e));
	assert_string_equal(e.text, "the text cannot be encoded: the tokenizer makes this text too long");
	assert_false(tokenizer_encode(t, text, TEXT_MAX_INPUT + 1, 0, &ids, &e));
	assert_string_equal(e.text, "the text cannot be encoded: it has more than 64 MiB");
	free(text);
	free(ids.at);
	tokenizer_close(t);
}

static void a_pattern_that_takes_too_long_is_an_error(void **state)
{
	(void)state;
	struct tokenizer *t = read_good(
		"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?:a+)+c\"},\"behavior\":\"Isolated\","
		"\"invert\":false}," MODEL "}");
	static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabc";
	struct token_ids ids = {0};
	struct text_error e;
	assert_false(tokenizer_encode(t, text, sizeof text - 1, 0, &ids, &e));
	assert_string_equal(e.text, "the text cannot be encoded: a pattern of the tokenizer takes too long for this text");
	assert_int_equal(ids.n, 0);
	free(ids.at);
	tokenizer_close(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_found_by_text_and_id),
		cmocka_unit_test(ids_are_appended_and_an_error_appends_none),
		cmocka_unit_test(a_stream_of_bytes_prints_whole_characters),
		cmocka_unit_test(a_stream_of_a_byte_vocabulary_waits_for_characters),
		cmocka_unit_test(characters_at_the_end_may_have_to_be_stripped),
		cmocka_unit_test(what_is_not_supported_is_refused_by_name),
		cmocka_unit_test(sequences_have_limits),
		cmocka_unit_test(files_that_are_not_files_are_refused),
		cmocka_unit_test(long_strings_are_refused),
		cmocka_unit_test(unknown_characters),
		cmocka_unit_test(long_words_are_no_problem),
		cmocka_unit_test(texts_have_limits),
		cmocka_unit_test(a_pattern_that_takes_too_long_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
