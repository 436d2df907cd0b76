// Drives the extension for VS Code over a stand-in for the editor's API, with the real server, and prints a line of JSON for each thing that was seen.
'use strict';
const fs = require('fs');
const Module = require('module');
const path = require('path');
const { vscode, state, events, openDocument } = require('./vscode_api');

const load = Module._load;
Module._load = (name, ...rest) => (name === 'vscode' ? vscode : load(name, ...rest));
const extension = require(path.resolve(process.env.EXTENSION, 'extension.js'));

const seen = (name, what) => process.stdout.write(`${JSON.stringify([name, what === undefined ? null : what])}\n`);

async function until(condition) {
  for (let i = 0; i < 6000; i++) {
    if (condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return false;
}

async function main() {
  const { providers } = state;
  state.settings = { command: process.env.DEPLOYC };
  const document = openDocument(process.env.SPEC, fs.readFileSync(process.env.SPEC, 'utf8'));
  const diagnostics = () => state.diagnostics.get(document.uri.toString()) || [];
  const place = (text) => document.positionOf(text);
  const context = { subscriptions: [] };
  await extension.activate(context);
  seen('providers', Object.keys(providers).sort());
  await until(() => diagnostics().length);
  seen('diagnostics', diagnostics().map((d) => [d.range.start.line, d.range.start.character, d.severity, d.code.value, d.message]));

  const { range } = diagnostics()[0];
  const actions = await providers.CodeActions.provideCodeActions(document, range, {});
  seen('actions', actions.map((a) => [a.title, a.kind.value, a.isPreferred]));
  document.edit(actions[0].edit.files.get(document.uri.toString()));
  seen('after the action', document.getText().split('\n')[8]);
  seen('no diagnostics', await until(() => !diagnostics().length));

  const hover = await providers.Hover.provideHover(document, place('tp = 4'));
  seen('hover', hover.contents.value);
  const items = await providers.CompletionItem.provideCompletionItems(document, place('require'));
  seen('completion', items.map((item) => [item.label, item.insertText]));
  const resolved = await providers.CompletionItem.resolveCompletionItem(items.find((item) => item.label === 'gpus'));
  seen('resolved', resolved.documentation ? resolved.documentation.value : '');
  const definition = await providers.Definition.provideDefinition(document, place('DGX_H100 {'));
  seen('definition', definition.map((l) => [path.basename(l.uri.fsPath), fs.readFileSync(l.uri.fsPath, 'utf8').split('\n')[l.range.start.line]]));
  const references = await providers.Reference.provideReferences(document, place('Mine {'), { includeDeclaration: true });
  seen('references', references.map((l) => l.range.start.line));
  const symbols = await providers.DocumentSymbol.provideDocumentSymbols(document);
  seen('symbols', symbols.map((s) => [s.name, s.kind, s.children.length > 0]));
  const lenses = await providers.CodeLens.provideCodeLenses(document);
  seen('lenses', lenses.map((l) => [l.range.start.line, l.command.title]));

  await providers.Rename.prepareRename(document, place('Mine {'));
  const edit = await providers.Rename.provideRenameEdits(document, place('Mine {'), 'Ours');
  document.edit(edit.files.get(document.uri.toString()));
  seen('rename', document.getText());
  seen('a refusal', await providers.Rename.provideRenameEdits(document, place('Ours {'), 'Megatron').then(() => '', (e) => e.message));

  const start = place('deploy Chat {');
  document.edit([new vscode.TextEdit(new vscode.Range(start, new vscode.Position(start.line, 13)), 'deploy   Chat  {')]);
  document.edit(await providers.DocumentFormattingEdit.provideDocumentFormattingEdits(document, { tabSize: 2, insertSpaces: true }));
  seen('formatting', document.getText());

  const batch = place('128;');
  document.edit([new vscode.TextEdit(new vscode.Range(batch, new vscode.Position(batch.line, batch.character + 3)), '4 * 32')]);
  const hints = await providers.InlayHints.provideInlayHints(document, new vscode.Range(new vscode.Position(0, 0), new vscode.Position(99, 0)));
  seen('hints', hints.map((h) => [h.position.line, h.label]));

  vscode.window.activeTextEditor = { document };
  await state.commands['deploy.plan']();
  seen('plan', state.output);

  state.settings.define = { 'Chat.plan.tp': 7 };
  events.configuration.fire({ affectsConfiguration: (name) => name === 'deploy' });
  seen('a setting', await until(() => diagnostics().some((d) => d.code.value === 'E0601' || d.code.value === 'E0503')));

  state.settings.define = {};
  await state.commands['deploy.restart']();
  seen('restarted', (await providers.Hover.provideHover(document, place('tp = 4'))) !== null);
  seen('messages', state.messages);
  state.settings.command = '/nowhere/deployc';
  await state.commands['deploy.restart']().catch(() => {});
  seen('no compiler', state.messages);
  await extension.deactivate();
  seen('done', true);
}

main().catch((e) => { process.stderr.write(`${e.stack}\n`); process.exit(1); });
