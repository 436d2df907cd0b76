/* The texts that a client has open, and the names that it has for files. */
#include "document.h"
#include <ctype.h>
#include <string.h>

static char *copy(const char *text, size_t n)
{
	char *out = heap_alloc(NULL, n + 1);
	memcpy(out, text, n);
	return out;
}

/* ---- URIs ------------------------------------------------------------------------------------ */

static int digit(char c) { return isdigit((unsigned char)c) ? c - '0' : (tolower((unsigned char)c) - 'a') + 10; }

const char *uri_path(struct arena *a, const char *uri)
{
	static const char scheme[] = "file://";
	if (strncmp(uri, scheme, sizeof scheme - 1) != 0)
		return NULL;
	const char *from = strchr(uri + sizeof scheme - 1, '/'); /* after the host, if there is one */
	char *out = arena_alloc(a, strlen(uri) + 1), *to = out;
	for (; from && *from; from++) {
		bool escaped = from[0] == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2]);
		*to++ = escaped ? (char)(16 * digit(from[1]) + digit(from[2])) : *from;
		from += escaped ? 2 : 0;
		if (!to[-1])
			return NULL;
	}
	return *out ? out : NULL;
}

const char *path_uri(struct arena *a, const char *path)
{
	static const char plain[] = "/-._~";
	struct text out = {.arena = a};
	text_add(&out, "file://");
	for (; *path; path++)
		text_add(&out, isalnum((unsigned char)*path) || strchr(plain, *path) ? "%c" : "%%%02X", (unsigned char)*path);
	return out.at;
}

/* A text without a file is one of a folder that does not exist. */
static char *key_of(const char *uri)
{
	struct arena a = {0};
	const char *path = uri_path(&a, uri), *real = path ? real_path(&a, path) : NULL;
	const char *key = real ? real : normal_path(&a, path ? path : arena_printf(&a, "/untitled/%s", uri));
	char *out = copy(key, strlen(key));
	arena_free(&a);
	return out;
}

/* ---- documents ------------------------------------------------------------------------------- */

struct document *document_open(const char *uri, struct file_text text, json_int_t version)
{
	struct document *d = heap_alloc(NULL, sizeof *d);
	*d = (struct document){.uri = copy(uri, strlen(uri)), .key = key_of(uri), .version = version, .stale = true};
	d->size = text.size;
	d->text = copy(text.at, text.size);
	return d;
}

void document_free(struct document *d)
{
	heap_free(d->uri);
	heap_free(d->key);
	heap_free(d->text);
	heap_free(d);
}

void document_replace(struct document *d, size_t lo, size_t hi, struct file_text text)
{
	size_t size = lo + text.size + (d->size - hi);
	char *out = heap_alloc(NULL, size + 1);
	memcpy(out, d->text, lo);
	memcpy(out + lo, text.at, text.size);
	memcpy(out + lo + text.size, d->text + hi, d->size - hi);
	heap_free(d->text);
	d->text = out;
	d->size = size;
}
