" `:make` checks the file of the buffer, and fills the quickfix list. g:deploy_command: the program, `deployc` if it is not set.
if exists('current_compiler') | finish | endif
let current_compiler = 'deploy'
execute 'CompilerSet makeprg=' . escape(get(g:, 'deploy_command', 'deployc') . ' check --quiet --error-format=gcc %:S', ' \|"')
CompilerSet errorformat=%f:%l:%c:\ %trror:\ %m,%f:%l:%c:\ %tarning:\ %m,%f:%l:%c:\ %tote:\ %m,%-Gfix-it:%.%#
