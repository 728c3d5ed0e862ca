# Completion of ferry(1) for bash. Commands and options are those of `ferry help`, names those of `ferry list`, types those that the
# service describes; so nothing here has to be kept up to date.

# Words without characters that a shell treats specially, but for the backslash of classes.
_ferry_words() {
        grep -E '^[A-Za-z0-9_.:/@%+,=\\-]+$'
}

_ferry_commands() {
        ferry help 2>/dev/null | sed -n 's/^  ferry \([a-z]*\) .*/\1/p'
}

# Lines "--OPTION ARGUMENT", the second word only where there is one.
_ferry_options() { # COMMAND
        ferry help "$1" 2>/dev/null | sed -n 's/^    \(--[a-z-]*\) \([A-Z][A-Z=,%N]*\) .*/\1 \2/p; t; s/^    \(--[a-z-]*\) .*/\1/p'
}

_ferry_names() {
        ferry list --json 2>/dev/null | sed -n 's/^{"name":"\([^"\\]*\)".*/\1/p' | _ferry_words
}

# No other address is connected to: that could run a command, or ask another machine.
_ferry_types() { # ADDRESS
        case $1 in
        unix:*) ;;
        *[!A-Za-z0-9_-]* | '') return ;;
        esac
        ferry describe --json --wait 0 --timeout 0.5 -- "$1" 2>/dev/null | sed -n 's/^{"type":"\([^"]*\)".*/\1/p' | sed 's/\\\\/\\/g' |
                _ferry_words
}

_ferry() {
        local command='' option='' argument word address='' place=0 i words='' after_options=''
        local -a options=()
        COMPREPLY=()

        # Colons and equals signs are parts of words here, whatever bash takes them for.
        local line=${COMP_LINE:0:COMP_POINT} current before
        current=${line##*[[:blank:]]}
        before=${line%"$current"}
        # As the shell will read it.
        current=${current//\\\\/\\}
        local -a typed
        read -ra typed <<<"$before"

        for ((i = 1; i < ${#typed[@]}; i++)); do
                word=${typed[i]}
                if [[ -z $command ]]; then
                        command=$word
                        mapfile -t options < <(_ferry_options "$command")
                elif [[ -n $option ]]; then
                        option=''
                elif [[ -z $after_options && $word == -- ]]; then
                        after_options=1
                elif [[ -z $after_options && $word == --* ]]; then
                        for argument in "${options[@]}"; do
                                [[ $argument == "$word "* ]] && option=$word
                        done
                else
                        ((++place == 1)) && address=$word
                fi
        done

        if [[ -z $command ]]; then
                words="$(_ferry_commands) help"
        elif [[ $command == help ]]; then
                words=$(_ferry_commands)
        elif [[ -n $option ]]; then
                case $option in
                --dialect) words='auto ferry stream-ipc innmind pcntl' ;;
                --codec | --from | --to) words='msgpack php json json-objects plain' ;;
                --joblog) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
                esac
        elif [[ -z $after_options && $current == -* ]]; then
                words=$(printf '%s\n' "${options[@]%% *}")
        elif ((place == 0)); then
                case $command in
                listen | call | notify | watch | describe | wait | bench | bridge) words=$(_ferry_names) ;;
                run) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
                esac
        elif ((place == 1)); then
                case $command in
                call | notify | watch) words=$(_ferry_types "$address") ;;
                store) words='get put list remove repair lock' ;;
                esac
        elif [[ $command == watch ]]; then
                words=$(_ferry_types "$address")
        fi
        [[ -z $words ]] || while IFS= read -r word; do
                [[ $word == "$current"* ]] && COMPREPLY+=("${word//\\/\\\\}")
        done < <(tr ' ' '\n' <<<"$words" | LC_ALL=C sort -u)

        # readline replaces only what stands behind the last of its separators.
        if [[ $current == *[:=]* && $COMP_WORDBREAKS == *:* ]]; then
                word=${current%"${current##*[:=]}"}
                word=${word//\\/\\\\}
                COMPREPLY=("${COMPREPLY[@]#"$word"}")
        fi
}

complete -F _ferry ferry
