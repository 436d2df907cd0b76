/* Reads what Python writes and jansson rejects: words for numbers that JSON lacks, and integers of more than 64 bits.
 * Each is replaced by text of the same length, so that line and column of a mistake stay right. A word becomes a string
 * marked with DEL, which jansson accepts in strings and no text of a model contains. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "json_text.h"

static const struct constant {
	const char *word, *marked;
} constants[] = {
	{"NaN", "\"\x7f\""},
	{"Infinity", "\"\x7fInfin\""},
	{"-Infinity", "\"\x7f-Infin\""},
};
enum { CONSTANTS = sizeof constants / sizeof *constants };

/* The end of a string that began before `at`; `end` if it is not closed. */
static char *string_end(char *at, const char *end)
{
	while (at < end && *at != '"')
		at += *at == '\\' && at + 1 < end ? 2 : 1;
	return at < end ? at + 1 : at;
}

static bool is_value_end(const char *at, const char *end)
{
	while (at < end && strchr(" \t\r\n", *at) && *at)
		at++;
	return at == end || *at == ',' || *at == ']' || *at == '}';
}

/* Writes an integer of more than 64 bits as a real of 16 digits: 9223372036854775808 is 9223372036854775e03. */
static void shorten_integer(char *at, size_t n)
{
	char *end;
	errno = 0;
	if (strtoll(at, &end, 10) && errno == ERANGE && end == at + n)
		memcpy(end - 3, "e03", 3);
}

/* The end of the word of letters, digits and signs at `at`. Marks it if it is a constant in the place of a value. */
static char *word_end(char *at, const char *end)
{
	char *after = at;
	while (after < end && *after && !strchr(" \t\r\n,:[]{}\"", *after))
		after++;
	size_t n = (size_t)(after - at);
	for (int i = 0; i < CONSTANTS; i++)
		if (strlen(constants[i].word) == n && !memcmp(at, constants[i].word, n) && is_value_end(after, end))
			memcpy(at, constants[i].marked, n);
	shorten_integer(at, n);
	return after > at ? after : at + 1;
}

static void mark_constants(char *text, size_t n)
{
	const char *end = text + n;
	for (char *at = text; at < end;)
		at = *at == '"' ? string_end(at + 1, end) : word_end(at, end);
}

json_t *json_text_read(const char *text, size_t n, json_error_t *e)
{
	json_malloc_t allocate;
	json_free_t release;
	json_get_alloc_funcs(&allocate, &release);
	char *copy = allocate(n + 1);
	if (!copy) {
		*e = (json_error_t){.text = "out of memory"};
		return NULL;
	}
	memcpy(copy, text, n);
	copy[n] = 0;
	mark_constants(copy, n);
	json_t *root = json_loadb(copy, n, JSON_REJECT_DUPLICATES, e);
	release(copy);
	return root;
}

char *json_text_show(const json_t *v)
{
	char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(15));
	for (int i = 0; text && i < CONSTANTS; i++) {
		const struct constant *c = &constants[i];
		for (char *at = text; (at = strstr(at, c->marked));)
			memcpy(at, c->word, strlen(c->word));
	}
	return text;
}
