/* Chat templates: the subset of Jinja2 that published templates use, with the results that transformers' have.
 *
 * What is not supported is refused by its name, most of it when the template is read. Templates and conversations are
 * untrusted: they reach no file and no attribute beyond their data, and steps, depth, memory and output are limited. */
#ifndef TEXT_CHAT_TEMPLATE_H
#define TEXT_CHAT_TEMPLATE_H
#include <jansson.h>
#include <time.h>
#include "tokenizer.h"

enum {
	CHAT_MAX_TEMPLATE = 1 << 20, /* bytes of a template */
	CHAT_MAX_OUTPUT = 64 << 20,  /* bytes of a rendered text */
	CHAT_MAX_MEMORY = 512 << 20, /* bytes while a text is rendered */
	CHAT_MAX_STEPS = 20000000,   /* of which each is a name or an operation, or 64 bytes of text */
	CHAT_MAX_NESTING = 200,      /* of a template */
	CHAT_MAX_DEPTH = 2000,       /* of calls of macros, in levels of nesting; of values */
};

struct chat_template;

/* Reads a template of n bytes. NULL: see *e, which says NAME and line. The caller closes it. */
struct chat_template *chat_template_read(const char *name, const char *text, size_t n, struct text_error *e);
void chat_template_close(struct chat_template *t); /* t may be NULL */

/* Renders a conversation: `variables` is an object whose keys are the variables of the template, such as messages,
 * add_generation_prompt, bos_token and eos_token. transformers always sets tools and documents, to null without any.
 * now: the time that strftime_now tells; NULL: a template that asks fails.
 * Returns *n bytes in *out for free(). false: see *e, which begins with the template's name and the line; also for what
 * the template itself refuses, by raise_exception. */
bool chat_template_render(const struct chat_template *t, const json_t *variables, const struct tm *now, char **out,
                          size_t *n, struct text_error *e);
#endif
