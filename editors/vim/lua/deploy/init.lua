-- Neovim's client of `deployc lsp`.
--
-- vim.g.deploy_command: the program, 'deployc' if it is not set. vim.g.deploy_settings: {deployment, define, include}.
local M = {}
local clients = {} -- by root folder: Neovim 0.7 has no vim.lsp.start

local function program() return vim.g.deploy_command or 'deployc' end

local function root_of(file)
  local folder = vim.fn.fnamemodify(file, ':p:h')
  local git = vim.fn.finddir('.git', folder .. ';')
  return git ~= '' and vim.fn.fnamemodify(git, ':p:h:h') or folder
end

function M.attach(buffer)
  local file = vim.api.nvim_buf_get_name(buffer)
  if file == '' then return end
  local root = root_of(file)
  local settings = vim.g.deploy_settings or vim.empty_dict()
  local config = { name = 'deployc', cmd = { program(), 'lsp' }, root_dir = root, init_options = settings }
  if vim.lsp.start then
    vim.lsp.start(config, { bufnr = buffer })
    return
  end
  local id = clients[root]
  if not id or vim.lsp.client_is_stopped(id) then
    id = vim.lsp.start_client(config)
    clients[root] = id
  end
  if id then vim.lsp.buf_attach_client(buffer, id) end
end

return M
