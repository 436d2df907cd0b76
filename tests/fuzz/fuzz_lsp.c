/* Fuzzing: the language server. The input is a spec, a zero, and four bytes for each message about it; without a zero,
 * the last bytes of the spec are the messages too. Where the spec is empty, the rest are bytes of the protocol as they
 * are. No message may make a pass give up. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "lsp/lsp.h"
#include "support/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	unsetenv("HOME"); /* nothing is written to a cache */
	unsetenv("XDG_CACHE_HOME");
	json_set_alloc_funcs(heap_malloc, heap_free);
	return 0;
}

static const char *const methods[] = {
	"textDocument/hover",
	"textDocument/completion",
	"textDocument/definition",
	"textDocument/references",
	"textDocument/documentHighlight",
	"textDocument/prepareRename",
	"textDocument/rename",
	"textDocument/documentSymbol",
	"textDocument/formatting",
	"textDocument/codeAction",
	"textDocument/codeLens",
	"textDocument/foldingRange",
	"textDocument/selectionRange",
	"textDocument/inlayHint",
	"textDocument/documentLink",
	"textDocument/diagnostic",
	"textDocument/semanticTokens/full",
	"textDocument/signatureHelp",
	"textDocument/typeDefinition",
	"textDocument/rangeFormatting",
	"textDocument/onTypeFormatting",
	"textDocument/prepareCallHierarchy",
	"callHierarchy/incomingCalls",
	"callHierarchy/outgoingCalls",
	"workspace/symbol",
	"workspace/diagnostic",
};
enum { METHODS = sizeof methods / sizeof *methods };
static const char *const pieces[] = {"",  "{", "}",  "\n",   "tp = ", " GiB", "\"", "//",
                                     "x", ".", "->", "use ", "ä",     "4",    "[",  "deploy D "};
enum { PIECES = sizeof pieces / sizeof *pieces };
enum { MAX_MESSAGES = 6 /* each may run the passes */, MESSAGE = 4 /* bytes */ };

static void send_message(FILE *in, const char *method, const char *id, json_t *params)
{
	json_t *message = json_pack("{s:s, s:s, s:o}", "jsonrpc", "2.0", "method", method, "params", params);
	if (id)
		json_object_set_new(message, "id", json_string(id));
	char *text = json_dumps(message, 0);
	fprintf(in, "Content-Length: %zu\r\n\r\n%s", strlen(text), text);
	json_text_free(text);
	json_decref(message);
}

static json_t *position(uint8_t line, uint8_t character)
{
	return json_pack("{s:i, s:i}", "line", line, "character", character);
}

static json_t *range(const uint8_t *op, int more)
{
	return json_pack("{s:o, s:o}", "start", position(op[1], op[2]), "end", position(op[1], (uint8_t)(op[2] + more)));
}

static json_t *document(void) { return json_pack("{s:s, s:i}", "uri", "file:///nowhere/fuzz.deploy", "version", 2); }

static void send_edit(FILE *in, const uint8_t *op)
{
	json_t *change = json_pack("{s:o, s:s}", "range", range(op, op[3] >> 4), "text", pieces[op[3] % PIECES]);
	send_message(in, "textDocument/didChange", NULL,
	             json_pack("{s:o, s:[o]}", "textDocument", document(), "contentChanges", change));
}

static void send_request(FILE *in, const uint8_t *op)
{
	static const char *const names[][2] = {
		{"std.ops", "silu"}, {"std.decoder", "GQA"}, {"/nowhere/fuzz.deploy", "PlainMLP"}, {"std.none", ""}};
	const char *const *name = names[op[3] % 4];
	json_t *data =
		json_pack("{s:s, s:s, s:s}", "document", "file:///nowhere/fuzz.deploy", "module", name[0], "name", name[1]);
	send_message(in, methods[op[0] % METHODS], "1",
	             json_pack("{s:o, s:o, s:o, s:[o], s:s, s:s, s:i, s:s, s:{s:o}}", "textDocument", document(),
	                       "position", position(op[1], op[2]), "range", range(op, op[3]), "positions",
	                       position(op[1], op[2]), "newName", "renamed", "query", pieces[op[3] % PIECES],
	                       "partialResultToken", 1, "workDoneToken", "w", "item", "data", data));
}

static bool write_session(FILE *in, const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);
	size_t n = end ? (size_t)(end - data) : size;
	json_t *text = json_stringn((const char *)data, n);
	if (!text)
		return false;
	send_message(in, "initialize", "0", json_pack("{s:{}}", "capabilities"));
	json_t *item = json_pack("{s:s, s:i, s:s, s:o}", "uri", "file:///nowhere/fuzz.deploy", "version", 1, "languageId",
	                         "deploy", "text", text);
	send_message(in, "textDocument/didOpen", NULL, json_pack("{s:o}", "textDocument", item));
	const uint8_t *op = end ? end + 1 : data + size - (size < MAX_MESSAGES * MESSAGE ? size : MAX_MESSAGES * MESSAGE);
	for (int i = 0; i < MAX_MESSAGES && op + MESSAGE <= data + size; i++, op += MESSAGE)
		if (op[0] & 1)
			send_edit(in, op);
		else
			send_request(in, (const uint8_t[]){op[0] >> 1, op[1], op[2], op[3]});
	send_message(in, "shutdown", "2", json_null());
	send_message(in, "exit", NULL, json_null());
	return true;
}

/* Aborts if a pass gave up. */
static void look_at(int out)
{
	size_t size = (size_t)lseek(out, 0, SEEK_END);
	char *text = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, out, 0) : NULL;
	if (text && memmem(text, size, "internal error", strlen("internal error")))
		abort();
	if (text)
		munmap(text, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lsp_options options = {0};
	int in = memfd_create("in", 0), out = memfd_create("out", 0);
	FILE *session = fdopen(dup(in), "w");
	bool sound = target_find(NULL, &options.target);
	if (size && data[0])
		sound &= write_session(session, data, size);
	else if (size)
		fwrite(data + 1, 1, size - 1, session);
	fclose(session);
	lseek(in, 0, SEEK_SET);
	if (sound)
		lsp_serve(&options, in, out);
	look_at(out);
	close(in);
	close(out);
	return 0;
}
