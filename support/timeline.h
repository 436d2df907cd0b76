/* The queues, the kinds of work and the tracks of a timeline: predicted by the planner, or measured by a launcher,
 * which is linked with this file too, so that both look alike. */
#ifndef DEPLOYC_TIMELINE_H
#define DEPLOYC_TIMELINE_H

/* Instructions of one queue run in their order, those of different ones may overlap. */
enum queue { QUEUE_COMPUTE, QUEUE_REDUCTIONS, QUEUE_EXPERTS, QUEUE_PIPELINE, QUEUE_HOST, QUEUES };
const char *queue_name(enum queue q);

/* What takes the time of an instruction. */
enum term_kind {
	TERM_ROWS,
	TERM_PRODUCT,
	TERM_EXPERTS,
	TERM_ATTENTION,
	TERM_COLLECTIVE,
	TERM_EXCHANGE, /* all-to-alls of experts */
	TERM_MESSAGE,  /* between stages */
	TERM_KINDS
};
const char *term_kind_name(enum term_kind kind); /* "products" */

/* Tracks of a stage: its layers, then its queues. */
enum { TRACK_LAYERS, TRACK_QUEUES };

enum { TRACE_JSON_VERSION = 1, TRACE_MAX_EVENTS = 200000 };
#endif
