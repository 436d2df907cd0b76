/* Widths of characters: UTF-8, tabs, combining marks, East Asian wide characters, emoji. */
#include "columns.h"
#include "escape.h"
#include <stddef.h>
#include <stdint.h>

struct interval {
	uint32_t first, last;
};

static bool within(uint32_t point, const struct interval *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (point >= table[i].first && point <= table[i].last)
			return true;
	return false;
}

/* Columns of a code point: combining marks take none, East Asian wide characters and emoji two. */
static int width_of(uint32_t point)
{
	static const struct interval none[] = {{0x300, 0x36F},   {0x483, 0x489},   {0x591, 0x5BD},  {0x200B, 0x200F},
	                                       {0x20D0, 0x20F0}, {0xFE00, 0xFE0F}, {0xFEFF, 0xFEFF}};
	static const struct interval two[] = {{0x1100, 0x115F},   {0x2E80, 0x303E},   {0x3041, 0xA4CF},
	                                      {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},   {0xFE30, 0xFE6F},
	                                      {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
	                                      {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};
	if (point < none[0].first)
		return 1;
	if (within(point, none, sizeof none / sizeof *none))
		return 0;
	return within(point, two, sizeof two / sizeof *two) ? 2 : 1;
}

int character_columns(const char *s, const char *end, int column, int *bytes)
{
	uint32_t point;
	*bytes = decode_utf8(s, end, &point);
	if (*s == '\t')
		return COLUMNS_OF_TAB - column % COLUMNS_OF_TAB;
	return is_control(point) ? 1 : width_of(point);
}

int text_columns(const char *s, const char *end, int column)
{
	int start = column;
	for (int bytes; s < end; s += bytes) {
		while (s < end && *s >= ' ' && *s < 0x7F) /* the common case, and fast for lines of megabytes */
			s++, column++;
		bytes = 0;
		if (s < end)
			column += character_columns(s, end, column, &bytes);
	}
	return column - start;
}
