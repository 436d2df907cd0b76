# To ~/.config/kak/autoload. The language server needs kakoune-lsp.
hook global BufCreate .*\.deploy %{ set-option buffer filetype deploy }

add-highlighter shared/deploy regions
add-highlighter shared/deploy/code default-region group
add-highlighter shared/deploy/comment region // $ fill comment
add-highlighter shared/deploy/block region /\* \*/ fill comment
add-highlighter shared/deploy/string region '"' (?<!\\)(\\\\)*" fill string
add-highlighter shared/deploy/code/number regex \b\d[\d_]*(\.\d[\d_]*)? 0:value

hook global WinSetOption filetype=deploy %{
    add-highlighter window/deploy ref deploy
    set-option window comment_line //
    set-option window indentwidth 2
    set-option window makecmd 'deployc check --quiet --error-format=gcc'
    set-option window formatcmd 'deployc fmt -'
}
hook global BufSetOption filetype=deploy %{
    set-option buffer lsp_servers %{
        [deployc]
        root_globs = [".git"]
        command = "deployc"
        args = ["lsp"]
    }
}
