/* The kinds of values that a model may say of config.json: in the checked program, in a launcher's tables, and where
 * both are compared with a file. */
#ifndef DEPLOYC_CONFIG_TYPE_H
#define DEPLOYC_CONFIG_TYPE_H

enum config_type {
	CONFIG_NONE, /* absent, or null */
	CONFIG_BOOL,
	CONFIG_INT,
	CONFIG_FLOAT,
	CONFIG_STRING,
	CONFIG_LIST,  /* in JSON */
	CONFIG_ONE_OF /* the same: the file has one of these words, or a list of it alone */
};
#endif
