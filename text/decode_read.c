/* Decoders of the file. */
#include "decode.h"
#include "utf8.h"

static bool add_text(struct bytes *to, struct span text)
{
	bytes_add(to, text.at, text.n);
	return true;
}

static bool read_replace(const struct field *f, struct decoder_step *s)
{
	struct field pattern = field_of(f, "pattern"), regex = field_of(&pattern, "Regex");
	struct span find, text;
	if (!field_keys(f, (const char *const[]){"pattern", "content", NULL}) || !field_object(&pattern))
		return false;
	if (regex.v)
		return field_refuse(&regex, "regular expressions are not supported in decoders");
	if (!field_keys(&pattern, (const char *const[]){"String", NULL}) || !field_string_of(&pattern, "String", &find)
	    || !field_string_of(f, "content", &text))
		return false;
	if (!find.n)
		return field_refuse(&pattern, "the pattern is empty");
	return add_text(&s->find, find) && add_text(&s->text, text);
}

static bool read_strip(const struct field *f, struct decoder_step *s)
{
	enum { MAX_STRIP = 1 << 16 };
	struct span character;
	int32_t start, stop;
	if (!field_keys(f, (const char *const[]){"content", "start", "stop", NULL})
	    || !field_char_of(f, "content", &character) || !field_number_of(f, "start", MAX_STRIP, &start)
	    || !field_number_of(f, "stop", MAX_STRIP, &stop))
		return false;
	s->start = (size_t)start;
	s->stop = (size_t)stop;
	return add_text(&s->find, character);
}

static bool read_metaspace(const struct field *f, struct decoder_step *s)
{
	struct field scheme = field_of(f, "prepend_scheme");
	struct span mark, text = {"always", 6};
	bool prefix = true, split;
	if (!field_keys(
			f, (const char *const[]){"replacement", "str_rep", "add_prefix_space", "prepend_scheme", "split", NULL})
	    || !field_char_of(f, "replacement", &mark) || (scheme.v && !field_string(&scheme, &text))
	    || !field_bool_of(f, "add_prefix_space", &prefix) || !field_bool_of(f, "split", &split))
		return false;
	if (strcmp(text.at, "always") && strcmp(text.at, "first") && strcmp(text.at, "never"))
		return field_refuse(&scheme, "the scheme `%.60s` is not supported", text.at);
	s->drops = prefix && strcmp(text.at, "never");
	return add_text(&s->find, mark);
}

static bool read_step(const struct field *f, void *context)
{
	static const char *const names[] = {"ByteLevel", "ByteFallback", "Metaspace", "Replace", "Fuse", "Strip", NULL};
	struct decoder *d = context;
	int type = field_type(f, "the decoder", names);
	if (type < 0)
		return false;
	d->step = text_room(d->step, d->n, &d->room, sizeof *d->step);
	struct decoder_step *s = &d->step[d->n++];
	*s = (struct decoder_step){.kind = (enum decoder_kind)(DECODE_BYTE_LEVEL + type)};
	switch (s->kind) {
	case DECODE_REPLACE:   return read_replace(f, s);
	case DECODE_STRIP:     return read_strip(f, s);
	case DECODE_METASPACE: return read_metaspace(f, s);
	case DECODE_BYTE_LEVEL:
		return field_keys(f, (const char *const[]){"add_prefix_space", "trim_offsets", "use_regex", NULL});
	default: return field_keys(f, (const char *const[]){NULL});
	}
}

/* Marks the steps that get one text in parts. Not all can work on parts. */
static bool find_fused(const struct field *f, struct decoder *d)
{
	bool fused = false;
	for (size_t i = 0; i < d->n; i++) {
		struct decoder_step *s = &d->step[i];
		s->fused = fused;
		if (fused && (s->kind == DECODE_BYTE_LEVEL || s->kind == DECODE_BYTE_FALLBACK || s->kind == DECODE_METASPACE))
			return field_refuse(f, "only Fuse, Strip and Replace are supported after Fuse or ByteLevel");
		if (fused && s->kind == DECODE_REPLACE && s->find.n != (size_t)utf8_length(*s->find.at))
			return field_refuse(f, "Replace after Fuse or ByteLevel is supported for one character only");
		fused |= s->kind == DECODE_FUSE || s->kind == DECODE_BYTE_LEVEL;
		s->holds = s->kind == DECODE_BYTE_FALLBACK && i + 1 < d->n && d->step[i + 1].kind != DECODE_FUSE;
	}
	return true;
}

bool decoder_read(const struct field *f, struct decoder *d)
{
	*d = (struct decoder){0};
	if (!field_absent(f))
		return field_sequence(f, "decoders", read_step, d) && find_fused(f, d);
	d->step = text_room(d->step, d->n, &d->room, sizeof *d->step);
	d->step[d->n++] = (struct decoder_step){.kind = DECODE_JOIN};
	return true;
}

void decoder_free(struct decoder *d)
{
	for (size_t i = 0; i < d->n; i++) {
		bytes_free(&d->step[i].find);
		bytes_free(&d->step[i].text);
	}
	free(d->step);
	*d = (struct decoder){0};
}
