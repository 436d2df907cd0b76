/* Decoders: the texts of tokens to text, one token at a time. */
#ifndef TEXT_DECODE_H
#define TEXT_DECODE_H
#include "bytes.h"
#include "field.h"

struct decoder {
	struct decoder_step {
		enum decoder_kind {
			DECODE_JOIN, /* no decoder: a space between tokens */
			DECODE_BYTE_LEVEL,
			DECODE_BYTE_FALLBACK,
			DECODE_METASPACE,
			DECODE_REPLACE,
			DECODE_FUSE,
			DECODE_STRIP,
		} kind;
		struct bytes find, text; /* REPLACE: these by those; METASPACE, STRIP: `find` is the character */
		size_t start, stop;      /* STRIP: at most so many */
		bool drops;              /* METASPACE: the first token's marks are left out */
		bool fused;              /* what comes is one text in parts, not tokens */
		bool holds;              /* BYTE_FALLBACK: the steps after it need whole runs */
	} *step;
	size_t n, room;
};

/* Reads the field `decoder`; false: refused. The caller frees *d either way. */
bool decoder_read(const struct field *f, struct decoder *d);
void decoder_free(struct decoder *d);

/* A text that is being decoded. */
struct decoding {
	const struct decoder *decoder;
	bool whole; /* waits for the end of runs of byte tokens */
	struct bytes out;
	struct decoding_step {
		struct bytes pending; /* bytes of a run, or of a character, that is not complete */
		struct bytes text;    /* what the step makes of a token */
		size_t tokens;        /* so far */
		bool broken;          /* the run of byte tokens is not UTF-8 */
		size_t stripped, held;
	} *step;
};
void decoding_open(struct decoding *d, const struct decoder *decoder, bool whole);
void decoding_close(struct decoding *d);
/* Appends to d->out what a token makes known; what is known at the end. */
void decoding_add(struct decoding *d, struct span token);
void decoding_end(struct decoding *d);
#endif
