/* The columns that text takes on a terminal. */
#ifndef DEPLOYC_COLUMNS_H
#define DEPLOYC_COLUMNS_H

enum { COLUMNS_OF_TAB = 4 };

/* Columns of the character at s, which is in column `column`, and its length: tabs reach to the next stop,
 * combining marks take none, wide ones two; malformed bytes and control characters take one each. */
int character_columns(const char *s, const char *end, int column, int *bytes);
/* Columns that the text takes from column `column` on. */
int text_columns(const char *s, const char *end, int column);
#endif
