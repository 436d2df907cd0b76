/* Semantic tokens: what each name of a document is, by the table of references. */
#include "server.h"

/* Indices into the legend. */
enum token_type {
	TOKEN_NAMESPACE,
	TOKEN_TYPE,
	TOKEN_PROPERTY,
	TOKEN_PARAMETER,
	TOKEN_ENUM_MEMBER,
	TOKEN_VARIABLE,
	TOKEN_TYPES
};
enum { MODIFIER_DECLARATION = 1, MODIFIER_LIBRARY = 2 };

json_t *semantic_legend(void)
{
	return json_pack("{s:[s, s, s, s, s, s], s:[s, s]}", "tokenTypes", "namespace", "type", "property", "parameter",
	                 "enumMember", "variable", "tokenModifiers", "declaration", "defaultLibrary");
}

static const enum token_type types[REFERENCE_KINDS] = {
	[REFERENCE_MODULE] = TOKEN_NAMESPACE,    [REFERENCE_DECLARATION] = TOKEN_TYPE,
	[REFERENCE_FIELD] = TOKEN_PROPERTY,      [REFERENCE_AXIS] = TOKEN_PARAMETER,
	[REFERENCE_MESH_AXIS] = TOKEN_PARAMETER, [REFERENCE_LEVEL] = TOKEN_ENUM_MEMBER,
	[REFERENCE_LOCAL] = TOKEN_VARIABLE,      [REFERENCE_REGION] = TOKEN_ENUM_MEMBER,
};

/* Five numbers for each token: lines and characters since the one before, length, type, modifiers. */
static void add_token(const struct server *s, json_t *data, const struct source *f, struct position *last,
                      const struct reference *r, bool in_library)
{
	struct position lo = position_at(f, r->use.lo, s->utf8), hi = position_at(f, r->use.hi, s->utf8);
	if (lo.line != hi.line)
		return;
	int64_t numbers[] = {lo.line - last->line, lo.line == last->line ? lo.character - last->character : lo.character,
	                     hi.character - lo.character, types[r->kind], in_library ? MODIFIER_LIBRARY : 0};
	for (int i = 0; i < 5; i++)
		json_array_append_new(data, json_integer(numbers[i]));
	*last = lo;
}

json_t *semantic_tokens(struct server *s, const json_t *params)
{
	struct document *d = server_target(s, params);
	const struct analysis *a = d ? server_analysis(s, d) : NULL;
	if (!a)
		return NULL;
	json_t *data = json_array();
	struct position last = {0, 0};
	uint32_t end = 0, file = sema_source(a->sema);
	for (int i = 0; i < a->n_references; i++) {
		const struct reference *r = &a->references[i];
		if (r->use.file != file || r->use.lo < end)
			continue;
		end = r->use.hi;
		add_token(s, data, analysis_source(a), &last, r, a->sources.files.at[r->definition.file].path[0] != '/');
	}
	return json_pack("{s:o}", "data", data);
}
