/* Each step reads a text and writes the next. */
#include "byte_level.h"
#include "normalize.h"
#include "unicode.h"
#include "utf8.h"

/* ---- reading --------------------------------------------------------------------------------- */
struct regex *pattern_read(const struct field *f, struct span *literal)
{
	struct field string = field_of(f, "String"), regex = field_of(f, "Regex"), *given = string.v ? &string : &regex;
	char why[160];
	struct span text;
	*literal = (struct span){NULL, 0};
	if (!field_object(f) || !field_keys(f, (const char *const[]){given->name, NULL}) || !field_string(given, &text))
		return NULL;
	if (string.v)
		*literal = text;
	struct regex *r = regex_open(text, string.v != NULL, why, sizeof why);
	if (!r)
		field_refuse(given, "%s", why);
	return r;
}

static bool is_one_character(struct span s) { return s.n && (size_t)utf8_length(*s.at) == s.n; }

static bool read_replace(const struct field *f, struct normalizer_step *s)
{
	struct field pattern = field_of(f, "pattern");
	struct span literal, content;
	if (!field_keys(f, (const char *const[]){"pattern", "content", NULL}) || !field_string_of(f, "content", &content))
		return false;
	bytes_add(&s->text, content.at, content.n);
	s->find = pattern_read(&pattern, &literal);
	s->same_size = is_one_character(literal) && is_one_character(content);
	return s->find != NULL;
}

static bool read_prepend(const struct field *f, struct normalizer_step *s)
{
	struct span text;
	if (!field_keys(f, (const char *const[]){"prepend", NULL}) || !field_string_of(f, "prepend", &text))
		return false;
	bytes_add(&s->text, text.at, text.n);
	return true;
}

static bool read_step(const struct field *f, void *context)
{
	static const char *const names[] = {"NFC", "NFD",   "NFKC",    "NFKD",    "Lowercase", "StripAccents",
	                                    "Nmt", "Strip", "Prepend", "Replace", "ByteLevel", NULL};
	static const enum normalizer_kind kinds[] = {
		NORMALIZE_FORM,      NORMALIZE_FORM,          NORMALIZE_FORM,       NORMALIZE_FORM,
		NORMALIZE_LOWERCASE, NORMALIZE_STRIP_ACCENTS, NORMALIZE_NMT,        NORMALIZE_STRIP,
		NORMALIZE_PREPEND,   NORMALIZE_REPLACE,       NORMALIZE_BYTE_LEVEL,
	};
	struct normalizer *n = context;
	int type = field_type(f, "the normaliser", names);
	if (type < 0)
		return false;
	n->step = text_room(n->step, n->n, &n->room, sizeof *n->step);
	struct normalizer_step *s = &n->step[n->n++];
	*s = (struct normalizer_step){.kind = kinds[type], .form = type};
	switch (s->kind) {
	case NORMALIZE_REPLACE: return read_replace(f, s);
	case NORMALIZE_PREPEND: return read_prepend(f, s);
	case NORMALIZE_STRIP:
		return field_keys(f, (const char *const[]){"strip_left", "strip_right", NULL})
		       && field_bool_of(f, "strip_left", &s->left) && field_bool_of(f, "strip_right", &s->right);
	default: return field_keys(f, (const char *const[]){NULL});
	}
}

bool normalizer_read(const struct field *f, struct normalizer *n)
{
	*n = (struct normalizer){0};
	return field_absent(f) || field_sequence(f, "normalizers", read_step, n);
}

void normalizer_free(struct normalizer *n)
{
	for (size_t i = 0; i < n->n; i++) {
		regex_close(n->step[i].find);
		bytes_free(&n->step[i].text);
	}
	free(n->step);
	bytes_free(&n->before);
	*n = (struct normalizer){0};
}

bool normalizer_keeps_start(const struct normalizer *n, bool parts)
{
	for (size_t i = 0; i < n->n; i++) {
		const struct normalizer_step *s = &n->step[i];
		bool keeps = s->kind == NORMALIZE_FORM || s->kind == NORMALIZE_LOWERCASE || s->kind == NORMALIZE_PREPEND;
		if (!(s->kind == NORMALIZE_REPLACE ? s->same_size : keeps && !parts))
			return false;
	}
	return true;
}

/* ---- steps ----------------------------------------------------------------------------------- */
static void strip_accents(struct span text, struct bytes *out)
{
	for (const char *at = text.at, *end = at + text.n; at < end;) {
		uint32_t c;
		int size = utf8_decode(at, &c);
		if (!is_mark(c))
			bytes_add(out, at, (size_t)size);
		at += size;
	}
}

/* The normaliser of neural machine translation: control characters vanish, rare spaces become spaces. */
static void normalize_nmt(struct span text, struct bytes *out)
{
	for (const char *at = text.at, *end = at + text.n; at < end;) {
		uint32_t c;
		int size = utf8_decode(at, &c);
		bool removed = (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
		bool space = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F)
		             || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
		if (!removed)
			bytes_add(out, space ? " " : at, space ? 1 : (size_t)size);
		at += size;
	}
}

static void strip(const struct normalizer_step *s, struct span text, struct bytes *out)
{
	const char *at = text.at, *end = at + text.n;
	uint32_t c;
	for (int size; s->left && at < end && (size = utf8_decode(at, &c), is_space(c));)
		at += size;
	while (s->right && at < end && (utf8_decode(utf8_before(end), &c), is_space(c)))
		end = utf8_before(end);
	bytes_add(out, at, (size_t)(end - at));
}

static const char *replace(const struct normalizer_step *s, struct span text, struct bytes *out)
{
	struct search search = search_begin(s->find, text);
	size_t copied = 0;
	int found;
	while ((found = search_next(&search)) == SEARCH_FOUND && out->n <= TEXT_MAX_NORMAL) {
		bytes_add(out, text.at + copied, search.start - copied);
		bytes_add(out, s->text.at, s->text.n);
		copied = search.end;
	}
	bytes_add(out, text.at + copied, text.n - copied);
	return found == SEARCH_FAILED ? TEXT_TOO_SLOW : NULL;
}

static const char *apply(const struct normalizer_step *s, struct span text, struct bytes *out)
{
	switch (s->kind) {
	case NORMALIZE_FORM:          normal_form((enum normal_form)s->form, text, out); break;
	case NORMALIZE_LOWERCASE:     lower_case(text, out); break;
	case NORMALIZE_STRIP_ACCENTS: strip_accents(text, out); break;
	case NORMALIZE_NMT:           normalize_nmt(text, out); break;
	case NORMALIZE_STRIP:         strip(s, text, out); break;
	case NORMALIZE_REPLACE:       return replace(s, text, out);
	case NORMALIZE_BYTE_LEVEL:    byte_level_add(text, out); break;
	case NORMALIZE_PREPEND:
		bytes_add(out, s->text.at, s->text.n);
		bytes_add(out, text.at, text.n);
		break;
	}
	return NULL;
}

/* A text that is or becomes empty stays empty. */
const char *normalizer_apply(struct normalizer *n, struct bytes *text)
{
	for (size_t i = 0; i < n->n && text->n; i++) {
		bytes_swap(text, &n->before);
		text->n = 0;
		bytes_reserve(text, 0);
		const char *wrong = apply(&n->step[i], span_of(&n->before), text);
		if (wrong || text->n > TEXT_MAX_NORMAL)
			return wrong ? wrong : TEXT_TOO_LONG;
	}
	return NULL;
}
