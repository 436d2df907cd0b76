/* Searching, by PCRE2's compiler for this processor where it has one. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include "regex.h"
#include "utf8.h"

/* MAX_STEPS bounds the work at one position: patterns are untrusted, and can take exponential time. */
enum { MAX_STEPS = 10000000, MAX_HEAP = 1 << 16 /* KiB */, JIT_STACK = 32 << 10, MAX_JIT_STACK = 1 << 20 };

struct regex {
	pcre2_code *code;
	pcre2_match_context *limits;
	pcre2_match_data *match;
	pcre2_jit_stack *stack; /* NULL: no machine code */
};

static pcre2_code *compile(struct span pattern, bool literal, char *why, size_t room)
{
	uint32_t options = PCRE2_UTF | (literal ? PCRE2_LITERAL : PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C);
	pcre2_compile_context *context = pcre2_compile_context_create(NULL);
	if (!context || pcre2_set_newline(context, PCRE2_NEWLINE_LF))
		no_memory(sizeof context);
	int error;
	PCRE2_SIZE at;
	pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern.at, pattern.n, options, &error, &at, context);
	pcre2_compile_context_free(context);
	if (code)
		return code;
	PCRE2_UCHAR message[128];
	pcre2_get_error_message(error, message, sizeof message);
	snprintf(why, room, "%s", (const char *)message);
	return NULL;
}

struct regex *regex_open(struct span pattern, bool literal, char *why, size_t room)
{
	struct bytes translated = {0};
	pcre2_code *code = NULL;
	if (!pattern.n)
		snprintf(why, room, "the pattern is empty");
	else if (literal)
		code = compile(pattern, true, why, room);
	else if (regex_translate(pattern, &translated, why, room))
		code = compile(span_of(&translated), false, why, room);
	bytes_free(&translated);
	if (!code)
		return NULL;
	struct regex *r = text_grow(NULL, 1, sizeof *r);
	*r = (struct regex){code, pcre2_match_context_create(NULL), pcre2_match_data_create(1, NULL), NULL};
	if (!r->limits || !r->match)
		no_memory(sizeof *r);
	pcre2_set_match_limit(r->limits, MAX_STEPS);
	pcre2_set_heap_limit(r->limits, MAX_HEAP);
	if (!pcre2_jit_compile(code, PCRE2_JIT_COMPLETE))
		r->stack = pcre2_jit_stack_create(JIT_STACK, MAX_JIT_STACK, NULL);
	if (r->stack)
		pcre2_jit_stack_assign(r->limits, NULL, r->stack);
	return r;
}

void regex_close(struct regex *r)
{
	if (!r)
		return;
	pcre2_jit_stack_free(r->stack);
	pcre2_match_data_free(r->match);
	pcre2_match_context_free(r->limits);
	pcre2_code_free(r->code);
	free(r);
}

/* The first match at `from` or later. */
static int find(struct regex *r, struct span text, size_t from)
{
	PCRE2_SPTR subject = (PCRE2_SPTR)text.at;
	int found = PCRE2_ERROR_JIT_STACKLIMIT;
	if (r->stack)
		found = pcre2_jit_match(r->code, subject, text.n, from, PCRE2_NO_UTF_CHECK, r->match, r->limits);
	if (found == PCRE2_ERROR_JIT_STACKLIMIT)
		found = pcre2_match(r->code, subject, text.n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, r->match, r->limits);
	return found;
}

int search_next(struct search *s)
{
	while (s->from <= s->text.n) {
		int found = find(s->regex, s->text, s->from);
		if (found == PCRE2_ERROR_NOMATCH)
			return SEARCH_DONE;
		if (found < 0)
			return SEARCH_FAILED;
		const PCRE2_SIZE *at = pcre2_get_ovector_pointer(s->regex->match);
		s->start = at[0];
		s->end = at[1];
		if (s->start == s->end && s->matched && s->end == s->last_end) {
			s->from += s->from < s->text.n ? (size_t)utf8_length(s->text.at[s->from]) : 1;
			continue;
		}
		s->from = s->last_end = s->end;
		s->matched = true;
		return SEARCH_FOUND;
	}
	return SEARCH_DONE;
}
