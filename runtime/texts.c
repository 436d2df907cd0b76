/* The tokenizer of a checkpoint, and the ids of prompts that are text. */
#include <stdlib.h>
#include <string.h>
#include "chat.h"
#include "generation.h"
#include "schedule.h"
#include "texts.h"

/* As many as fit after n ids, up to 256; at least 1, so that what does not fit is reported. */
static int default_tokens(const struct plan *plan, int n)
{
	enum { DEFAULT_TOKENS = 256 };
	int room = schedule_room(plan) - n + 1; /* the last token has no position */
	return room < 1 ? 1 : room < DEFAULT_TOKENS ? room : DEFAULT_TOKENS;
}

/* The text of a conversation; false after a report. */
static bool make_text(struct prompt *prompt, const struct chat *chat, const char *where, struct problems *p)
{
	char why[CHAT_WHY_BYTES];
	size_t n;
	char *text = chat_text(chat, prompt->messages, &n, why);
	if (text && memchr(text, 0, n))
		snprintf(why, sizeof why, "the chat template makes a text with a NUL");
	if (!text || memchr(text, 0, n)) {
		problem(p, "%s: %s", where, why);
		free(text);
		return false;
	}
	prompt->text = memcpy(host_alloc(n + 1, 1), text, n);
	free(text);
	return true;
}

/* A conversation's template has put everything around the text that belongs there. */
static void encode(struct tokenizer *t, const struct chat *chat, const struct options *o, int i,
                   const struct plan *plan, struct problems *p)
{
	struct prompt *prompt = &o->prompts[i];
	unsigned flags = prompt->messages ? 0 : ENCODE_TEMPLATE;
	struct token_ids ids = {0};
	struct text_error e;
	char where[WHERE_BYTES];
	prompt_where(o, i, where, sizeof where);
	if (prompt->messages && !make_text(prompt, chat, where, p))
		return;
	if (!tokenizer_encode(t, prompt->text, strlen(prompt->text), flags, &ids, &e))
		problem(p, "%s: %s", where, e.text);
	else if (ids.n == 0)
		problem(p, "%s: the text has no tokens", where);
	else if (ids.n > INT32_MAX)
		problem(p, "%s: the text has %zu tokens", where, ids.n);
	prompt->ids = ids.at;
	prompt->n = ids.n > INT32_MAX ? 0 : (int)ids.n;
	if (!prompt->max_tokens)
		prompt->max_tokens = default_tokens(plan, prompt->n);
}

struct tokenizer *checkpoint_tokenizer(const char *folder, uint32_t vocab, struct text_error *e)
{
	char *path = join_path(folder, "tokenizer.json");
	struct tokenizer *t = tokenizer_open(path, e);
	if (t && (uint32_t)tokenizer_size(t) > vocab) {
		snprintf(e->text, sizeof e->text, "%s: its ids go up to %d, but the model has a vocabulary of %u", path,
		         tokenizer_size(t) - 1, vocab);
		tokenizer_close(t);
		t = NULL;
	}
	free(path);
	return t;
}

struct tokenizer *texts_encode(const struct options *o, const struct plan *plan, struct problems *p)
{
	struct text_error e;
	struct generation g = {0};
	bool talks = false;
	struct tokenizer *t = checkpoint_tokenizer(o->weights, plan->head->vocab, &e);
	if (!t)
		problem(p, "%s", e.text);
	for (int i = 0; i < o->n_prompts; i++)
		talks = talks || o->prompts[i].messages;
	struct chat *chat = talks ? chat_open(o->weights, p) : NULL;
	generation_read(&g, o->weights, p);
	for (int i = 0; t && i < o->n_prompts; i++)
		if (o->prompts[i].text || (o->prompts[i].messages && chat)) {
			encode(t, chat, o, i, plan, p);
			generation_propose(&g, &o->prompts[i]);
		}
	free(g.stop);
	chat_close(chat);
	return t;
}
