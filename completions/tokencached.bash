# bash-completion reads the options from `tokencached --help`.
complete -F _longopt tokencached
