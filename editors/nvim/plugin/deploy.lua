-- Starts the language server for .deploy buffers, from Neovim 0.7 on, and defines `:Deploy plan` and its like.
if vim.g.loaded_deploy then return end
vim.g.loaded_deploy = true
local deploy = require('deploy')
vim.api.nvim_create_autocmd('FileType', { pattern = 'deploy', callback = function() deploy.attach(vim.api.nvim_get_current_buf()) end })
vim.api.nvim_create_user_command('Deploy', function(call) deploy.run(call.fargs) end, {
  nargs = '+',
  complete = function() return { 'check', 'plan', 'graph', 'search', 'explain' } end,
  desc = 'runs a command of deployc over the text of this buffer',
})
