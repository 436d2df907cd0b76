" As `deployc fmt` indents: bodies by two spaces, what is in `(`, `[` or the names of `use` below the first word after the bracket.
if exists('b:did_indent') | finish | endif
let b:did_indent = 1
setlocal indentexpr=DeployIndent() indentkeys=0},0),0],o,O,!^F
let b:undo_indent = 'setlocal indentexpr< indentkeys<'
if exists('*DeployIndent') | finish | endif

" The line with spaces for comments, and words for strings.
function! s:code(number) abort
  return substitute(getline(a:number), '"\%(\\.\|[^"\\]\)*"\|//.*\|/\*.\{-}\*/', '\=repeat(submatch(0)[0] ==# "/" ? " " : "s", len(submatch(0)))', 'g')
endfunction

" Brackets that are open at the start of a line, outermost first: [line, column, brackets open at the start of that line]. A line
" before it that starts with a name in its first column is taken to be outside all brackets.
function! s:open(number) abort
  let l:line = a:number - 1
  while l:line > 1 && getline(l:line) !~# '^\h' | let l:line -= 1 | endwhile
  let l:stack = []
  for l:line in range(max([l:line, 1]), a:number - 1)
    let [l:code, l:before, l:at] = [s:code(l:line), len(l:stack), 0]
    while 1
      let [l:bracket, l:from, l:at] = matchstrpos(l:code, '[][(){}]', l:at)
      if l:from < 0 | break | endif
      if l:bracket =~# '[[({]'
        call add(l:stack, [l:line, l:from, l:before])
      elseif len(l:stack)
        call remove(l:stack, -1)
      endif
    endwhile
  endfor
  return l:stack
endfunction

" Indentation of the item whose body the bracket opens: that of `op f(a,` for the body of `  b) {`.
function! s:base(bracket, outer) abort
  let l:line = a:bracket[0]
  let l:count = a:bracket[2]
  while l:count > a:outer
    let l:bracket = s:open(l:line)[-1]
    let [l:line, l:count] = [l:bracket[0], l:bracket[2]]
  endwhile
  return indent(l:line)
endfunction

function! DeployIndent() abort
  let l:open = s:open(v:lnum)
  if empty(l:open) | return 0 | endif
  let [l:number, l:column, l:before] = l:open[-1]
  let l:closes = getline(v:lnum) =~# '^\s*[])}]'
  let l:line = s:code(l:number)
  let l:body = l:line[l:column] ==# '{' && l:line !~# '^\s*use\>'
  let l:after = match(l:line, '\S', l:column + 1)
  if !l:body && !l:closes && l:after >= 0
    return strdisplaywidth(strpart(getline(l:number), 0, l:after))
  endif
  return (l:body ? s:base(l:open[-1], len(l:open) - 1) : indent(l:number)) + (l:closes ? 0 : shiftwidth())
endfunction
