# What the test scripts share; they source this file.
#
#       suite NAME BUILD        begin: the tool and the examples of that build, an empty folder to be in
#       run COMMAND…            run it to its end: $status, $took (in ms), and the files out and err
#       start COMMAND…          run it in the background: $job, and the names of files $job_out and $job_err
#       await JOB               wait for its end: $status, and the files out and err
#       interrupt SIGNAL        send it to the last job, and await that
#       soon COMMAND…           wait until it is true; false if that takes too long
#       ended NAME STATUS OUT   check the last run: its status, and every byte that it printed
#       aside FUNCTION…         run these, each at the same time as all else, in a folder of its own
#       finish                  end: the line "NAME: N passed, N failed"
#
# Nothing here waits for luck: a wait is for something that can be seen, and has an end.

run_of=() parts=()
enough_s=20                     # for whatever should take no time, also on a busy machine

suite() {
        suite=$1
        build=$(cd "$2" && pwd) || exit 1
        tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
        passed=0 failed=0 runs=0
        folder=$(mktemp -d /tmp/ferry-test-XXXXXX) || exit 1
        trap clean_up EXIT
        cd "$folder" || exit 1
        # Descriptors that the caller has open: make, for one.
        exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
        PATH=$build:$PATH
        # What a sanitizer finds is found again in finish, also if stderr was read meanwhile.
        export ASAN_OPTIONS=log_path=$folder/sanitizer
        export UBSAN_OPTIONS=log_path=$folder/sanitizer:print_stacktrace=1
        # Also where no start has chosen them (support/surroundings.h).
        for variable in "${!FERRY_@}"; do
                case $variable in
                FERRY_LONG) ;;
                FERRY_TEST) export -n FERRY_TEST ;;     # for the script only
                *) unset "$variable" ;;
                esac
        done
        unset TMPDIR XDG_RUNTIME_DIR POSIXLY_CORRECT variable
        export LC_ALL=C HOME=${HOME:-/}
        umask 022
        [[ $(ulimit -S -n) == unlimited || $(ulimit -S -n) -ge 1024 ]] || ulimit -S -n 1024
        mkfifo pause
}

clean_up() {
        local pid

        # A job that is killed before it has become the program is still this script.
        [[ $BASHPID -eq $$ ]] || return
        for pid in $(marked "$folder"); do
                kill -KILL "$pid" 2> /dev/null
        done
        cd / && rm -rf "$folder"
}

pass() {
        passed=$((passed + 1))
}

fail() {
        local i

        failed=$((failed + 1))
        for ((i = 1; i < ${#BASH_SOURCE[@]} - 1; i++)); do
                [[ ${BASH_SOURCE[i]} == "${BASH_SOURCE[0]}" ]] || break
        done
        printf 'FAILED at %s:%s: %s\n' "${BASH_SOURCE[i]##*/}" "${BASH_LINENO[i - 1]}" "$1"
}

# check NAME COMMAND…
check() {
        local name=$1

        shift
        if "$@"; then
                pass
        else
                fail "$name"
        fi
}

# is NAME FOUND EXPECTED
is() {
        if [[ $2 == "$3" ]]; then
                pass
        else
                fail "$1: $2 instead of $3"
        fi
}

# The time in $now. (Checks are called thousands of times, so nothing here forks that need not.)
now_ms() {
        now=${EPOCHREALTIME//[!0-9]/}           # what stands between depends on the locale
        now=${now%???}
}

# What stands in a file in $text; false if a NUL ends it earlier.
text_of() { # FILE
        ! IFS= read -r -d '' text < "$1"
}

# Every program that is started carries a mark in its environment; its children inherit it.
mark() {
        runs=$((runs + 1))
        export FERRY_TEST_MARK=$folder/$runs/
}

# The processes that carry a mark that begins so.
marked() {
        local file

        while IFS= read -r file; do
                file=${file#/proc/}
                echo "${file%/environ}"
        done < <(FERRY_TEST_MARK= grep -lzs -e "^FERRY_TEST_MARK=$1/" /proc/[0-9]*/environ)
}

none_marked() {
        [[ -z $(marked "${1%/}") ]]
}

# nothing_left NAME: nothing that the last run or start has started is there any more, or will be in a moment
nothing_left() {
        if soon none_marked "$FERRY_TEST_MARK"; then
                pass
        else
                fail "$1: still there: $(ps -o pid=,args= -p "$(marked "${FERRY_TEST_MARK%/}" | paste -sd,)")"
        fi
}

run() {
        local began now

        mark
        now_ms
        began=$now
        timeout --foreground -s KILL $((3 * enough_s)) "$@" > out 2> err
        status=$?
        now_ms
        took=$((now - began))
}

start() {
        mark
        job_out=out.$runs job_err=err.$runs
        # They can be looked at before the job has begun.
        : > "$job_out" > "$job_err"
        # A shell starts jobs with SIGINT ignored, and what is ignored stays so.
        env --default-signal=INT,QUIT "$@" <&0 > "$job_out" 2> "$job_err" &
        job=$!
        run_of[job]=$runs
}

# Jobs of a shell stay to be asked about until it has waited for them; one that has ended is no longer there to be signalled.
has_ended() {
        local stat

        # PID (NAME) STATE …, whatever the name.
        { read -r stat < "/proc/$1/stat"; } 2> /dev/null || return 0
        [[ ${stat##*) } == Z* ]]
}

await() {
        # Bash would tell how it was killed.
        {
                soon has_ended "$1" || kill -KILL "$1"
                wait "$1"
                status=$?
        } 2> /dev/null
        cp "out.${run_of[$1]}" out
        cp "err.${run_of[$1]}" err
}

# The tool takes signals within 0.1 s for one.
let_signal_pass() {
        read -r -t 0.11 <> pause
}

soon() {
        local until=$((SECONDS + enough_s))

        while ! "$@"; do
                [[ $SECONDS -le $until ]] || return 1
                read -r -t 0.01 <> pause
        done
        return 0
}

show() {
        local file

        for file in out err; do
                printf '  %s (%s bytes): ' $file "$(wc -c < $file)"
                head -c 1000 $file | cat -v | head -20
                echo
        done
}

# ended NAME STATUS OUT; OUT as in $'…', @FILE for what stands in a file, - for whatever
ended() {
        local expected=$3 good=true text

        [[ $status == "$2" ]] || good=false
        case $expected in
        -) ;;
        @*) cmp -s "${expected#@}" out || good=false ;;
        *) text_of out && [[ $text == "$expected" ]] || good=false ;;
        esac
        if $good; then
                pass
        else
                fail "$1: status $status instead of $2, or it printed"
                show
        fi
}

# says NAME TEXT…: stderr of the last run holds these
says() {
        local name=$1 text wanted is_text=true

        shift
        text_of err || is_text=false
        for wanted; do
                if [[ $text != *"$wanted"* ]] && { $is_text || ! grep -qF -- "$wanted" err; }; then
                        fail "$name: stderr does not say: $wanted"
                        show
                        return
                fi
        done
        pass
}

# says_exactly NAME TEXT: stderr of the last run is this
says_exactly() {
        local text

        if text_of err && [[ $text == "$2" ]]; then
                pass
        else
                fail "$1: stderr is not: $2"
                show
        fi
}

# within NAME LEAST_MS MOST_MS
within() {
        if [[ $took -ge $2 && $took -le $3 ]]; then
                pass
        else
                fail "$1: it took $took ms instead of $2 to $3"
        fi
}

# The processor time in ms that the children of this shell have used so far.
cpu_ms() {
        local all
        mapfile -t all < <(times)
        awk '{ for (i = 1; i <= 2; i++) { split($i, t, /[ms]/); sub(",", ".", t[2]); sum += t[1] * 60 + t[2] } }
             END { print int(sum * 1000) }' <<< "${all[1]}"
}

aside() {
        local part

        for part; do
                mkdir "$part"
                (
                        folder=$folder/$part
                        cd "$folder" || exit 1
                        mkfifo pause
                        passed=0 failed=0 runs=0
                        "$part"
                        echo "$passed $failed" > result
                ) > "$part/log" 2> "$part.complaints" &
                parts[$!]=$part
        done
}

gather() {
        local pid part more_passed more_failed

        for pid in "${!parts[@]}"; do
                part=${parts[pid]}
                wait "$pid"
                cat "$part/log"
                # What is run writes to files of its own; but bash may say of a job how it was killed.
                if grep -vE ': line [0-9]+: +[0-9]+ (Killed|Terminated|Hangup|Interrupt|Aborted|Quit) ' "$part.complaints" > complaints; then
                        fail "$part: a command of the test itself has failed"
                        cat complaints
                fi
                if read -r more_passed more_failed 2> /dev/null < "$part/result"; then
                        passed=$((passed + more_passed))
                        failed=$((failed + more_failed))
                else
                        fail "$part did not come to its end"
                fi
        done
}

# Interrupt the last job, and measure how long it takes to end.
interrupt() {
        local began now

        now_ms
        began=$now
        kill -"$1" "$job"
        await "$job"
        now_ms
        took=$((now - began))
}

# Whether it has become ferry, and catches SIGTERM.
handles_signals() {
        local name value

        [[ $(< "/proc/$1/comm") == ferry ]] || return
        while read -r name value; do
                [[ $name == SigCgt: ]] && return $((!(16#$value & 1 << 14)))
        done < "/proc/$1/status"
        return 1
}

skipped() {
        echo "$suite: left out: $1"
}

finish() {
        local file

        gather
        FERRY_TEST_MARK=$folder/
        nothing_left "at the end"
        for file in sanitizer.*; do
                [[ -e $file ]] || continue
                fail "a sanitizer has found something"
                head -40 "$file"
        done
        echo "$suite: $passed passed, $failed failed"
        [[ $failed -eq 0 ]]
        exit
}
