/* The kinds of values that a model may expect in config.json. Used by the checked program, by a launcher's tables, and
 * to compare both with a file. */
#ifndef DEPLOYC_CONFIG_TYPE_H
#define DEPLOYC_CONFIG_TYPE_H

enum config_type {
	CONFIG_NONE, /* absent, or null */
	CONFIG_BOOL,
	CONFIG_INT,
	CONFIG_FLOAT,
	CONFIG_STRING,
	CONFIG_LIST,  /* as JSON text */
	CONFIG_ONE_OF /* also JSON text: the file has one of these words, or a list of one of them */
};
#endif
