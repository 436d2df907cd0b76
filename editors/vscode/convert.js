// What the protocol says, as objects of the editor's API, and back.
'use strict';
const vscode = require('vscode');

const position = (p) => new vscode.Position(p.line, p.character);
const range = (r) => new vscode.Range(position(r.start), position(r.end));
const location = (l) => new vscode.Location(vscode.Uri.parse(l.uri), range(l.range));
const textEdit = (e) => new vscode.TextEdit(range(e.range), e.newText);
const toPosition = (p) => ({ line: p.line, character: p.character });
const toRange = (r) => ({ start: toPosition(r.start), end: toPosition(r.end) });
const kind = (k) => k - 1; // of completion items, symbols and severities: the protocol counts from 1, the API from 0

function markdown(contents) {
  return new vscode.MarkdownString(typeof contents === 'string' ? contents : contents.value);
}

function diagnostic(d) {
  const out = new vscode.Diagnostic(range(d.range), d.message, kind(d.severity || 1));
  out.source = d.source;
  out.code = d.codeDescription ? { value: d.code, target: vscode.Uri.parse(d.codeDescription.href) } : d.code;
  out.tags = d.tags;
  out.relatedInformation = (d.relatedInformation || []).map(
    (r) => new vscode.DiagnosticRelatedInformation(location(r.location), r.message));
  return out;
}

function workspaceEdit(edit) {
  const out = new vscode.WorkspaceEdit();
  for (const [uri, edits] of Object.entries(edit.changes || {})) out.set(vscode.Uri.parse(uri), edits.map(textEdit));
  return out;
}

function action(a) {
  const out = new vscode.CodeAction(a.title, vscode.CodeActionKind.Empty.append(a.kind || ''));
  out.isPreferred = a.isPreferred;
  if (a.edit) out.edit = workspaceEdit(a.edit);
  return out;
}

// Fills what an answer to completion, or to its resolution, says about an item.
function completion(item, out = new vscode.CompletionItem(item.label, kind(item.kind || 1))) {
  const text = item.textEdit ? item.textEdit.newText : item.insertText || item.label;
  out.insertText = item.insertTextFormat === 2 ? new vscode.SnippetString(text) : text;
  if (item.textEdit) out.range = range(item.textEdit.range);
  for (const name of ['detail', 'sortText', 'filterText', 'preselect']) if (item[name] !== undefined) out[name] = item[name];
  if (item.documentation) out.documentation = markdown(item.documentation);
  if (item.additionalTextEdits) out.additionalTextEdits = item.additionalTextEdits.map(textEdit);
  return out;
}

function symbol(s) {
  const out = new vscode.DocumentSymbol(s.name, s.detail || '', kind(s.kind), range(s.range), range(s.selectionRange));
  out.children = (s.children || []).map(symbol);
  return out;
}

function hint(h) {
  const label = typeof h.label === 'string' ? h.label : h.label.map((part) => part.value).join('');
  const out = new vscode.InlayHint(position(h.position), label, h.kind);
  out.paddingLeft = h.paddingLeft;
  out.paddingRight = h.paddingRight;
  return out;
}

module.exports = { action, completion, diagnostic, hint, location, markdown, position, range, symbol, textEdit, toPosition, toRange, workspaceEdit };
