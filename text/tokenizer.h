/* Tokenizers: tokenizer.json of Hugging Face, text to token ids, token ids to text.
 *
 * Everything that the file names is either done as Hugging Face's `tokenizers` does it, or the file is refused by that
 * name. The file is untrusted: its size and every count in it are bounded.
 *
 * Errors are text: a function that fails fills *e with one sentence without control characters. Lack of memory ends the
 * process, by no_memory. A tokenizer and its streams are used by one thread at a time. */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TEXT_MAX_FILE = 64 << 20,  /* bytes of tokenizer.json */
	TEXT_MAX_INPUT = 64 << 20, /* bytes of one text */
	TEXT_MAX_ID = (1 << 22) - 1,
	TEXT_MAX_TOKEN = 1 << 16, /* bytes of a string in the file */
};

struct text_error {
	char text[512];
};

struct tokenizer;

/* Reads a file. NULL: see *e. The caller closes the tokenizer. */
struct tokenizer *tokenizer_open(const char *path, struct text_error *e);
/* Likewise the n bytes of such a file; `name` is what errors call it. */
struct tokenizer *tokenizer_read(const char *name, const char *json, size_t n, struct text_error *e);
void tokenizer_close(struct tokenizer *t); /* t may be NULL */

/* 1 + the largest id that has a token. */
int32_t tokenizer_size(const struct tokenizer *t);
/* The id of a token by its text in the file; -1: there is none. */
int32_t tokenizer_find(const struct tokenizer *t, const char *text, size_t n);
/* The text of a token in the file, *n bytes, which are the tokenizer's. NULL: no token has this id. */
const char *tokenizer_token(const struct tokenizer *t, int32_t id, size_t *n);
/* Whether an id is a special token, which stands for no text. */
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);

/* ---- text to ids ---------------------------------------------------------------------------------------------- */
struct token_ids {
	int32_t *at; /* for free() */
	size_t n, room;
};
enum encode_flags {
	ENCODE_TEMPLATE = 1, /* adds what the file's post-processor adds to a text, such as <s> */
	ENCODE_PLAIN = 2,    /* special tokens in the text are text like any other */
};
/* Appends the ids of a text of n bytes, which may contain NUL. A text that is not UTF-8 is refused, by the position of
 * the first byte that is not, and so is one that a pattern of the file takes too long for. */
bool tokenizer_encode(struct tokenizer *t, const char *text, size_t n, unsigned flags, struct token_ids *out,
                      struct text_error *e);

/* ---- ids to text ---------------------------------------------------------------------------------------------- */
/* Text as it becomes known, token by token. What is returned consists of whole characters; a byte that can no longer
 * become part of one is U+FFFD. Some decoders drop a space at the start of a text: who continues a text gives the
 * stream that text's ids first, and drops what it returns. The stream must not outlive its tokenizer. */
struct text_stream;
enum decode_flags {
	DECODE_SPECIAL = 1, /* special tokens are printed, not skipped */
	DECODE_WHOLE = 2,   /* the text may come late; see below */
};
struct text_stream *text_stream_open(const struct tokenizer *t, unsigned flags);
void text_stream_close(struct text_stream *s); /* s may be NULL */
/* The text, *n bytes, that is known once this token follows the earlier ones; often empty, never NULL. It is the
 * stream's, until the next call. An id without a token adds nothing. */
const char *text_stream_next(struct text_stream *s, int32_t id, size_t *n);
/* What is left when no token follows. The stream then begins again. */
const char *text_stream_end(struct text_stream *s, size_t *n);

/* All pieces of a stream, concatenated, are what `tokenizers` decodes, with one exception: in a run of byte tokens
 * (<0xE4>) which is not UTF-8 as a whole, a stream has already printed the characters before the first wrong byte,
 * where `tokenizers` replaces each byte of the run. With DECODE_WHOLE the stream waits for the end of each run and does
 * the same. */
#endif
