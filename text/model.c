/* Which model a file has, and what all have in common. */
#include <stdio.h>
#include "model.h"

static bool read_byte_fallback(const struct field *f, struct model *m)
{
	if (!field_bool_of(f, "byte_fallback", &m->bytes.used))
		return false;
	for (int b = 0; b < 256; b++) {
		char name[8];
		snprintf(name, sizeof name, "<0x%02X>", (unsigned)b);
		m->bytes.id[b] = vocab_find(&m->vocab, (struct span){name, 6});
	}
	return true;
}

/* Old files do not name the model: a list of tokens is a Unigram model, and only BPE has merges. */
static int kind_of(const struct field *f)
{
	static const char *const names[] = {"BPE", "Unigram", NULL};
	if (field_object(f) && !json_object_get(f->v, "type")) {
		if (json_is_array(json_object_get(f->v, "vocab")))
			return MODEL_UNIGRAM;
		if (json_object_get(f->v, "merges"))
			return MODEL_BPE;
	}
	return field_type(f, "the model", names);
}

bool model_read(const struct field *f, struct model *m)
{
	*m = (struct model){0};
	vocab_open(&m->vocab);
	int kind = kind_of(f);
	if (kind < 0)
		return false;
	m->kind = (enum model_kind)kind;
	return (m->kind == MODEL_BPE ? bpe_read(f, m) : unigram_read(f, m)) && read_byte_fallback(f, m);
}

void model_free(struct model *m)
{
	vocab_close(&m->vocab);
	if (m->kind == MODEL_BPE)
		bpe_free(&m->bpe);
	else
		unigram_free(&m->unigram);
	*m = (struct model){0};
}

const char *model_encode(struct model *m, struct span word, struct token_ids *out)
{
	return m->kind == MODEL_BPE ? bpe_encode(m, word, out) : unigram_encode(m, word, out);
}
