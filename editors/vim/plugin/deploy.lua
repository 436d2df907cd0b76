-- Starts the language server for .deploy buffers, from Neovim 0.7 on. Vim does not read this file.
if vim.g.loaded_deploy_lsp then return end
vim.g.loaded_deploy_lsp = true
local deploy = require('deploy')
vim.api.nvim_create_autocmd('FileType', { pattern = 'deploy', callback = function() deploy.attach(vim.api.nvim_get_current_buf()) end })
