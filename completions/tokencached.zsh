#compdef tokencached
# zsh reads the options from `tokencached --help`.
_gnu_generic
