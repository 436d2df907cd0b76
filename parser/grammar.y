/* The grammar: LALR(1), no conflicts. One form of item, `kind name tail`, whose kinds are
 * ordinary names: what they mean is sema's. Every action calls one constructor of build.h. */
%require "3.8"
%code requires {
#include <stdlib.h>
#include "parser/build.h"
}
%define api.pure full
%define api.prefix {deploy_}
%define api.token.prefix {TOK_}
%define api.location.type {struct span}
%define api.value.type union
%define parse.error custom
%define parse.lac full
/* After `error`, tokens are dropped until one that can follow an item: no default reduction there. After the `}` of a
 * block there must be one: otherwise a wrong token there would take recovery back into the block. */
%define lr.default-reduction consistent
%locations
%expect 0
%param {struct parser *p}

%code {
#define YYLLOC_DEFAULT(at, rhs, n) \
	((at) = (n) ? span_join(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) \
	            : (struct span){YYRHSLOC(rhs, 0).file, YYRHSLOC(rhs, 0).hi, YYRHSLOC(rhs, 0).hi})

int deploy_lex(DEPLOY_STYPE *value, struct span *at, struct parser *p);
static void deploy_error(struct span *at, struct parser *p, const char *message);
#define YYMALLOC heap_malloc
#define YYFREE heap_free
}
%initial-action { @$ = (struct span){p->file, 0, 0}; }

%token END 0     "end of file"
%token NL        "end of line"
%token <struct ident> IDENT    "name"
%token <const char *> NUMBER   "number"
%token <const char *> QUANTITY "quantity"
%token <const char *> STRING   "string"
%token USE "use" RETURN "return" REQUIRE "require" ASSERT "assert" PREFER "prefer"
%token MAXIMIZE "maximize" MINIMIZE "minimize" WHEN "when" ELSE "else" IF "if" THEN "then"
%token IN "in" WHERE "where" AND "and" OR "or" NOT "not" MOD "mod" DIVIDES "divides"
%token PER "per" AS "as" FROM "from" LIKE "like" WITHIN "within" ACROSS "across"
%token TRUE "true" FALSE "false" NONE "none" AUTO "auto"
%token ARROW "->" DOTDOT ".." ELLIPSIS "..." ATLB "@[" LE "<=" GE ">=" EQ "==" NE "!="

%precedence ELSE
%nonassoc WHERE
%left OR
%left AND
%precedence NOT
%nonassoc '<' '>' LE GE EQ NE IN DIVIDES
%nonassoc DOTDOT
%left '+' '-'
%left '*' '/' MOD ATLB PER
%precedence UMINUS

%type <struct node_list *> body items block params param_list types axis_list stored_list stored_dim stored_sum
%type <struct node_list *> args arg_list
%type <struct node *> item use_tail tail prefix ret source stored stored_factor piece wrong
%type <struct node *> type type_core axes axis_item param expr postfix primary arg
%type <struct ident_list *> names dotted
%type <struct path> path
%type <struct path_list *> product mesh
%type <struct pending_list *> pending
%type <struct target> target placement
%type <struct target_list *> placements
%type <struct place> place
%type <struct init> init
%type <struct message> message

%%
module : body                                   { p->items = nodes_of($1); } ;

body   : %empty                                 { $$ = items_add(p, NULL, NULL); }
       | items
       | items NL
       ;
items  : item                                   { $$ = items_add(p, NULL, $1); }
       | items NL item                          { $$ = items_add(p, $1, $3); }
       | items wrong                            { $$ = items_add(p, $1, $2); }  /* after a complete item */
       ;

item   : USE path use_tail                      { $$ = item_use(p, @$, $2, $3); }
       | USE STRING AS IDENT                    { $$ = item_use_file(p, @$, string_value(p, @2, $2), $4); }
       | path '=' expr place                    { $$ = item_set(p, @$, $1, $3, $4); }
       | path ':' type init                     { $$ = item_field(p, @$, $1, $3, $4); }
       | path block                             { $$ = item_sub(p, @$, $1, @2, $2); }
       | IDENT path tail                        { $$ = item_named(p, @$, $1, $2, $3); }
       | product ARROW target                   { $$ = item_rule(p, @$, $1, $3, NULL); }
       | product ARROW target block             { $$ = item_rule(p, @$, $1, $3, $4); }
       | RETURN expr                            { $$ = item_claim(p, @$, N_RETURN, $2, (struct message){0}); }
       | REQUIRE expr message                   { $$ = item_claim(p, @$, N_REQUIRE, $2, $3); }
       | ASSERT expr message                    { $$ = item_claim(p, @$, N_ASSERT, $2, $3); }
       | ASSERT expr ':' type                   { $$ = item_assert_type(p, @$, $2, $4); }
       | PREFER expr                            { $$ = item_claim(p, @$, N_PREFER, $2, (struct message){0}); }
       | MAXIMIZE expr                          { $$ = item_claim(p, @$, N_MAXIMIZE, $2, (struct message){0}); }
       | MINIMIZE expr                          { $$ = item_claim(p, @$, N_MINIMIZE, $2, (struct message){0}); }
       | WHEN '(' expr ')' block                { $$ = item_when(p, @$, $3, $5, NULL); }
       | WHEN '(' expr ')' block ELSE block     { $$ = item_when(p, @$, $3, $5, $7); }
       | wrong
       ;
wrong  : error                                  { $$ = item_error(p, @$); yyerrok; }
       | error '{' { yyerrok; } body '}'        { $$ = item_error(p, @$); }  /* mistakes in its body are reported too */
       ;
block  : '{' body '}'                           { $$ = $2; } ;

use_tail : %empty                               { $$ = NULL; }
       | AS IDENT                               { $$ = use_as(p, @$, $2); }
       | '{' names opt_nl '}'                   { $$ = use_names(p, @$, $2); }
       | '{' error '}'                          { $$ = use_damaged(p, @$); yyerrok; }
       ;
names  : IDENT                                  { $$ = idents_add(p, NULL, $1); }
       | names ',' IDENT                        { $$ = idents_add(p, $1, $3); }
       ;
opt_nl : %empty | NL ;

tail   : %empty                                 { $$ = tail_bare(p, @$); }
       | ',' names                              { $$ = tail_more(p, @$, $2); }
       | LIKE path                              { $$ = tail_like(p, @$, $2); }
       | '=' expr place                         { $$ = tail_is(p, @$, $2, $3); }
       | ':' type init                          { $$ = tail_typed(p, @$, $2, $3); }
       | ':' type block                         { $$ = tail_of(p, @$, $2, $3); }
       | AS IDENT prefix block                  { $$ = tail_loop(p, @$, $2, $3, $4); }
       | block                                  { $$ = tail_block(p, @$, $1); }
       | '(' params ')' ret                     { $$ = tail_sig(p, @$, $2, $4, NULL); }
       | '(' params ')' ret block               { $$ = tail_sig(p, @$, $2, $4, $5); }
       ;
prefix : %empty                                 { $$ = NULL; }
       | FROM STRING                            { $$ = expr_string(p, @2, $2); }
       ;
ret    : %empty                                 { $$ = NULL; }
       | ARROW type                             { $$ = $2; }
       ;
place  : %empty                                 { $$ = (struct place){0}; }
       | WITHIN path                            { $$ = place_of(PLACE_WITHIN, $2, @$); }
       | ACROSS path                            { $$ = place_of(PLACE_ACROSS, $2, @$); }
       ;
init   : %empty                                 { $$ = (struct init){0}; }
       | '=' expr                               { $$ = (struct init){.value = $2, .span = @$}; }
       | source                                 { $$ = (struct init){.from = $1, .span = @$}; }
       | source AS stored                       { $$ = (struct init){.from = $1, .stored = $3, .span = @$}; }
       ;
source : FROM STRING                            { $$ = expr_string(p, @2, $2); }
       | FROM block                             { $$ = list_node(p, @2, N_RECORD, $2); }
       ;
message: %empty                                 { $$ = (struct message){0}; }
       | ':' STRING                             { $$ = (struct message){string_value(p, @2, $2)}; }
       ;

/* ---- stored layout of a tensor in a checkpoint: ordered products, sums are concatenations ---- */
stored : '[' stored_list ']'                    { $$ = list_node(p, @$, N_STORED, $2); } ;
stored_list : stored_dim                        { $$ = nodes_add(p, NULL, list_node(p, @$, N_PROD, $1)); }
       | stored_list ',' stored_dim             { $$ = nodes_add(p, $1, list_node(p, @3, N_PROD, $3)); }
       ;
stored_dim : stored_factor                      { $$ = nodes_add(p, NULL, $1); }
       | stored_dim '*' stored_factor           { $$ = nodes_add(p, $1, $3); }
       ;
stored_factor : path                            { $$ = stored_path(p, @$, $1); }
       | NUMBER                                 { $$ = expr_number(p, @$, $1); }
       | '(' stored_sum ')'                     { $$ = list_node(p, @$, N_SUM, $2); }
       ;
stored_sum : piece '+' piece                    { $$ = nodes_add(p, nodes_add(p, NULL, $1), $3); }
       | stored_sum '+' piece                   { $$ = nodes_add(p, $1, $3); }
       ;
piece  : stored_dim                             { $$ = stored_piece(p, @$, $1, false); }
       | stored_dim '!'                         { $$ = stored_piece(p, @$, $1, true); }
       ;

product: path                                   { $$ = paths_add(p, NULL, $1); }
       | product '*' path                       { $$ = paths_add(p, $1, $3); }
       ;
placement : product                             { $$ = target_of($1, @$); }
       | NONE                                   { $$ = target_of(NULL, @$); }
       ;
target : placement
       | AUTO                                   { $$ = target_auto(NULL, @$); }
       | AUTO IN '[' placements ']'             { $$ = target_auto($4, @$); }
       ;
placements : placement                          { $$ = targets_add(p, NULL, $1); }
       | placements ',' placement               { $$ = targets_add(p, $1, $3); }
       ;

params : %empty                                 { $$ = NULL; }
       | param_list
       ;
param_list : param                              { $$ = nodes_add(p, NULL, $1); }
       | param_list ',' param                   { $$ = nodes_add(p, $1, $3); }
       ;
param  : IDENT ':' type                         { $$ = param_of(p, @$, $1, $3, NULL); }
       | IDENT ':' type '=' expr                { $$ = param_of(p, @$, $1, $3, $5); }
       ;

/* ---- types: dtype[axes], index(vocab)[batch, seq], Range(Int), T? ---------------------------- */
type   : type_core
       | type_core '?'                          { $$ = type_optional($1, @$); }
       ;
type_core : path                                { $$ = type_named(p, @$, $1, NULL, NULL); }
       | path axes                              { $$ = type_named(p, @$, $1, NULL, $2); }
       | path '(' types ')'                     { $$ = type_named(p, @$, $1, $3, NULL); }
       | path '(' types ')' axes                { $$ = type_named(p, @$, $1, $3, $5); }
       | axes                                   { $$ = type_axes(p, @$, $1); }
       ;
types  : type                                   { $$ = nodes_add(p, NULL, $1); }
       | types ',' type                         { $$ = nodes_add(p, $1, $3); }
       ;
axes   : '[' axis_list ']'                      { $$ = axes_of(p, @$, $2, NULL); }
       | '[' axis_list '|' pending ']'          { $$ = axes_of(p, @$, $2, $4); }
       | '[' ']'                                { $$ = axes_of(p, @$, NULL, NULL); }
       ;
axis_list : axis_item                           { $$ = nodes_add(p, NULL, $1); }
       | axis_list ',' axis_item                { $$ = nodes_add(p, $1, $3); }
       ;
axis_item : product                             { $$ = ax_product(p, @$, $1); }
       | path '+'                               { $$ = ax_marked(p, @$, $1, '+'); }
       | path '!'                               { $$ = ax_marked(p, @$, $1, '!'); }
       | path '@' mesh                          { $$ = ax_placed(p, @$, $1, $3); }
       | ELLIPSIS                               { $$ = ax_rest(p, @$, "_"); }
       | ELLIPSIS IDENT                         { $$ = ax_rest(p, @$, $2.name); }
       ;
mesh   : IDENT                                  { $$ = paths_of_name(p, $1); }
       | '(' product ')'                        { $$ = $2; }
       ;
pending: '+' path                               { $$ = pending_add(p, NULL, "+", $2); }
       | IDENT path                             { $$ = pending_add(p, NULL, $1.name, $2); }
       | pending ',' '+' path                   { $$ = pending_add(p, $1, "+", $4); }
       | pending ',' IDENT path                 { $$ = pending_add(p, $1, $3.name, $4); }
       ;

path   : dotted                                 { $$ = path_of($1); } ;
dotted : IDENT                                  { $$ = idents_add(p, NULL, $1); }
       | dotted '.' IDENT                       { $$ = idents_add(p, $1, $3); }
       ;

/* ---- expressions ----------------------------------------------------------------------------- */
expr   : IF expr THEN expr ELSE expr            { $$ = expr_if(p, @$, $2, $4, $6); }
       | expr WHERE expr                        { $$ = expr_binary(p, @$, B_WHERE, $1, @2, $3); }
       | expr OR expr                           { $$ = expr_binary(p, @$, B_OR, $1, @2, $3); }
       | expr AND expr                          { $$ = expr_binary(p, @$, B_AND, $1, @2, $3); }
       | NOT expr                               { $$ = expr_unary(p, @$, N_NOT, $2); }
       | expr '<' expr                          { $$ = expr_binary(p, @$, B_LT, $1, @2, $3); }
       | expr '>' expr                          { $$ = expr_binary(p, @$, B_GT, $1, @2, $3); }
       | expr LE expr                           { $$ = expr_binary(p, @$, B_LE, $1, @2, $3); }
       | expr GE expr                           { $$ = expr_binary(p, @$, B_GE, $1, @2, $3); }
       | expr EQ expr                           { $$ = expr_binary(p, @$, B_EQ, $1, @2, $3); }
       | expr NE expr                           { $$ = expr_binary(p, @$, B_NE, $1, @2, $3); }
       | expr IN expr                           { $$ = expr_binary(p, @$, B_IN, $1, @2, $3); }
       | expr DIVIDES expr                      { $$ = expr_binary(p, @$, B_DIVIDES, $1, @2, $3); }
       | expr DOTDOT expr                       { $$ = expr_binary(p, @$, B_RANGE, $1, @2, $3); }
       | expr '+' expr                          { $$ = expr_binary(p, @$, B_ADD, $1, @2, $3); }
       | expr '-' expr                          { $$ = expr_binary(p, @$, B_SUB, $1, @2, $3); }
       | expr '*' expr                          { $$ = expr_binary(p, @$, B_MUL, $1, @2, $3); }
       | expr '/' expr                          { $$ = expr_binary(p, @$, B_DIV, $1, @2, $3); }
       | expr MOD expr                          { $$ = expr_binary(p, @$, B_MOD, $1, @2, $3); }
       | expr ATLB names ']' expr %prec ATLB    { $$ = expr_contract(p, @$, $1, span_join(@2, @4), $3, $5); }
       | expr PER IDENT                         { $$ = expr_dot(p, @$, N_PER, $1, $3); }
       | '-' expr %prec UMINUS                  { $$ = expr_unary(p, @$, N_NEG, $2); }
       | postfix
       ;
postfix: primary
       | postfix '.' IDENT                      { $$ = expr_dot(p, @$, N_DOT, $1, $3); }
       | postfix '(' args ')'                   { $$ = expr_call(p, @$, N_CALL, $1, $3); }
       | postfix '[' args ']'                   { $$ = expr_call(p, @$, N_INDEX, $1, $3); }
       | postfix block                          { $$ = expr_refine(p, @$, $1, @2, $2); }
       | postfix AS IDENT prefix                { $$ = expr_label(p, @$, $1, $3, $4); }
       ;
primary: NUMBER                                 { $$ = expr_number(p, @$, $1); }
       | QUANTITY                               { $$ = expr_quantity(p, @$, $1); }
       | STRING                                 { $$ = expr_string(p, @$, $1); }
       | TRUE                                   { $$ = expr_word(p, @$, N_TRUE); }
       | FALSE                                  { $$ = expr_word(p, @$, N_FALSE); }
       | NONE                                   { $$ = expr_word(p, @$, N_NONE); }
       | AUTO                                   { $$ = expr_word(p, @$, N_AUTO); }
       | IDENT                                  { $$ = expr_name(p, $1); }
       | '(' expr ')'                           { $$ = $2; }
       | '[' args ']'                           { $$ = expr_list(p, @$, $2); }
       | block                                  { $$ = list_node(p, @$, N_RECORD, $1); }
       ;
args   : %empty                                 { $$ = NULL; }
       | arg_list
       ;
arg_list : arg                                  { $$ = nodes_add(p, NULL, $1); }
       | arg_list ',' arg                       { $$ = nodes_add(p, $1, $3); }
       ;
arg    : expr
       | IDENT '=' expr                         { $$ = expr_dot(p, @$, N_ARG_NAMED, $3, $1); }
       | IDENT ARROW IDENT                      { $$ = arg_arrow(p, @$, $1, $3); }
       ;
%%
/* Hands on the names of the tokens that the state allows. */
static int yyreport_syntax_error(const yypcontext_t *context, struct parser *p)
{
	yysymbol_kind_t kinds[YYNTOKENS];
	const char *names[YYNTOKENS];
	int n = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
	for (int i = 0; i < n; i++)
		names[i] = yysymbol_name(kinds[i]);
	yysymbol_kind_t found = yypcontext_token(context);
	const char *name = found == YYSYMBOL_YYEMPTY ? "" : yysymbol_name(found);
	syntax_error(p, name, *yypcontext_location(context), names, n < 0 ? 0 : n);
	return 0;
}

/* Called by the skeleton for one reason only: its stack is full. */
static void deploy_error(struct span *at, struct parser *p, const char *message)
{
	(void)message;
	stack_exhausted(p, *at);
}
