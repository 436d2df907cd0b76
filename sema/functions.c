/* The table of functions that the language has without a declaration. */
#include "internal.h"
#include <string.h>

static const struct function_form forms[] = {
#define FUNCTION(places, name, params, text) {places, name, params, text},
#include "functions.def"
#undef FUNCTION
};
enum { FORMS = sizeof forms / sizeof *forms };

const struct function_form *sema_functions(int *n)
{
	*n = FORMS;
	return forms;
}

bool function_is(enum function_place place, const char *name)
{
	for (int i = 0; i < FORMS; i++)
		if (forms[i].places & place && !strcmp(forms[i].name, name))
			return true;
	return false;
}

const char *function_near(enum function_place place, const char *name)
{
	const char *names[FORMS];
	int n = 0;
	for (int i = 0; i < FORMS; i++)
		if (forms[i].places & place)
			names[n++] = forms[i].name;
	return nearest_name(name, names, n);
}
