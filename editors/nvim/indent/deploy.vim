" A line is indented by two spaces for each bracket that is open before it.
if exists('b:did_indent') | finish | endif
let b:did_indent = 1
setlocal indentexpr=DeployIndent() indentkeys=0},0),0],o,O,!^F
let b:undo_indent = 'setlocal indentexpr< indentkeys<'
if exists('*DeployIndent') | finish | endif

" The line without comments and strings.
function! s:code(number) abort
  return substitute(substitute(getline(a:number), '"\%(\\.\|[^"\\]\)*"', '', 'g'), '//.*$', '', '')
endfunction

function! DeployIndent() abort
  let l:previous = prevnonblank(v:lnum - 1)
  if !l:previous | return 0 | endif
  let l:before = s:code(l:previous)
  let l:opens = count(substitute(l:before, '^\s*[})\]]\+', '', ''), '{') - count(substitute(l:before, '^\s*[})\]]\+', '', ''), '}')
  let l:indent = indent(l:previous) + (l:opens > 0 ? shiftwidth() : l:opens < 0 ? -shiftwidth() : 0)
  return s:code(v:lnum) =~# '^\s*[})\]]' ? l:indent - shiftwidth() : l:indent
endfunction
