// A stand-in for the part of VS Code's API that the extension uses: values, documents that can be edited, and the providers that were registered.
'use strict';
const { pathToFileURL, fileURLToPath } = require('url');

class Position {
  constructor(line, character) { Object.assign(this, { line, character }); }
  compare(other) { return this.line - other.line || this.character - other.character; }
}

class Range {
  constructor(start, end) { Object.assign(this, { start, end }); }
  intersection(other) {
    const start = this.start.compare(other.start) > 0 ? this.start : other.start;
    const end = this.end.compare(other.end) < 0 ? this.end : other.end;
    return start.compare(end) <= 0 ? new Range(start, end) : undefined;
  }
}

class Uri {
  static parse(text) { return Object.assign(new Uri(), { text: pathToFileURL(fileURLToPath(text)).href }); }
  static file(path) { return Uri.parse(pathToFileURL(path).href); }
  get fsPath() { return fileURLToPath(this.text); }
  toString() { return this.text; }
}

const record = (...names) => class { constructor(...values) { names.forEach((name, i) => { this[name] = values[i]; }); } };

class WorkspaceEdit {
  constructor() { this.files = new Map(); }
  set(uri, edits) { this.files.set(uri.toString(), edits); }
}

class CodeActionKind {
  constructor(value) { this.value = value; }
  append(part) { return new CodeActionKind([this.value, part].filter(Boolean).join('.')); }
}
CodeActionKind.Empty = new CodeActionKind('');

class Event {
  constructor() { this.listeners = []; }
  get on() { return (listener) => { this.listeners.push(listener); return { dispose() {} }; }; }
  fire(value) { this.listeners.forEach((listener) => listener(value)); }
}

class Document {
  constructor(uri, text) { Object.assign(this, { uri, text, languageId: 'deploy', version: 1 }); }
  getText() { return this.text; }
  offset(position) {
    const lines = this.text.split('\n');
    return lines.slice(0, position.line).reduce((sum, line) => sum + line.length + 1, 0) + position.character;
  }
  positionOf(text, from = 0) {
    const at = this.text.indexOf(text, from);
    if (at < 0) throw new Error(`the document has no ${text}`);
    const before = this.text.slice(0, at).split('\n');
    return new Position(before.length - 1, before[before.length - 1].length);
  }
  // Applies edits, the last of the document first, as the editor reports them.
  edit(edits) {
    const sorted = [...edits].sort((a, b) => b.range.start.compare(a.range.start));
    for (const { range, newText } of sorted)
      this.text = this.text.slice(0, this.offset(range.start)) + newText + this.text.slice(this.offset(range.end));
    this.version++;
    events.change.fire({ document: this, contentChanges: sorted.map(({ range, newText }) => ({ range, text: newText })) });
  }
}

const events = { open: new Event(), change: new Event(), close: new Event(), configuration: new Event() };
const state = { settings: {}, providers: {}, commands: {}, diagnostics: new Map(), documents: [], messages: [], output: '' };

function openDocument(path, text) {
  const document = new Document(Uri.file(path), text);
  state.documents.push(document);
  events.open.fire(document);
  return document;
}

const register = (name) => (language, provider) => { state.providers[name] = provider; return { dispose() {} }; };
const languages = {
  createDiagnosticCollection: () => ({
    set: (uri, diagnostics) => state.diagnostics.set(uri.toString(), diagnostics),
    clear: () => state.diagnostics.clear(),
    dispose() {},
  }),
};
for (const name of ['Hover', 'Definition', 'Reference', 'Rename', 'DocumentFormattingEdit', 'CodeActions', 'CompletionItem', 'DocumentSymbol', 'CodeLens', 'InlayHints'])
  languages[`register${name}Provider`] = register(name);

const vscode = {
  Position, Range, Uri, WorkspaceEdit, CodeActionKind, languages,
  Location: record('uri', 'range'), TextEdit: record('range', 'newText'), MarkdownString: record('value'), Hover: record('contents', 'range'),
  Diagnostic: record('range', 'message', 'severity'), DiagnosticRelatedInformation: record('location', 'message'), CodeAction: record('title', 'kind'),
  CompletionItem: record('label', 'kind'), SnippetString: record('value'), DocumentSymbol: record('name', 'detail', 'kind', 'range', 'selectionRange'),
  CodeLens: record('range', 'command'), InlayHint: record('position', 'label', 'kind'),
  workspace: {
    get textDocuments() { return state.documents; },
    workspaceFolders: undefined,
    getConfiguration: () => ({ get: (name) => state.settings[name] }),
    onDidOpenTextDocument: events.open.on, onDidChangeTextDocument: events.change.on, onDidCloseTextDocument: events.close.on,
    onDidChangeConfiguration: events.configuration.on,
  },
  window: {
    activeTextEditor: undefined,
    createOutputChannel: () => ({
      append(text) { state.output += text; }, appendLine(text) { state.output += `${text}\n`; }, clear() { state.output = ''; }, show() {},
    }),
    showInformationMessage: (text) => state.messages.push(text),
    showErrorMessage: (text) => state.messages.push(text),
  },
  commands: { registerCommand: (name, run) => { state.commands[name] = run; return { dispose() {} }; } },
};

module.exports = { vscode, state, events, openDocument };
