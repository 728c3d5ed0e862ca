#!/bin/bash
# What bash, zsh and fish offer for a line: commands, options, names of services that live, types that a service describes; the same
# for each shell that is installed. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-completions "${1:?usage: test-completions.sh BUILD}"

export FERRY_DIR=$PWD/names
completions=$tests/../completions
shells=(bash)
for shell in zsh fish; do
        if command -v "$shell" > /dev/null; then
                shells+=("$shell")
        else
                skipped "completion for $shell, which is not installed"
        fi
done

# What a shell offers for a line that ends at the cursor, sorted, a word each line.
offers() { # SHELL LINE
        case $1 in
        bash)
                # shellcheck disable=SC2016
                bash --norc --noprofile -c '. "$1"; COMP_LINE=$2 COMP_POINT=${#2}
                        _ferry; [[ ${#COMPREPLY[@]} == 0 ]] || printf "%s\n" "${COMPREPLY[@]}"' bash "$completions/ferry.bash" "$2" |
                        sed 's/\\\\/\\/g'
                ;;
        zsh)
                # The builtins of its line editor print the words that begin with what stands before the cursor. Leaks are looked for
                # where the other shells run the same commands: the leak checker waits for ever in a child of zsh.
                # shellcheck disable=SC2016
                ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 zsh -f -c '
                        offer() { local word; for word in "$@"; do [[ $word == "$PREFIX"* ]] && print -r -- "$word"; done; return 0 }
                        compadd() { [[ $1 == -a ]] && offer "${(@P)2}" || offer "$@" }
                        _describe() { offer "${(@)${(@P)@[-1]}%%:*}" }
                        _files() { : }; _message() { : }; _command_names() { print -r -- a-command }
                        fpath=($1 $fpath); autoload -Uz _ferry
                        words=("${(@z)2}"); [[ $2 == *" " ]] && words+=("")
                        CURRENT=${#words}; PREFIX=${(Q)words[-1]}
                        _ferry' zsh "$completions" "$2"
                ;;
        fish)
                # shellcheck disable=SC2016
                HOME=$PWD fish --no-config -c 'source $argv[1]; complete -C "$argv[2]"' "$completions/ferry.fish" "$2" | cut -f 1
                ;;
        esac | LC_ALL=C sort
}

all_offer() { # LINE WORD…
        local line=$1 shell
        shift
        for shell in "${shells[@]}"; do
                is "$shell: '$line'" "$(offers "$shell" "$line" 2>&1)" "$(printf '%s\n' "$@")"
        done
}

start ferry listen kv --echo --describe 'get=Returns a value.' --describe 'App\Put=x' --describe 'two words=x' \
        --describe $'x\$(touch run)=x' --describe 'price.eur=x' --describe 'ns:one=x'
server=$job
start ferry listen other_1 --echo
other=$job
start ferry listen unix:kv.sock --echo --describe 'set=x'
third=$job
for address in kv other_1 unix:kv.sock; do
        run ferry wait "$address"
done

commands() {
        all_offer 'ferry wa' wait watch
        all_offer 'ferry desc' describe
        all_offer 'ferry help no' notify
        all_offer 'ferry nothing-like-it '
        local shell
        for shell in "${shells[@]}"; do
                is "$shell: all commands" "$(offers "$shell" 'ferry ')" \
                        "$({ ferry help | sed -n 's/^  ferry \([a-z]*\).*/\1/p'; echo help; } | LC_ALL=C sort)"
        done
}

options() {
        all_offer 'ferry call --di' --dialect
        all_offer 'ferry call kv --re' --remote-ferry
        all_offer 'ferry call --dialect st' stream-ipc
        all_offer 'ferry convert --from json' json json-objects
        all_offer 'ferry list --js' --json
        local shell
        for shell in "${shells[@]}"; do
                is "$shell: all options of wait" "$(offers "$shell" 'ferry wait --')" \
                        "$(ferry help wait | sed -n 's/^    \(--[a-z-]*\).*/\1/p' | LC_ALL=C sort)"
        done
}

names() {
        all_offer 'ferry call ' kv other_1
        all_offer 'ferry notify --json --timeout 5 o' other_1
        all_offer 'ferry describe k' kv
        all_offer 'ferry send '
        all_offer 'ferry call z'
}

types() {
        all_offer 'ferry call kv ' 'App\Put' get ns:one price.eur
        all_offer 'ferry call --timeout 5 kv pr' price.eur
        all_offer 'ferry notify kv g' get
        all_offer 'ferry watch kv price.eur pr' price.eur
        all_offer 'ferry call unix:kv.sock s' set
        # The shell must hand it over as it is.
        all_offer 'ferry call kv App\\P' 'App\Put'
        # shellcheck disable=SC2016
        is 'bash: a backslash is escaped' "$(bash --norc --noprofile -c '. "$1"; COMP_LINE="ferry call kv App" COMP_POINT=17
                _ferry; eval "printf %s ${COMPREPLY[0]}"' bash "$completions/ferry.bash")" 'App\Put'
        # Where a colon separates words for readline, only what stands behind it is replaced.
        # shellcheck disable=SC2016
        is 'bash: a colon' "$(bash --norc --noprofile -c '. "$1"; COMP_WORDBREAKS=" :="; COMP_LINE="ferry call kv ns:" COMP_POINT=17
                _ferry; printf %s "${COMPREPLY[0]}"' bash "$completions/ferry.bash")" 'one'
        all_offer 'ferry call other_1 '
        all_offer 'ferry call nothing '
        all_offer 'ferry call kv get '
        all_offer 'ferry store shm:key ge' get
        # Nothing is run, and no other machine is asked.
        all_offer 'ferry call exec:./touch-run '
        all_offer 'ferry call ssh:host:kv '
        check 'a type runs no command' test ! -e run
}

commands
options
names
types
kill "$server" "$other" "$third"
for server in "$server" "$other" "$third"; do
        await "$server"
done
# Where no service lives nothing is said.
all_offer 'ferry call '
all_offer 'ferry call kv '
finish
