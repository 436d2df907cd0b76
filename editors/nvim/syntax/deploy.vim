" Colours of .deploy: words, numbers with units, comments. The language server adds what names mean.
if exists('b:current_syntax') | finish | endif
syntax keyword deployWord use return require assert prefer maximize minimize when else if then where in and or not mod divides per as from like within across
syntax keyword deployValue true false none auto
syntax keyword deployKind model schema plan deploy op block builtin axis mesh let param state input output repeat at phase store config level
syntax keyword deployFormat f32 f16 bf16 i32 fp8_e4m3 fp8_e5m2 mxfp4 mxfp8 int8 int4
syntax match deployNumber /\<\d[0-9_]*\%(\.\d[0-9_]*\)\?\%([eE][+-]\?\d\+\)\?\%( \?\%([A-Za-z]\+\%(\/[A-Za-z]\+\)\?\|%\)\)\?/ contains=deployUnit
syntax match deployUnit /[A-Za-z%\/]\+$/ contained
syntax match deployArrow /->\|@\[\|\.\./
syntax region deployString start=/"/ skip=/\\./ end=/"/ oneline
syntax match deployComment /\/\/.*$/ contains=deployTodo,deployAllow
syntax match deployDoc /\/\/\/.*$/
syntax match deployAllow /deploy: allow [EW]\d\{4}/ contained
syntax keyword deployTodo TODO FIXME contained
highlight default link deployWord Keyword
highlight default link deployValue Constant
highlight default link deployKind Type
highlight default link deployFormat Type
highlight default link deployNumber Number
highlight default link deployUnit Number
highlight default link deployArrow Operator
highlight default link deployString String
highlight default link deployComment Comment
highlight default link deployDoc SpecialComment
highlight default link deployAllow PreProc
highlight default link deployTodo Todo
let b:current_syntax = 'deploy'
