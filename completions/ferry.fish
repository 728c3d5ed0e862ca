# Completion of ferry(1) for fish. Commands and options are those of `ferry help`, names those of `ferry list`, types those that the
# service describes; so nothing here has to be kept up to date.

# The options of a command: "--OPTION", ARGUMENT or nothing, summary, with tabs between them.
function __ferry_read_options
    ferry help $argv[1] 2>/dev/null | sed -n 's/^    \(--[a-z-]*\) \([^ ]*\)  *\(.*\)/\1\t\2\t\3/p'
end

function __ferry_commands
    ferry help 2>/dev/null | sed -n '/^  ferry /{s/^  ferry \(.\{8\}\) .\{28\} /\1\t/; s/ *\t/\t/; p;}'
    printf 'help\tthe options of a command\n'
end

function __ferry_names
    ferry list --json 2>/dev/null | sed -n 's/^{"name":"\([^"\\\\]*\)".*/\1/p'
end

# No other address is connected to: that could run a command, or ask another machine.
function __ferry_types
    string match -qr '^(unix:.*|[A-Za-z0-9_-]+)$' -- $argv[1]; or return
    ferry describe --json --wait 0 --timeout 0.5 -- $argv[1] 2>/dev/null | sed -n 's/^{"type":"\([^"]*\)".*/\1/p' |
        string replace -a '\\\\' '\\' | string match -r '^[A-Za-z0-9_.:/@%+,=\\\\-]+$'
end

function __ferry_complete
    set -l command
    set -l option
    set -l address
    set -l place 0
    set -l has_ended
    set -l lines
    set -l current (commandline -ct)

    for word in (commandline -opc)[2..-1]
        if test -z "$command"
            set command $word
            set lines (__ferry_read_options $command)
        else if test -n "$option"
            set option
        else if test -z "$has_ended" -a "$word" = --
            set has_ended 1
        else if test -z "$has_ended"; and string match -q -- '--*' $word
            for line in $lines
                set -l parts (string split \t -- $line)
                test "$parts[1]" = "$word" -a -n "$parts[2]"; and set option $word
            end
        else
            set place (math $place + 1)
            test $place = 1; and set address $word
        end
    end

    if test -z "$command"; or test "$command" = help -a $place = 0
        __ferry_commands
    else if test -n "$option"
        switch $option
            case --dialect
                printf '%s\n' auto ferry stream-ipc innmind pcntl
            case --codec --from --to
                printf '%s\n' msgpack php json json-objects plain
            case --joblog
                __fish_complete_path $current
        end
    else if test -z "$has_ended"; and string match -q -- '-*' $current
        for line in $lines
            set -l parts (string split \t -- $line)
            printf '%s\t%s\n' $parts[1] $parts[3]
        end
    else if test $place = 0
        switch $command
            case listen call notify watch describe wait bench bridge
                __ferry_names
            case run
                __fish_complete_command
        end
    else if test $place = 1 -o "$command" = watch
        switch $command
            case call notify watch
                __ferry_types $address
            case store
                printf '%s\n' get put list remove repair lock
        end
    end
end

complete -c ferry -f -a '(__ferry_complete)'
