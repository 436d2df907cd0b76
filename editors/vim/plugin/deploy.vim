" `:Deploy plan` and its like, over the text of the buffer.
if exists('g:loaded_deploy') | finish | endif
let g:loaded_deploy = 1
command! -nargs=+ -complete=custom,deploy#commands Deploy call deploy#run(<f-args>)
