" Drives Vim: `:make`, `:Deploy`, indentation, colours. Writes a line of JSON for each thing that was seen to $SEEN.
set nocompatible encoding=utf-8
filetype plugin indent on
syntax on
let s:seen = []

function! s:say(name, what) abort
  call add(s:seen, json_encode([a:name, a:what]))
  call writefile([s:seen[-1]], $SEEN, "a")
endfunction

let s:letters = {'deployNumber': 'n', 'deployUnit': 'n', 'deployString': 's', 'deployWord': 'w', 'deployValue': 'v', 'deployComment': 'c', 'deployDoc': 'c', 'deployTodo': 'c', 'deployAllow': 'c'}

" A letter for each character, as corpus.py compares them.
function! s:colours() abort
  let l:names = {}
  let l:lines = []
  for l:line in range(1, line('$'))
    let l:letters = ''
    let l:text = getline(l:line)
    let l:at = 0
    while l:at < len(l:text)
      let l:id = synID(l:line, l:at + 1, 1)
      if !has_key(l:names, l:id) | let l:names[l:id] = get(s:letters, synIDattr(l:id, 'name'), '.') | endif
      let l:letters .= l:names[l:id]
      let l:at += len(matchstr(l:text, '.', l:at))
    endwhile
    call add(l:lines, l:letters)
  endfor
  return join(l:lines, "\n") . "\n"
endfunction

function! s:group(line, word) abort
  if !search(a:line, 'cw') || !search('\V\C' . a:word, 'c', line('.')) | return 'not found' | endif
  return synIDattr(synID(line('.'), col('.'), 1), 'name')
endfunction

execute 'edit' fnameescape($AWKWARD)
call s:say('filetype', &filetype)
call s:say('comment string', &commentstring)
call s:say('groups', map(json_decode($GROUPS), {_, v -> s:group(v[0], v[1])}))

for s:file in json_decode($FILES)
  execute 'edit!' fnameescape(s:file)
  call s:say('colours ' . s:file, s:colours())
endfor
for s:file in json_decode($INDENTED)
  execute 'edit!' fnameescape(s:file)
  silent normal! gg=G
  call s:say('indentation ' . s:file, getline(1, '$'))
endfor

execute 'edit!' fnameescape($BROKEN)
silent make!
call s:say('make', map(filter(getqflist(), 'v:val.valid'), {_, v -> [fnamemodify(bufname(v.bufnr), ':t'), v.lnum, v.col, v.type, v.text]}))
call s:say('not understood', map(filter(getqflist(), '!v:val.valid'), {_, v -> v.text}))

execute 'edit!' fnameescape($SOUND)
silent make!
call s:say('nothing to report', getqflist())
Deploy plan
call s:say('plan', getline(1, '$'))
normal q
call s:say('closed', winnr('$'))


qall!
