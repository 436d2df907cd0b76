/* str() and repr() of Python. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>
#include "../utf8.h"
#include "print.h"

/* Python's repr of a float: the shortest digits that are read as the same number. */
static void print_float(struct text *out, double f)
{
	char s[40], digits[32];
	int precision = 1, exponent;
	if (!isfinite(f)) {
		text_word(out, isnan(f) ? "nan" : f > 0 ? "inf" : "-inf");
		return;
	}
	do
		snprintf(s, sizeof s, "%.*e", precision - 1, f);
	while (strtod(s, NULL) != f && precision++ < 17);
	char *e = strchr(s, 'e');
	exponent = atoi(e + 1);
	if (exponent >= -4 && exponent < 16) {
		int decimals = precision - 1 - exponent;
		snprintf(digits, sizeof digits, "%.*f", decimals > 1 ? decimals : 1, f);
		text_word(out, digits);
		return;
	}
	text_append(out, s, (size_t)(e - s));
	snprintf(digits, sizeof digits, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
	text_word(out, digits);
}

static bool is_printable(uint32_t point)
{
	switch (utf8proc_category((utf8proc_int32_t)point)) {
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CS:
	case UTF8PROC_CATEGORY_CO:
	case UTF8PROC_CATEGORY_CN:
	case UTF8PROC_CATEGORY_ZL:
	case UTF8PROC_CATEGORY_ZP: return false;
	case UTF8PROC_CATEGORY_ZS: return point == ' ';
	default:                   return true;
	}
}

static void print_char(struct text *out, struct span c, uint32_t point, char quote)
{
	char s[16];
	if (point == (uint32_t)quote || point == '\\')
		text_word(out, "\\");
	if (point == '\n' || point == '\r' || point == '\t')
		text_word(out, point == '\n' ? "\\n" : point == '\r' ? "\\r" : "\\t");
	else if (is_printable(point))
		text_span(out, c);
	else {
		snprintf(s, sizeof s, point < 0x100 ? "\\x%02x" : point < 0x10000 ? "\\u%04x" : "\\U%08x", point);
		text_word(out, s);
	}
}

static void print_quoted(struct text *out, struct span s)
{
	char quote = s.n && memchr(s.at, '\'', s.n) && !memchr(s.at, '"', s.n) ? '"' : '\'';
	text_append(out, &quote, 1);
	for (size_t i = 0; i < s.n;) {
		uint32_t point;
		size_t n = (size_t)utf8_decode(s.at + i, &point);
		print_char(out, (struct span){s.at + i, n}, point, quote);
		i += n;
	}
	text_append(out, &quote, 1);
}

static void print_elements(struct text *out, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			text_word(out, ", ");
		print_repr(out, l->at[i]);
	}
}

static void print_dict(struct text *out, const struct dict *d)
{
	text_word(out, "{");
	for (size_t i = 0; i < d->n; i++) {
		if (i)
			text_word(out, ", ");
		print_repr(out, d->keys[i]);
		text_word(out, ": ");
		print_repr(out, d->values[i]);
	}
	text_word(out, "}");
}

static void print_view(struct text *out, struct value v)
{
	static const char *const names[] = {"dict_items([", "dict_keys([", "dict_values(["};
	text_word(out, names[v.of]);
	print_elements(out, v.list);
	text_word(out, "])");
}

static void print_range(struct text *out, const struct range *r)
{
	char s[100];
	int n = snprintf(s, sizeof s, "range(%lld, %lld", (long long)r->start, (long long)r->stop);
	if (r->step != 1)
		n += snprintf(s + n, sizeof s - (size_t)n, ", %lld", (long long)r->step);
	text_append(out, s, (size_t)n);
	text_word(out, ")");
}

void print_repr(struct text *out, struct value v)
{
	char s[32];
	work_steps(out->work, 1);
	work_enter(out->work);
	switch (v.kind) {
	case UNDEFINED: text_word(out, "Undefined"); break;
	case NONE:      text_word(out, "None"); break;
	case BOOL:      text_word(out, v.b ? "True" : "False"); break;
	case INT:
		snprintf(s, sizeof s, "%lld", (long long)v.i);
		text_word(out, s);
		break;
	case FLOAT:  print_float(out, v.f); break;
	case STRING: print_quoted(out, v.s); break;
	case LIST:
		text_word(out, "[");
		print_elements(out, v.list);
		text_word(out, "]");
		break;
	case TUPLE:
		text_word(out, "(");
		print_elements(out, v.list);
		text_word(out, v.list->n == 1 ? ",)" : ")");
		break;
	case DICT:  print_dict(out, v.dict); break;
	case VIEW:  print_view(out, v); break;
	case RANGE: print_range(out, v.range); break;
	default:    work_fail(out->work, "%s has no text", kind_name(v));
	}
	work_leave(out->work);
}

void print_value(struct text *out, struct value v)
{
	if (v.kind == STRING)
		text_span(out, v.s);
	else if (v.kind != UNDEFINED)
		print_repr(out, v);
}

struct span value_text(struct work *w, struct value v)
{
	struct text t = {.work = w};
	if (v.kind == STRING)
		return v.s;
	print_value(&t, v);
	return text_end(&t);
}
