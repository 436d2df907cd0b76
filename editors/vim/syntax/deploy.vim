" Colours of .deploy: words, numbers with units, comments. A language server adds what names mean.
" Lists of words: editors/words.py --write.
if exists('b:current_syntax') | finish | endif
syntax keyword deployWord use return require assert prefer maximize minimize when else if then where in and or not mod divides per as from like within across
syntax keyword deployValue true false none auto
syntax keyword deployFormat f64 f32 bf16 f16 fp8_e4m3 fp8_e5m2 i8 mxfp4 nvfp4 i32
syntax keyword deployType Int Float Bool String DType Any Ratio Range List Map Data Time Bandwidth Flop FlopRate Tokens TokenRate Params Money Price Power Energy Region enum any RequestRate TokenCost TokenEnergy
syntax match deployKind /\<\%(schema\|model\|plan\|deploy\|workload\|device\|calibration\|engine\|link\|cluster\|block\|op\|builtin\|serve\|share\|let\|param\|state\|input\|output\|repeat\|axis\|mesh\|at\|phase\|store\|level\)\>\ze\s\+\%(\<\%(use\|return\|require\|assert\|prefer\|maximize\|minimize\|when\|else\|if\|then\|where\|in\|and\|or\|not\|mod\|divides\|per\|as\|from\|like\|within\|across\|true\|false\|none\|auto\)\>\)\@!\h/
syntax match deployFunction /\<\%(cast\|iota\|constant\|index\|sum\|mean\|max\|min\|clamp\|size\|alias\|sqrt\|log\|exp\|rsqrt\|tanh\|erf\|sin\|cos\|floor\|ceil\|abs\|product\|cycle\|steps\|count\|bytes\|time\|hidden\|p50\|p90\|p99\|silu\|sigmoid\|gelu\|gelu_tanh\|softcap\|softmax\|rms_norm\|layer_norm\|rope_freq\|llama3_scale\|yarn_scale\|embed\|pick\|rotate\|append\|attend\|route\|dispatch\|combine\|join\|sample\|cross_entropy\)\>\ze(/
syntax match deployUnit / \?\%(%\|\%(ns\|us\|ms\|s\|min\|h\|day\|B\|bit\|kB\|kbit\|KiB\|MB\|Mbit\|MiB\|GB\|Gbit\|GiB\|TB\|Tbit\|TiB\|PB\|Pbit\|PiB\|FLOP\|FLOPS\|OPS\|W\|J\|Hz\|kFLOP\|kFLOPS\|kOPS\|kW\|kJ\|kHz\|MFLOP\|MFLOPS\|MOPS\|MW\|MJ\|MHz\|GFLOP\|GFLOPS\|GOPS\|GW\|GJ\|GHz\|TFLOP\|TFLOPS\|TOPS\|TW\|TJ\|THz\|PFLOP\|PFLOPS\|POPS\|PW\|PJ\|PHz\|EFLOP\|EFLOPS\|EOPS\|EW\|EJ\|EHz\|kWh\|token\|tokens\|ktokens\|Mtokens\|request\|requests\|sequence\|sequences\|param\|Mparam\|Gparam\|Tparam\|USD\)\>\)\%(\^\d\+\)\?\%([\/*]\%(%\|\%(ns\|us\|ms\|s\|min\|h\|day\|B\|bit\|kB\|kbit\|KiB\|MB\|Mbit\|MiB\|GB\|Gbit\|GiB\|TB\|Tbit\|TiB\|PB\|Pbit\|PiB\|FLOP\|FLOPS\|OPS\|W\|J\|Hz\|kFLOP\|kFLOPS\|kOPS\|kW\|kJ\|kHz\|MFLOP\|MFLOPS\|MOPS\|MW\|MJ\|MHz\|GFLOP\|GFLOPS\|GOPS\|GW\|GJ\|GHz\|TFLOP\|TFLOPS\|TOPS\|TW\|TJ\|THz\|PFLOP\|PFLOPS\|POPS\|PW\|PJ\|PHz\|EFLOP\|EFLOPS\|EOPS\|EW\|EJ\|EHz\|kWh\|token\|tokens\|ktokens\|Mtokens\|request\|requests\|sequence\|sequences\|param\|Mparam\|Gparam\|Tparam\|USD\)\>\)\%(\^\d\+\)\?\)*/ contained
syntax match deployNumber /\<\d[0-9_]*\%(\.\d[0-9_]*\)\?\%([eE][+-]\?\d\+\)\?/ nextgroup=deployUnit
syntax match deployOperator /->\|@\[\|\.\.\|[<>=!]=/
syntax region deployString start=/"/ skip=/\\./ end=/"/ oneline
syntax match deployComment /\/\/.*$/ contains=deployTodo,deployAllow,@Spell
syntax region deployComment start=/\/\*/ end=/\*\// contains=deployTodo,@Spell
syntax match deployDoc /\/\/\/.*$/ contains=@Spell
syntax match deployAllow /deploy: allow [EW]\d\{4}/ contained
syntax keyword deployTodo TODO FIXME contained
syntax sync fromstart
highlight default link deployWord Keyword
highlight default link deployValue Constant
highlight default link deployKind Statement
highlight default link deployFormat Type
highlight default link deployType Type
highlight default link deployFunction Function
highlight default link deployNumber Number
highlight default link deployUnit Number
highlight default link deployOperator Operator
highlight default link deployString String
highlight default link deployComment Comment
highlight default link deployDoc SpecialComment
highlight default link deployAllow PreProc
highlight default link deployTodo Todo
let b:current_syntax = 'deploy'
