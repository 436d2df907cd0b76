/* Finds the family of a file, or of the one language model in it, by `model_type`. If there is none, the message says
 * what else the file shows: `architectures` that a family reads, a language model below `text_config`, that the weights
 * are quantised. */
#include "internal.h"
#include <string.h>

static bool has_word(const char *const *words, int n, const char *word)
{
	for (int i = 0; word && i < n; i++)
		if (!strcmp(words[i], word))
			return true;
	return false;
}

static bool is_of(const struct family *f, const json_t *model_type)
{
	return has_word(f->types.at, f->types.n, json_string_value(model_type));
}

static bool names_architecture(const struct family *f, const json_t *architectures)
{
	for (size_t i = 0; i < json_array_size(architectures); i++)
		if (has_word(f->architectures.at, f->architectures.n, json_string_value(json_array_get(architectures, i))))
			return true;
	return false;
}

static const struct family *family_of(const struct import *m, const json_t *file)
{
	for (int i = 0; i < m->families.n; i++)
		if (is_of(&m->families.at[i], json_object_get(file, "model_type")))
			return &m->families.at[i];
	return NULL;
}

static const struct family *family_by_architecture(const struct import *m, const json_t *file)
{
	for (int i = 0; i < m->families.n; i++)
		if (names_architecture(&m->families.at[i], json_object_get(file, "architectures")))
			return &m->families.at[i];
	return NULL;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static const char *types_text(const struct import *m, const struct family *f)
{
	struct text out = {.arena = m->arena};
	for (int i = 0; i < f->types.n; i++)
		text_add(&out, "%s`%s`", i ? " or " : "", f->types.at[i]);
	return out.at;
}

static void report_architecture(const struct import *m)
{
	const struct family *f = family_by_architecture(m, m->root);
	if (f)
		complain("its architectures %s are those that `%s` of %s reads, but with model_type %s: a family of your own"
		         " may name `%s` beside it",
		         json_value_text(m->arena, json_object_get(m->root, "architectures")), f->def->name,
		         f->def->module->label, types_text(m, f), json_string_value(json_object_get(m->root, "model_type")));
}

/* Reports a language model in a wrapper: an object of the file with a model_type or architectures of a family. */
static bool report_inner(const struct import *m)
{
	const char *key;
	json_t *inner;
	bool found = false;
	json_object_foreach (m->root, key, inner) {
		const struct family *f = family_of(m, inner);
		f = f ? f : family_by_architecture(m, inner);
		const char *type = json_string_value(json_object_get(inner, "model_type"));
		found = found || f;
		if (f)
			complain("`%s` is a `%s`, which `%s` of %s reads: save the language model by itself"
			         " (docs/how-to-add-a-model.md)",
			         key, type ? type : f->types.at[0], f->def->name, f->def->module->label);
	}
	return found;
}

/* A family alone would not make such a file readable. */
static void report_quantised(const char *key, const json_t *object)
{
	const json_t *how = json_object_get(object, "quantization_config");
	const char *method = json_string_value(json_object_get(how, "quant_method"));
	if (json_is_object(how))
		complain(
			"the weights are quantised as well, which this version does not read: %s%squantization_config is of `%s`",
			key, *key ? "." : "", method ? method : "?");
}

static void report_all_quantised(const struct import *m)
{
	const char *key;
	json_t *inner;
	report_quantised("", m->root);
	json_object_foreach (m->root, key, inner)
		report_quantised(key, inner);
}

static bool report_unknown(const struct import *m, const char *wanted)
{
	struct text known = {.arena = m->arena};
	for (int i = 0; i < m->families.n; i++)
		for (int k = 0; k < m->families.at[i].types.n; k++)
			text_add(&known, "%s%s", known.n ? ", " : "", m->families.at[i].types.at[k]);
	complain("%s: no family of the library%s has model_type `%s`; there are %s", m->source,
	         m->options->sema->n_include ? ", or below -I," : "", wanted, known.at);
	report_architecture(m);
	if (!report_inner(m))
		complain("docs/how-to-add-a-model.md says how to write one");
	report_all_quantised(m);
	return false;
}

/* ---- the choice ------------------------------------------------------------------------------ */

/* Is there no other family for the file? A folder's takes precedence over the library's; two in folders are a mistake.
 */
static bool is_only(const struct import *m, const struct family *chosen)
{
	for (int i = 0; i < m->families.n; i++) {
		const struct family *f = &m->families.at[i];
		if (f == chosen || !is_of(f, json_object_get(m->root, "model_type")))
			continue;
		complain("%s: `%s` of %s %s `%s` of %s%s", m->source, chosen->def->name, chosen->def->module->label,
		         f->def->module->is_std ? "is taken in place of" : "and", f->def->name, f->def->module->label,
		         f->def->module->is_std ? "" : " both read it: leave one out");
		if (!f->def->module->is_std)
			return false;
	}
	return true;
}

static bool is_read(void *m, json_t *object) { return family_of(m, object); }

/* The language model of a larger one: the one object of the file, such as text_config, that a family reads. It becomes
 * the root. NULL: there is none, or there are several. */
static const struct family *find_inner(struct import *m)
{
	const char *key = config_inner_key(m->root, is_read, m);
	if (!key)
		return NULL;
	complain("%s: the model is that of `%s`; launchers leave the rest of the checkpoint alone", m->source, key);
	m->inner = config_inner(m->root, key);
	m->root = m->inner;
	return family_of(m, m->root);
}

bool find_family(struct import *m)
{
	const char *wanted = json_string_value(json_at(m->root, "model_type"));
	if (!collect_families(m))
		return false;
	if (!wanted) {
		complain("%s has no model_type: it says what family a checkpoint is of", m->source);
		return false;
	}
	const struct family *f = family_of(m, m->root);
	f = f ? f : find_inner(m);
	if (!f)
		return report_unknown(m, wanted);
	if (!is_only(m, f))
		return false;
	m->family = f->def;
	m->record = def_record(m->sema, m->family);
	return m->record != NULL;
}
