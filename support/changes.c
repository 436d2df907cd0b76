/* `deployc explain --changes`, and docs/changelog.md: what changed, by day. */
#include "diag.h"
#include <string.h>

enum change { ADDED, CHANGED, RETIRED };
static const struct {
	enum change change;
	const char *day, *codes, *text; /* text: of CHANGED and RETIRED */
} changes[] = {
#define ADDED(day, codes)        {ADDED, day, codes, NULL},
#define CHANGED(day, code, text) {CHANGED, day, code, text},
#define RETIRED(day, code, text) {RETIRED, day, code, text},
#include "changes.def"
#undef ADDED
#undef CHANGED
#undef RETIRED
};
enum { CHANGES = sizeof changes / sizeof *changes };

const char *diag_retired(const char *name)
{
	for (int i = 0; i < CHANGES; i++)
		if (changes[i].change == RETIRED && !strcmp(changes[i].codes, name))
			return changes[i].text;
	return NULL;
}

/* The codes of a line, one a line with its title. */
static void put_added(const char *codes, FILE *out)
{
	for (size_t n; *codes; codes += n + (codes[n] == ' ')) {
		char name[16];
		enum diag_code c;
		n = strcspn(codes, " ");
		snprintf(name, sizeof name, "%.*s", (int)n, codes);
		fprintf(out, "* added: %s, %s\n", name, diag_find(name, &c) ? diag_text(c, TEXT_TITLE) : "retired since");
	}
}

void explain_changes(FILE *out, const char *version, int language)
{
	fprintf(out,
	        "# Changes\n\nWhat changed in diagnostics and in the language. This page is written by `deployc explain "
	        "--changes` "
	        "(`make docs`).\n\n"
	        "## Version %s, not released yet\n\nIts newest version of the language is %d. Nothing of the language was "
	        "renamed "
	        "yet, so `deployc fmt --upgrade`\nchanges no file.\n",
	        version, language);
	for (int i = 0; i < CHANGES; i++) {
		if (!i || strcmp(changes[i].day, changes[i - 1].day) != 0)
			fprintf(out, "\n### %s\n\n", changes[i].day);
		if (changes[i].change == ADDED)
			put_added(changes[i].codes, out);
		else
			fprintf(out, "* %s: %s, %s\n", changes[i].change == CHANGED ? "changed" : "retired", changes[i].codes,
			        changes[i].text);
	}
}
