/* Templates for one text; those for pairs of texts are not read. */
#include "template.h"
#include "tokens.h"

enum { MAX_PARTS = 64, MAX_IDS = 64 };

struct reading {
	const struct field *tokens; /* special_tokens */
	struct template *template;
	bool seen; /* the text */
};

static bool read_special(const struct field *f, struct reading *r)
{
	struct span name;
	size_t n;
	if (!field_object(f) || !field_string_of(f, "id", &name))
		return false;
	struct field token = field_of(r->tokens, name.at), ids = field_of(&token, "ids");
	if (!field_object(&token) || !field_list(&ids, MAX_IDS, &n))
		return false;
	for (size_t i = 0; i < n; i++) {
		json_t *id = json_array_get(ids.v, i);
		json_int_t v = json_integer_value(id);
		if (!json_is_integer(id) || v < 0 || v > TEXT_MAX_ID)
			return field_refuse(&ids, "is not a list of numbers from 0 to %d", TEXT_MAX_ID);
		ids_add(r->seen ? &r->template->after : &r->template->before, (int32_t)v);
	}
	return true;
}

static bool read_text(const struct field *f, struct reading *r)
{
	struct span name;
	if (!field_object(f) || !field_string_of(f, "id", &name))
		return false;
	if (r->seen || strcmp(name.at, "A"))
		return field_refuse(f, "only templates with one text, A, are supported");
	return r->seen = true;
}

static bool read_part(const struct field *f, struct reading *r)
{
	struct field special = field_of(f, "SpecialToken"), text = field_of(f, "Sequence");
	return field_object(f) && field_keys(f, (const char *const[]){"SpecialToken", "Sequence", NULL})
	       && (special.v ? read_special(&special, r) : read_text(&text, r));
}

static bool read_template(const struct field *f, struct template *t)
{
	struct field single = field_of(f, "single"), tokens = field_of(f, "special_tokens");
	struct reading r = {.tokens = &tokens, .template = t};
	size_t n = 0;
	bool ok = field_keys(f, (const char *const[]){"single", "pair", "special_tokens", NULL})
	          && field_list(&single, MAX_PARTS, &n) && field_object(&tokens);
	for (size_t i = 0; ok && i < n; i++) {
		struct field part = field_at(&single, i);
		ok = read_part(&part, &r);
	}
	t->read = true;
	return ok && (r.seen || field_refuse(&single, "lacks the text, A"));
}

static bool read_step(const struct field *f, void *context)
{
	static const char *const names[] = {"TemplateProcessing", "ByteLevel", NULL};
	int type = field_type(f, "the post-processor", names);
	struct template *t = context;
	if (type == 0 && t->read)
		return field_refuse(f, "more than one template is not supported");
	if (type == 0)
		return read_template(f, t);
	/* ByteLevel changes offsets of tokens, which are not kept. */
	return type == 1 && field_keys(f, (const char *const[]){"add_prefix_space", "trim_offsets", "use_regex", NULL});
}

bool template_read(const struct field *f, struct template *t)
{
	*t = (struct template){0};
	return field_absent(f) || field_sequence(f, "processors", read_step, t);
}

void template_free(struct template *t)
{
	free(t->before.at);
	free(t->after.at);
	*t = (struct template){0};
}
