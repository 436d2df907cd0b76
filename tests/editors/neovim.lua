-- Drives Neovim through what a user does with a .deploy file, and prints a line for each thing that was seen.
--   nvim --headless --clean --cmd 'set rtp^=editors/vim' -l|-S neovim.lua FILE
local seen = {}
local function say(name, good, what)
  io.stdout:write(string.format('%s %s %s\n', good and 'ok' or 'FAIL', name, good and '' or vim.inspect(what)))
  table.insert(seen, good)
end
local function wait(condition) return vim.wait(60000, condition, 20) end
local function lines() return vim.api.nvim_buf_get_lines(0, 0, -1, false) end
local function find(text) return vim.fn.search(text, 'w') end
local function request(method, more)
  local params = vim.lsp.util.make_position_params(0, 'utf-16')
  for name, value in pairs(more or {}) do params[name] = value end
  local answers = vim.lsp.buf_request_sync(0, method, params, 60000) or {}
  for _, answer in pairs(answers) do return answer.result end
end

vim.cmd('edit ' .. vim.fn.fnameescape(vim.env.DEPLOY_FILE))
say('filetype', vim.bo.filetype == 'deploy', vim.bo.filetype)
say('comment string', vim.bo.commentstring == '// %s', vim.bo.commentstring)
say('diagnostics', wait(function() return #vim.diagnostic.get(0) == 1 end), vim.diagnostic.get(0))
local found = vim.diagnostic.get(0)[1] or {}
say('their code', found.code == 'E0101' and found.lnum == 8, found)

-- A code action repairs it.
vim.api.nvim_win_set_cursor(0, { found.lnum + 1, found.col })
local params = vim.lsp.util.make_range_params(0, 'utf-16')
local at = { line = found.lnum, character = found.col }
params.range = { start = at, ['end'] = at }
params.context = { diagnostics = {} }
for id, answer in pairs(vim.lsp.buf_request_sync(0, 'textDocument/codeAction', params, 60000) or {}) do
  local action = (answer.result or {})[1]
  if action then vim.lsp.util.apply_workspace_edit(action.edit, 'utf-16') end
end
say('code action', lines()[9] == '  plan     = Megatron { tp = 4; ep = 2 }', lines()[9])
say('no diagnostics after it', wait(function() return #vim.diagnostic.get(0) == 0 end), vim.diagnostic.get(0))

find('tp = 4')
local hover = request('textDocument/hover')
say('hover', hover and hover.contents.value:find('0 1 2 3 | 4 5 6 7', 1, true) ~= nil, hover)

find('require')
local items = request('textDocument/completion') or {}
local labels = {}
for _, item in ipairs(items) do labels[item.label] = true end
say('completion', labels.gpus and labels.minimize and not labels.model, labels)

find('deploy Chat')
vim.cmd('normal w')
local symbols = request('textDocument/documentSymbol')
say('symbols', symbols and symbols[1].name == 'Chat', symbols)

find('Mine {')
local edit = request('textDocument/rename', { newName = 'Ours' })
if edit then vim.lsp.util.apply_workspace_edit(edit, 'utf-16') end
say('rename', vim.fn.search('plan Ours', 'nw') > 0 and vim.fn.search('Mine', 'nw') == 0, lines())

vim.api.nvim_buf_set_lines(0, 5, 6, false, { 'deploy   Chat  {' })
local before = lines()[6]
if vim.lsp.buf.format then vim.lsp.buf.format({ timeout_ms = 60000 }) else vim.lsp.buf.formatting_sync(nil, 60000) end
say('formatting', before ~= lines()[6] and lines()[6] == 'deploy Chat {', lines()[6])

find('Megatron {')
vim.cmd('normal ox')
say('indent', lines()[10] == '  x', lines()[10])
vim.cmd('undo')

vim.cmd('Deploy plan')
say(':Deploy plan', wait(function() return vim.fn.search('rank', 'nw') > 0 end), lines())
vim.cmd('close')

-- What only current versions have.
if vim.lsp.inlay_hint and vim.lsp.semantic_tokens then
  vim.cmd('silent! %s/batch = 128/batch = 4 * 32/')
  local whole = { textDocument = vim.lsp.util.make_text_document_params(0), range = { start = { line = 0, character = 0 }, ['end'] = { line = 99, character = 0 } } }
  local hints = {}
  for _, answer in pairs(vim.lsp.buf_request_sync(0, 'textDocument/inlayHint', whole, 60000) or {}) do hints = answer.result or {} end
  say('inlay hints', #hints == 1 and hints[1].label == '= 128', hints)
  say('semantic tokens', wait(function()
    local tokens = vim.lsp.semantic_tokens.get_at_pos(0, 2, 9) or {}
    return tokens[1] ~= nil
  end), vim.lsp.semantic_tokens.get_at_pos(0, 2, 9))
end

local failed = 0
for _, good in ipairs(seen) do failed = failed + (good and 0 or 1) end
io.stdout:write(string.format('%d passed, %d failed\n', #seen - failed, failed))
vim.cmd(failed > 0 and 'cquit!' or 'qall!')
