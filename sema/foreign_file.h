/* Files of other engines in place of a spec: YAML, JSON, TOML, command lines. */
#ifndef DEPLOYC_FOREIGN_FILE_H
#define DEPLOYC_FOREIGN_FILE_H
#include "foreign.h"

enum foreign_format { FOREIGN_NONE, FOREIGN_YAML, FOREIGN_JSON, FOREIGN_TOML, FOREIGN_COMMAND };
/* What a text is, by its first lines; FOREIGN_NONE: it may be a spec. */
enum foreign_format foreign_format_of(const char *text);
const char *foreign_format_name(enum foreign_format f); /* NULL of FOREIGN_NONE */

const char *foreign_start(const char *text); /* past empty lines and comments */

struct foreign_setting {
	const char *section, *key, *value; /* section: the key around it, or "" */
};
struct foreign_settings {
	struct foreign_setting *at;
	int n, cap;
};
/* foreign_read.c */
void foreign_read(struct arena *a, enum foreign_format format, const char *text, struct foreign_settings *out);

/* Reports E0010 for such a file, with the same settings as a spec; of a command line, which `deployc import --from`
 * reads, without. false: it is none. */
bool foreign_file(struct sema *s, uint32_t source);
#endif
