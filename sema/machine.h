/* The machine of a deployment, as figures. sema reads them once from the cluster's records (deploy_machine.c); later
 * passes compute with them and look up no field by name. */
#ifndef DEPLOYC_SEMA_MACHINE_H
#define DEPLOYC_SEMA_MACHINE_H
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include "../support/arena.h"
#include "../support/dtype.h"
#include "../support/source.h"
#include "calibration.h"

struct record;

/* A figure is a double in base units: bytes, seconds, operations, dollars, joules. ABSENT: nobody stated it, or `auto`
 * leaves it open. std.hw's default of 0 s for a latency, which only a measurement can say, counts as ABSENT. It is a
 * NaN: sums and products with it are ABSENT too, but every comparison is false, so ask first. */
#define ABSENT ((double)NAN)
static inline bool figure_known(double figure) { return !isnan(figure); }

/* A connection of one device. */
struct link {
	const char *name; /* NULL: the level names no link, and the figures are ABSENT */
	double bandwidth; /* bytes/s in one direction */
	double latency;   /* s; may be ABSENT */
};

/* TOPOLOGY_OPEN: left open by `auto`. */
enum topology { TOPOLOGY_SWITCH, TOPOLOGY_RAIL, TOPOLOGY_FAT_TREE, TOPOLOGY_RING, TOPOLOGIES, TOPOLOGY_OPEN = -1 };

/* Equal units of the level inside it, joined by links. Apart from the link's figures, a level always has a value: the
 * cluster's, or std.hw's default (a switch with one NIC for each device, not oversubscribed, that does not reduce). */
struct level {
	const char *name;
	int64_t count; /* units of the level inside it; 0: left open by `auto` */
	struct link link;
	enum topology topology;
	double nics_per_device;  /* ABSENT only where `auto` leaves it open */
	double oversubscription; /* bandwidth of the devices over that of the level, at least 1; ABSENT as above */
	bool in_network_reduce;  /* false where `auto` leaves it open */
	struct span span;        /* where the level is declared */
};

struct accelerator {
	const char *name; /* NULL: left open by `auto`, and all figures are ABSENT */
	double memory;    /* bytes, as the driver reports it; ABSENT only where `auto` leaves it open */
	double bandwidth; /* bytes/s between the device and its memory; ABSENT as above */
	/* operations/s of dense products in a format; ABSENT: the device lists none */
	double peak[DTYPE_COUNT];
	/* shares that the spec states, above 0 and at most 1, of a peak, of `bandwidth`, of a link's bandwidth; each may be
	 * ABSENT */
	double matmul_efficiency, memory_efficiency, link_efficiency;
	double power;                          /* W; may be ABSENT */
	double multiprocessors;                /* SMs of a GPU, cores of a processor; ABSENT: not stated */
	const char *generation;                /* of the silicon; NULL: not stated */
	const struct calibration *calibration; /* NULL: nothing was measured, or `auto` leaves it open */
};

/* What surrounds the devices of a node. All figures are ABSENT, and `cores` is 0, where the cluster has no `host`. */
struct host {
	double memory; /* bytes */
	int64_t cores;
	double pcie; /* bytes/s in one direction, of one device */
};

struct machine {
	const char *name; /* the cluster's */
	struct accelerator device;
	VEC(struct level) levels; /* inside out */
	int64_t devices;          /* of the whole cluster, of which a deployment may use fewer; 0: left open by `auto` */
	struct host host;
	double reserve; /* bytes of each device that driver, communicators and graphs take; 0 where the cluster names
	                   none, ABSENT only where `auto` leaves it open */
	const char *reserve_measured; /* on what; NULL: it is an estimate */
	double price;                 /* USD/s of one device; may be ABSENT */
	struct record *record;        /* the cluster's, for sema */
	struct span span;             /* where the deployment names it: what to change */
};

/* Devices in one unit of levels.at[level], at most INT64_MAX; 0: `auto` leaves a count open. */
int64_t machine_unit(const struct machine *m, int level);
#endif
