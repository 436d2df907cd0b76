/* Diagnostics as SARIF 2.1.0, the form that code hosts and editors read. Section numbers below are those of its
 * standard. */
#include "diag.h"
#include "json.h"
#include <ctype.h>
#include <string.h>

#define SCHEMA "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

static json_t *message_of(const char *text)
{
	json_t *message = json_object();
	json_object_set_new(message, "text", json_text(text));
	return message;
}

static const char *level_of(enum diag_code c) { return diag_is_error(c) ? "error" : "warning"; }

/* A path as a relative or `file:` URI: all but unreserved characters are written in hexadecimal (RFC 3986, 2.1). */
static json_t *artifact_of(const struct sink *s, uint32_t file)
{
	const char *path = s->sources->files.at[file].path;
	struct text uri = {.arena = s->arena};
	text_add(&uri, "%s", path[0] == '/' ? "file://" : "");
	for (; *path; path++) {
		unsigned char c = (unsigned char)*path;
		text_add(&uri, isalnum(c) || strchr("/-._~", c) ? "%c" : "%%%02X", c);
	}
	json_t *artifact = json_object();
	json_object_set_new(artifact, "uri", json_text(uri.n ? uri.at : "-"));
	return artifact;
}

static json_t *region_of(const struct sink *s, struct span at)
{
	static const char *const names[] = {"startLine", "startColumn", "endLine", "endColumn"};
	json_t *region = json_object();
	json_set_region(region, s->sources, at, names);
	json_object_set_new(region, "byteOffset", json_integer(at.lo));
	json_object_set_new(region, "byteLength", json_integer(at.hi - at.lo));
	return region;
}

static json_t *location_of(const struct sink *s, struct span at, const char *text)
{
	json_t *physical = json_object(), *location = json_object();
	json_object_set_new(physical, "artifactLocation", artifact_of(s, at.file));
	json_object_set_new(physical, "region", region_of(s, at));
	json_object_set_new(location, "physicalLocation", physical);
	if (text && *text)
		json_object_set_new(location, "message", message_of(text));
	return location;
}

/* The one text of a result: the message, then the arithmetic and the help, one per line. */
static json_t *result_message(const struct sink *s, const struct diag *d)
{
	struct text t = {.arena = s->arena};
	text_add(&t, "%s", d->message);
	for (int i = 0; i < d->table.n; i++)
		text_add(&t, "\n%s", d->table.at[i]);
	for (int i = 0; i < d->notes.n; i++)
		text_add(&t, "\nnote: %s", d->notes.at[i]);
	if (d->help)
		text_add(&t, "\nhelp: %s", d->help);
	return message_of(t.at);
}

static json_t *fixes_of(const struct sink *s, const struct diag *d)
{
	json_t *replacement = json_object(), *content = json_object(), *change = json_object(), *fix = json_object();
	json_object_set_new(content, "text", json_text(d->fix));
	json_object_set_new(replacement, "deletedRegion", region_of(s, d->fix_at));
	json_object_set_new(replacement, "insertedContent", content);
	json_object_set_new(change, "artifactLocation", artifact_of(s, d->fix_at.file));
	json_object_set_new(change, "replacements", json_pack("[o]", replacement));
	if (d->help)
		json_object_set_new(fix, "description", message_of(d->help));
	json_object_set_new(fix, "artifactChanges", json_pack("[o]", change));
	return json_pack("[o]", fix);
}

/* 3.35: a warning that the spec allows is kept, with the reason. */
static json_t *suppressions_of(const struct diag *d)
{
	json_t *suppression = json_object();
	json_object_set_new(suppression, "kind", json_string("inSource"));
	json_object_set_new(suppression, "justification", json_text(d->allowed));
	return json_pack("[o]", suppression);
}

static json_t *result_of(const struct sink *s, const struct diag *d)
{
	json_t *result = json_object(), *related = json_array();
	json_object_set_new(result, "ruleId", json_string(diag_code_name(d->code)));
	json_object_set_new(result, "ruleIndex", json_integer(d->code));
	json_object_set_new(result, "level", json_string(level_of(d->code)));
	json_object_set_new(result, "message", result_message(s, d));
	json_object_set_new(result, "locations", json_pack("[o]", location_of(s, d->at, d->label)));
	for (int i = 0; i < d->related.n; i++)
		json_array_append_new(related, location_of(s, d->related.at[i].at, d->related.at[i].text));
	json_object_set_new(result, "relatedLocations", related);
	if (d->fix)
		json_object_set_new(result, "fixes", fixes_of(s, d));
	if (d->allowed)
		json_object_set_new(result, "suppressions", suppressions_of(d));
	return result;
}

/* 3.19.23: every code, in the order of the table, so that a result names its rule by index. */
static json_t *rules(void)
{
	json_t *all = json_array();
	for (int i = 0; i < DIAG_COUNT; i++) {
		enum diag_code c = (enum diag_code)i;
		json_t *rule = json_object(), *configuration = json_object();
		json_object_set_new(rule, "id", json_string(diag_code_name(c)));
		json_object_set_new(rule, "shortDescription", message_of(diag_text(c, TEXT_TITLE)));
		json_object_set_new(rule, "fullDescription", message_of(diag_text(c, TEXT_EXPLANATION)));
		json_object_set_new(configuration, "level", json_string(level_of(c)));
		json_object_set_new(rule, "defaultConfiguration", configuration);
		json_array_append_new(all, rule);
	}
	return all;
}

static json_t *tool(const char *version)
{
	json_t *driver = json_object(), *object = json_object();
	json_object_set_new(driver, "name", json_string("deployc"));
	json_object_set_new(driver, "version", json_string(version));
	json_object_set_new(driver, "rules", rules());
	json_object_set_new(object, "driver", driver);
	return object;
}

void sarif_begin(FILE *out) { fputs("{\"$schema\":\"" SCHEMA "\",\"version\":\"2.1.0\",\"runs\":[\n", out); }

void sarif_run(const struct sink *s, FILE *out, const char *version, bool first)
{
	json_t *run = json_object(), *results = json_array();
	struct diag *const *sorted = diag_sorted(s);
	for (int i = 0; i < s->diags.n; i++)
		json_array_append_new(results, result_of(s, sorted[i]));
	json_object_set_new(run, "tool", tool(version));
	json_object_set_new(run, "columnKind", json_string("unicodeCodePoints"));
	json_object_set_new(run, "results", results);
	fputs(first ? "\n" : ",\n", out);
	json_put(run, out);
}

void sarif_end(FILE *out) { fputs("\n]}\n", out); }
