" Commands of deployc over a buffer. g:deploy_command: the program, `deployc` if it is not set.
" Shows what the command prints in a window below, which `q` closes.
function! deploy#run(...) abort
  let l:words = [get(g:, 'deploy_command', 'deployc')] + a:000
  if a:1 !=# 'explain' | let l:words += ['-'] | endif
  let l:out = systemlist(join(map(l:words, 'shellescape(v:val)')), getline(1, '$') + [''])
  botright new
  call setline(1, l:out)
  setlocal buftype=nofile bufhidden=wipe nomodifiable
  nnoremap <buffer> <silent> q :close<CR>
endfunction

function! deploy#commands(lead, line, cursor) abort
  return join(['check', 'plan', 'graph', 'search', 'explain'], "\n")
endfunction
