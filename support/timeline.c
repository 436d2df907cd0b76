/* Names of queues and of kinds of work. */
#include "timeline.h"

const char *queue_name(enum queue q)
{
	static const char *const names[QUEUES] = {"compute", "reductions", "experts", "pipeline", "host"};
	return names[q];
}

const char *term_kind_name(enum term_kind kind)
{
	static const char *const names[TERM_KINDS] = {
		[TERM_ROWS] = "passes over rows",          [TERM_PRODUCT] = "products",
		[TERM_EXPERTS] = "products of experts",    [TERM_ATTENTION] = "attention",
		[TERM_COLLECTIVE] = "collectives",         [TERM_EXCHANGE] = "exchanges of experts",
		[TERM_MESSAGE] = "messages between stages"};
	return names[kind];
}
