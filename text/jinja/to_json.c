/* json.dumps of Python. */
#include <math.h>
#include <stdio.h>
#include "../utf8.h"
#include "print.h"
#include "sequence.h"

static void print_unit(struct text *out, uint32_t unit)
{
	char s[8];
	snprintf(s, sizeof s, "\\u%04x", unit & 0xFFFF);
	text_word(out, s);
}

static void print_escape(struct text *out, uint32_t point)
{
	static const char letters[] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
	char letter = point < sizeof letters ? letters[point] : 0;
	if (letter)
		text_append(out, (char[]){'\\', letter}, 2);
	else if (point < 0x10000)
		print_unit(out, point);
	else {
		print_unit(out, 0xD800 + ((point - 0x10000) >> 10));
		print_unit(out, 0xDC00 + ((point - 0x10000) & 0x3FF));
	}
}

static void print_string(struct text *out, struct span s, bool ascii)
{
	size_t from = 0, i = 0;
	text_word(out, "\"");
	while (i < s.n) {
		uint32_t point;
		size_t n = (size_t)utf8_decode(s.at + i, &point);
		if (point < 0x20 || point == '"' || point == '\\' || (ascii && point >= 0x7F)) {
			text_append(out, s.at + from, i - from);
			print_escape(out, point);
			from = i + n;
		}
		i += n;
	}
	text_append(out, s.at + from, i - from);
	text_word(out, "\"");
}

static void print_scalar(struct text *out, struct value v)
{
	if (v.kind == NONE)
		text_word(out, "null");
	else if (v.kind == BOOL)
		text_word(out, v.b ? "true" : "false");
	else if (v.kind == FLOAT && !isfinite(v.f))
		text_word(out, isnan(v.f) ? "NaN" : v.f > 0 ? "Infinity" : "-Infinity");
	else
		print_repr(out, v);
}

static void print_key(struct text *out, struct value key, const struct json_form *form)
{
	if (key.kind == STRING) {
		print_string(out, key.s, form->ascii);
		return;
	}
	text_word(out, "\"");
	print_scalar(out, key);
	text_word(out, "\"");
}

static void print_nested(struct text *out, struct value v, const struct json_form *form, int depth);

/* What comes before an element, or before the end of a list. */
static void print_break(struct text *out, const struct json_form *form, int depth, bool comma)
{
	if (comma)
		text_span(out, form->comma);
	if (!form->lines)
		return;
	text_word(out, "\n");
	for (int i = 0; i < depth; i++)
		text_span(out, form->indent);
}

static void print_list(struct text *out, const struct list *l, const struct json_form *form, int depth)
{
	text_word(out, "[");
	for (size_t i = 0; i < l->n; i++) {
		print_break(out, form, depth + 1, i > 0);
		print_nested(out, l->at[i], form, depth + 1);
	}
	if (l->n)
		print_break(out, form, depth, false);
	text_word(out, "]");
}

static void print_object(struct text *out, const struct dict *d, const struct json_form *form, int depth)
{
	struct work *w = out->work;
	struct value items = dict_view(w, d, VIEW_ITEMS);
	struct value keys = dict_view(w, d, VIEW_KEYS);
	if (form->sort)
		sort_by(w, items.list, keys.list, false);
	text_word(out, "{");
	for (size_t i = 0; i < d->n; i++) {
		const struct value *item = items.list->at[i].list->at;
		print_break(out, form, depth + 1, i > 0);
		print_key(out, item[0], form);
		text_span(out, form->colon);
		print_nested(out, item[1], form, depth + 1);
	}
	if (d->n)
		print_break(out, form, depth, false);
	text_word(out, "}");
}

static void print_nested(struct text *out, struct value v, const struct json_form *form, int depth)
{
	work_steps(out->work, 1);
	work_enter(out->work);
	switch (v.kind) {
	case NONE:
	case BOOL:
	case INT:
	case FLOAT:     print_scalar(out, v); break;
	case STRING:    print_string(out, v.s, form->ascii); break;
	case LIST:
	case TUPLE:     print_list(out, v.list, form, depth); break;
	case DICT:      print_object(out, v.dict, form, depth); break;
	case UNDEFINED: fail_undefined(out->work, v);
	default:        work_fail(out->work, "%s is not JSON", kind_name(v));
	}
	work_leave(out->work);
}

void print_json(struct text *out, struct value v, const struct json_form *form) { print_nested(out, v, form, 0); }
