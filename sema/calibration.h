/* What was measured of a device, of its links and of an engine: constants of the formulas in planner/time.h, fitted to
 * tables of single operators. They come from records of std.calibration (stdlib/calibration.deploy), where each has its
 * source; sema reads them once (deploy_calibration.c).
 *
 * Figures are in base units (s, bytes/s, operations/s); a share is above 0 and at most 1. `spread` is the median of
 * |model / measured - 1| over measurements that the fit did not see, or ABSENT (machine.h): nothing was held against
 * the fit. `source` is never NULL. */
#ifndef DEPLOYC_SEMA_CALIBRATION_H
#define DEPLOYC_SEMA_CALIBRATION_H
#include <stdbool.h>
#include "../support/arena.h"
#include "../support/dtype.h"

/* A product of rows with a weight. Tiles run in waves over the multiprocessors, beside the traffic of memory. */
struct fit_product {
	enum dtype weights, activations;
	double compute; /* share of the peak that the tiles of a full device reach */
	double memory;  /* share of the bandwidth of memory */
	double l2;      /* bandwidth of the shared cache, as a multiple of that of memory */
	double tile;    /* s to begin a tile */
	double launch;  /* s */
	double waves;   /* 0: a last wave that is not full takes its share; 1: as long as a full one */
	double split;   /* s to add the parts of a product whose sum is split */
	bool casts;     /* the measurements include a pass that converts the activations to `activations` */
	bool untiled;   /* a processor: operations count as they are; l2, tile, waves and split have no effect */
	double spread;
	const char *source;
};
/* The same for a product in which each group of rows has its own weight: experts. `launch` is that of all kernels
 * around two such products. */
struct fit_grouped {
	enum dtype weights, activations;
	double compute, memory, l2, tile, launch, spread;
	bool untiled; /* as in fit_product; l2 and tile have no effect */
	const char *source;
};
/* Attention of many queries of a sequence. */
struct fit_prefill {
	double compute; /* share of the peak that long sequences reach */
	double rise;    /* keys seen at which half of it is reached */
	double launch;  /* s */
	double block;   /* s of a wave of blocks of 128 queries */
	double spread;
};
/* Attention of one query of each sequence. `latent`: keys and values are pieces of one cached vector. */
struct fit_decode {
	double memory;     /* share of the bandwidth of memory */
	double launch;     /* s */
	double block;      /* s of a sequence and key/value head, on one multiprocessor */
	double latency;    /* s, reached at `saturation` bytes of cache */
	double saturation; /* bytes */
	double compute;    /* share of the peak */
	double spread;
};
struct fit_attention {
	const char *library; /* of kernels, as a setting of the engine names it; never NULL */
	struct fit_prefill prefill;
	struct fit_decode decode, latent;
	bool has_prefill, has_decode, has_latent;
	double backward; /* time of the backward pass, as a multiple of what its operations take at the forward's rate;
	                    ABSENT: not known */
	const char *source;
};
/* Passes over memory: norms, activations, copies. Shares of its bandwidth. */
struct fit_rows {
	double launch, pointwise, reduction, spread;
	const char *source;
};
/* Collectives among devices of one level: the library takes the fastest of three protocols. OF_ONE_SHOT: all-reduces of
 * small messages by a kernel of the engine. */
enum fit_collective_of {
	OF_ALL_REDUCE,
	OF_ALL_GATHER,
	OF_REDUCE_SCATTER,
	OF_ALL_TO_ALL,
	OF_POINT_TO_POINT,
	OF_ONE_SHOT,
	COLLECTIVE_FITS
};
struct fit_collective {
	double hop;                  /* s for each rank beyond the first */
	double latency[3], share[3]; /* s; share of the link's bandwidth */
	double spread;
	const char *source;
	bool known; /* else all is 0 */
};
struct calibration {
	const char *name, *source;
	VEC(struct fit_product) products; /* no two of the same formats */
	VEC(struct fit_grouped) grouped;
	VEC(struct fit_attention) attention; /* no two of one library; the first is the device's own choice */
	struct fit_rows rows;
	struct fit_collective collective[COLLECTIVE_FITS];
	const char *of; /* the name of the device that was measured. Another than the device's own: a sibling's constants */
	const char *generation; /* its generation; NULL: not stated */
};

/* What executes the step, apart from kernels. */
struct engine {
	const char *name;
	bool measured;          /* predictions for it were held against published steps: intervals are those found there */
	double step;            /* s of a step that no kernel explains: scheduling, sampling, starting a graph */
	double sequence;        /* the same, s for each sequence in the step */
	double launch;          /* s of the host to start a kernel; 0: steps are captured as graphs */
	double route_launches;  /* kernels of a routing beside those that score and move rows */
	const char *library;    /* of attention; NULL: the calibration's first */
	bool dropout;           /* of the scores of an unfused attention */
	bool one_shot;          /* small all-reduces by a kernel of its own */
	bool fused_cast;        /* activations are converted in the kernel before a product */
	bool fused_products;    /* products of one operand are one product */
	bool fused_passes;      /* passes over memory that follow one another are one kernel */
	double optimizer_bytes; /* read and written for a param that a rank owns, in an optimizer step; ABSENT: not known */
	const char *source;
};
#endif
