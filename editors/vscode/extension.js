// .deploy files in VS Code: `deployc lsp` behind the editor's providers.
'use strict';
const { spawn } = require('child_process');
const vscode = require('vscode');
const convert = require('./convert');
const { Server } = require('./server');

const LANGUAGE = 'deploy';
const CAPABILITIES = {
  general: { positionEncodings: ['utf-16'] },
  textDocument: {
    completion: { completionItem: { snippetSupport: true, documentationFormat: ['markdown'], resolveSupport: { properties: ['documentation', 'additionalTextEdits'] } } },
    hover: { contentFormat: ['markdown'] },
    codeAction: { codeActionLiteralSupport: { codeActionKind: { valueSet: ['quickfix', 'source.fixAll'] } }, isPreferredSupport: true },
    publishDiagnostics: { relatedInformation: true, codeDescriptionSupport: true, dataSupport: true, tagSupport: { valueSet: [1, 2] } },
    documentSymbol: { hierarchicalDocumentSymbolSupport: true },
    rename: { prepareSupport: true },
  },
};

let server = null; // the one that runs, or ran last
let shown = null; // diagnostics in the editor
const found = new Map(); // by URI: diagnostics as the server sent them
const output = () => (output.channel = output.channel || vscode.window.createOutputChannel('Deploy'));

const setting = (name) => vscode.workspace.getConfiguration(LANGUAGE).get(name);
const isOurs = (document) => document.languageId === LANGUAGE;
const named = (document) => ({ uri: document.uri.toString() });
const at = (document, position) => ({ textDocument: named(document), position: convert.toPosition(position) });

function settings() {
  const out = { define: setting('define') || {}, include: setting('include') || [] };
  if (setting('deployment')) out.deployment = setting('deployment');
  return out;
}

// ---- documents ------------------------------------------------------------------------------------------------------

function open(document) {
  if (!isOurs(document)) return;
  server.tell('textDocument/didOpen', {
    textDocument: { ...named(document), languageId: LANGUAGE, version: document.version, text: document.getText() },
  });
}

function change(event) {
  if (!isOurs(event.document) || !event.contentChanges.length) return;
  const contentChanges = event.contentChanges.map((c) => ({ range: convert.toRange(c.range), text: c.text }));
  server.tell('textDocument/didChange', { textDocument: { ...named(event.document), version: event.document.version }, contentChanges });
}

function close(document) {
  if (isOurs(document)) server.tell('textDocument/didClose', { textDocument: named(document) });
}

function show({ uri, diagnostics }) {
  found.set(uri, diagnostics);
  shown.set(vscode.Uri.parse(uri), diagnostics.map(convert.diagnostic));
}

// ---- the server -----------------------------------------------------------------------------------------------------

async function start() {
  server = new Server(setting('command') || 'deployc', ['lsp'], {
    'textDocument/publishDiagnostics': show,
    'workspace/configuration': (params) => params.items.map(settings),
    'window/logMessage': (params) => output().appendLine(params.message),
    'window/showMessage': (params) => vscode.window.showInformationMessage(params.message),
    ended: (why) => vscode.window.showErrorMessage(`Deploy: ${why}. Set deploy.command, or restart the language server.`),
  });
  const folder = (vscode.workspace.workspaceFolders || [])[0];
  await server.ask('initialize', {
    processId: process.pid,
    rootUri: folder ? folder.uri.toString() : null,
    capabilities: CAPABILITIES,
    initializationOptions: settings(),
  });
  server.tell('initialized', {});
  vscode.workspace.textDocuments.forEach(open);
}

async function restart() {
  await server.stop();
  shown.clear();
  found.clear();
  await start();
}

// ---- commands -------------------------------------------------------------------------------------------------------

// What `deployc plan` prints of the text in the editor.
function plan() {
  const editor = vscode.window.activeTextEditor;
  if (!editor) return Promise.resolve();
  output().clear();
  output().show(true);
  return new Promise((resolve) => {
    const run = spawn(setting('command') || 'deployc', ['plan', '-']);
    run.stdout.on('data', (data) => output().append(data.toString()));
    run.stderr.on('data', (data) => output().append(data.toString()));
    run.on('error', (e) => resolve(output().appendLine(e.message)));
    run.on('close', resolve);
    run.stdin.on('error', () => {});
    run.stdin.end(editor.document.getText());
  });
}

// ---- providers ------------------------------------------------------------------------------------------------------

// Asks for something of a document; nothing if the server does not answer.
async function ask(method, params, token, convertAnswer) {
  const answer = await server.ask(`textDocument/${method}`, params, token).catch(() => null);
  return answer ? convertAnswer(answer) : null;
}

const list = (convertOne) => (answer) => answer.map(convertOne);

const touches = (a, b) => Boolean(a.intersection(b));

const providers = {
  Hover: {
    provideHover: (document, position, token) => ask('hover', at(document, position), token,
      (h) => new vscode.Hover(convert.markdown(h.contents), h.range && convert.range(h.range))),
  },
  Definition: {
    provideDefinition: (document, position, token) => ask('definition', at(document, position), token, list(convert.location)),
  },
  Reference: {
    provideReferences: (document, position, context, token) =>
      ask('references', { ...at(document, position), context: { includeDeclaration: context.includeDeclaration } }, token, list(convert.location)),
  },
  Rename: {
    // A refusal is shown to the user.
    provideRenameEdits: async (document, position, newName, token) =>
      convert.workspaceEdit(await server.ask('textDocument/rename', { ...at(document, position), newName }, token)),
    prepareRename: async (document, position, token) => {
      const answer = await server.ask('textDocument/prepareRename', at(document, position), token);
      if (!answer) throw new Error('this cannot be renamed');
      return convert.range(answer.range || answer);
    },
  },
  DocumentFormattingEdit: {
    provideDocumentFormattingEdits: (document, options, token) =>
      ask('formatting', { textDocument: named(document), options: { tabSize: options.tabSize, insertSpaces: options.insertSpaces } }, token, list(convert.textEdit)),
  },
  CodeActions: {
    provideCodeActions: (document, range, context, token) => {
      const diagnostics = (found.get(document.uri.toString()) || []).filter((d) => touches(convert.range(d.range), range));
      return ask('codeAction', { textDocument: named(document), range: convert.toRange(range), context: { diagnostics } }, token, list(convert.action));
    },
  },
  DocumentSymbol: {
    provideDocumentSymbols: (document, token) => ask('documentSymbol', { textDocument: named(document) }, token, list(convert.symbol)),
  },
  CodeLens: {
    provideCodeLenses: (document, token) => ask('codeLens', { textDocument: named(document) }, token,
      list((l) => new vscode.CodeLens(convert.range(l.range), { title: l.command.title, command: '' }))),
  },
  InlayHints: {
    provideInlayHints: (document, range, token) =>
      ask('inlayHint', { textDocument: named(document), range: convert.toRange(range) }, token, list(convert.hint)),
  },
};

const completions = {
  provideCompletionItems: (document, position, token) => ask('completion', at(document, position), token, (answer) =>
    (answer.items || answer).map((item) => Object.assign(convert.completion(item), { raw: item }))),
  resolveCompletionItem: async (item, token) => {
    const whole = await server.ask('completionItem/resolve', item.raw, token).catch(() => null);
    return whole ? convert.completion(whole, item) : item;
  },
};

async function activate(context) {
  shown = vscode.languages.createDiagnosticCollection(LANGUAGE);
  const kept = [
    shown,
    vscode.workspace.onDidOpenTextDocument(open),
    vscode.workspace.onDidChangeTextDocument(change),
    vscode.workspace.onDidCloseTextDocument(close),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration(LANGUAGE)) server.tell('workspace/didChangeConfiguration', { settings: { deploy: settings() } });
    }),
    vscode.commands.registerCommand('deploy.plan', plan),
    vscode.commands.registerCommand('deploy.restart', restart),
    vscode.languages.registerCompletionItemProvider(LANGUAGE, completions, '.', ':', '=', '{', '>', ' '),
  ];
  for (const [name, provider] of Object.entries(providers)) kept.push(vscode.languages[`register${name}Provider`](LANGUAGE, provider));
  context.subscriptions.push(...kept);
  await start();
}

function deactivate() {
  return server ? server.stop() : undefined;
}

module.exports = { activate, deactivate };
