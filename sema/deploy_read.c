/* Fields of records as plain values: figures in base units, counts, texts. */
#include "deploy.h"

struct val value_from(struct record *r, const char *field, const struct field **from)
{
	*from = r ? record_field(r, field) : NULL;
	return *from ? record_get(r, field, r->span) : val_none();
}

struct val value_of(struct record *r, const char *field)
{
	const struct field *from;
	return value_from(r, field, &from);
}

struct record *record_of(struct record *r, const char *field)
{
	struct val v = value_of(r, field);
	return v.kind == V_RECORD ? v.record : NULL;
}

double figure_from(struct record *r, const char *field, const struct field **from)
{
	double x;
	return val_number(value_from(r, field, from), &x) ? x : ABSENT;
}

double figure_of(struct record *r, const char *field)
{
	const struct field *from;
	return figure_from(r, field, &from);
}

int64_t count_of(struct record *r, const char *field)
{
	struct val v = value_of(r, field);
	return v.kind == V_INT ? v.i : 0;
}

bool flag_of(struct record *r, const char *field)
{
	struct val v = value_of(r, field);
	return v.kind == V_BOOL && v.b;
}

const char *string_of(struct record *r, const char *field)
{
	struct val v = value_of(r, field);
	return v.kind == V_STRING ? v.name : NULL;
}
