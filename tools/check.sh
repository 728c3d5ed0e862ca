#!/bin/bash
# Build and run the tests, part by part. Ends with "N passed, N failed", which counts single tests over all of it.
#
#   check.sh            gcc as it is shipped; clang with ASan and UBSan
#   check.sh --long     the same with the full numbers (FERRY_LONG), then all long parts below, without them
#   check.sh --ci       check.sh, then the long parts, within 40 minutes
#   check.sh PART…      these long parts alone, with the limits of --long
#
# Each part is a function with a time limit of its own, after which it is ended and counted as a failure. A part for which
# no time is left is left out, and said so. What was counted goes into a file at once, so that the closing lines always
# come, whatever has happened to a part: which tests failed, then the sum.
set -u
cd "$(dirname "$0")/.." || exit 1

# NAME LIMIT-CI LEAST-CI LIMIT-LONG, in seconds; LEAST: with less time than this it is not begun. The limits of CI are about
# twice what a part takes on two processors. LIMIT-CI 0: left out of CI, for want of time, or as it has not passed as a whole.
long_parts='
threads         120    30    300
live            100    70    300
static          900   300   1800
sanitizers      500   200   3600
memory          500   200   3600
valgrind        400   130   1800
ring              0     0   3600
repetitions     400   200   1800
bare              0     0   3600
i686              0     0   3600
musl              0     0   1800
arm64             0     0   3600'

mode=check parts=
case ${1:-} in
--long) mode=long ;;
--ci) mode=ci ;;
'') ;;
*) mode=parts parts=$* ;;
esac

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1
export MSAN_OPTIONS=halt_on_error=1
# check's own time limit, for each test.
export CK_DEFAULT_TIMEOUT=60
# 10^9 messages through a ring took 35 minutes while other programs ran.
[ $mode != long ] || export CK_TIMEOUT_MULTIPLIER=100

mkdir -p build-check || exit 1
counts=$PWD/build-check/counts failures=$PWD/build-check/failures
{ : >"$counts" && : >"$failures"; } || exit 1

# Counting ----------------------------------------------------------------------------------------------

add() { # PASSED FAILED [WHAT-FAILED]
        echo "$1 $2" >>"$counts"
        [ "$2" = 0 ] || echo "$current: ${3:-$2 failed}" >>"$failures"
}

total() { # passed|failed
        awk -v column="$1" '{ p += $1; f += $2 } END { print (column == "passed" ? p : f) + 0 }' "$counts"
}

# Each test program ends with a line that counts: NAME: N passed, N failed. One that died before, or ran out of time,
# is known by the status alone. What a log says of a failure stands at the end of all output, which may be all that is kept.
count() { # LOG STATUS [OUTPUT-OF-MESON]
        local numbers said
        numbers=$(sed -n 's/^[a-z-]*: \([0-9]*\) passed, \([0-9]*\) failed\(, [0-9]* skipped\)*$/\1 \2/p' "$1" |
                  awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
        [ "$2" = 0 ] || [ "${numbers#* }" -gt 0 ] || numbers="${numbers% *} 1"
        said=$(grep -hE '^ *[0-9]+/[0-9]+ .* (FAIL|TIMEOUT|ERROR) |^FAILED|^[^ ]*:[0-9]+:[FE]:|(ERROR|WARNING): [A-Z][A-Za-z]+Sanitizer|runtime error:' \
                "$1" "${3:-/dev/null}" | cut -c 1-400 | awk '!seen[$0]++' | head -n 40)
        # shellcheck disable=SC2086 # two words
        add $numbers "${numbers#* } failed${said:+:$'\n'$said}"
        grep -hE '^(SKIPPED|skipped)' "$1" | sort -u
        return 0
}

# Building ----------------------------------------------------------------------------------------------

gcc_options='-Dc_args=-g1'
thread_options='-Db_sanitize=thread -Db_lundef=false -Doptimization=0'
# Compiled without optimising: that takes a third of the time, and the tests hardly take longer.
sanitizer_options='-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=0
        -Dc_args=["-gline-tables-only","-fno-sanitize-recover=all"]'
optimized_options='-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1
        -Dc_args=["-gline-tables-only","-fno-sanitize-recover=all"]'
memory_options='-Db_sanitize=memory -Db_lundef=false'

# The folder is made anew if it was made with other options.
build() { # NAME COMPILER MESON-OPTIONS [TARGET…]
        local folder=build-check/$1 compiler=$2 options=$3
        shift 3
        echo "== build ${folder#*/}"
        if [ "$(cat "$folder/made-with" 2>/dev/null)" != "$compiler $options" ]; then
                rm -rf "$folder"
                # shellcheck disable=SC2086 # one word for each option
                if ! CC=$compiler CC_LD=$(linker_of "$compiler") meson setup "$folder" -Dwerror=true $options >"$folder.log" 2>&1; then
                        cat "$folder.log"
                        add 0 1 "meson setup $folder"
                        return 1
                fi
                echo "$compiler $options" >"$folder/made-with"
        fi
        ninja -C "$folder" --quiet "$@" && return 0
        add 0 1 "ninja -C $folder $*"
        return 1
}

# With lld a sanitized program is linked in half of the time.
linker_of() { # COMPILER
        [ "${1##* }" != clang ] || ! command -v ld.lld >/dev/null || echo lld
}

# Running tests -----------------------------------------------------------------------------------------

# Begin to run the tests of a build; wait for their end, and count them.
declare -A running
start() { # NAME MESON-TEST-OPTION…
        local name=$1
        shift
        rm -f "build-check/$name"/meson-logs/testlog*.txt
        # Twice as many as there are processors, since many of them wait.
        meson test -C "build-check/$name" --no-rebuild --print-errorlogs --num-processes $((2 * $(nproc))) "$@" \
                >"build-check/$name.out" 2>&1 &
        running[$name]=$!
}

finish() { # NAME
        local folder=build-check/$1 status
        wait "${running[$1]}"
        status=$?
        echo "== the tests of $1"
        cat "$folder.out"
        cat "$folder"/meson-logs/testlog*.txt >"$folder/testlog" 2>/dev/null
        count "$folder/testlog" $status "$folder.out"
}

run() { # NAME MESON-TEST-OPTION…
        start "$@"
        finish "$1"
}

# Parts -------------------------------------------------------------------------------------------------

# While the tests of one wait, the next is built. What `make check` leaves to CI: the suite "later". What both leave to the long
# parts: the suite "long", and with sanitizers the scripts and what counts, which part_sanitizers runs.
part_check() {
        local name suites='--no-suite long --no-suite later' targets=checked slow=
        [ $mode = check ] || suites='--no-suite long' targets=all
        [ $mode != long ] || export FERRY_LONG=1
        # With the full numbers a program may take as long as the part.
        [ -z "${FERRY_LONG:-}" ] || suites='--timeout-multiplier 100' slow=$suites targets=all
        # shellcheck disable=SC2086 # several words, or none
        build gcc gcc "$gcc_options" $targets && : >build-check/gcc/pairs && start gcc $suites
        # shellcheck disable=SC2086 # two words, or none
        build clang-sanitizers clang "$sanitizer_options" sanitized && start clang-sanitizers $slow --no-suite scripts --no-suite counting
        for name in gcc clang-sanitizers; do
                [ -z "${running[$name]:-}" ] || finish "$name"
        done
        compare_pairs
}

# The tests have noted each errno that a public function returned to them: is it documented?
compare_pairs() {
        local log=build-check/pairs.log
        [ -s build-check/gcc/pairs ] || return 0
        python3 tests/docs/pairs.py build-check/gcc/pairs include/ferry/*.h >$log
        count $log $?
        cat $log
        rm -f build-check/gcc/pairs
}

part_static() {
        has clang-tidy && need_gcc || return 0
        tools/static.sh --long . build-check/gcc >build-check/static.log
        count build-check/static.log $?
        cat build-check/static.log
}

# The programs with several threads.
part_threads() {
        build clang-threads clang "$thread_options" tests/test-threads tests/test-ring-threads tests/child &&
                run clang-threads threads ring-threads
}

# A program in a build of its own: optimised, all rounds, and the scripts.
part_sanitizers() {
        build clang-optimized clang "$optimized_options" && FERRY_ROUNDS=all run clang-optimized --timeout-multiplier 10
}

part_live() {
        local log=build-check/live.log
        build clang-sanitizers clang "$sanitizer_options" ferry tests/live || return 0
        build-check/clang-sanitizers/tests/live build-check/clang-sanitizers/ferry 60 >"$log" 2>&1
        count "$log" $?
        cat "$log"
}

part_memory() {
        build clang-memory clang "$memory_options" && run clang-memory --timeout-multiplier 10
}

# Not where there are children: it does not know pidfd.
part_valgrind() {
        local checked='map buffer template codec references number tree vectors frame loop session own names service run fork
                       conformance-peers conformance-broken conformance-waiting conformance-limits'
        has valgrind && need_gcc || return 0
        # shellcheck disable=SC2086 # one word for each program
        run gcc --timeout-multiplier 20 --wrap='valgrind -q --error-exitcode=9 --leak-check=full
                --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect' $checked
        count_path notify 9
        count_path receive 9
}

# How many files a message passes.
count_path() { # notify|receive AT-MOST
        echo "== the path of $1"
        if tools/trace.sh "$1" "$2"; then add 1 0; else add 0 1 "tools/trace.sh $1 $2"; fi
}

# All that the ring of shared memory can do, as a model; and faults of its code, which tests must find.
part_ring() {
        has spin && need_gcc && build clang-threads clang "$thread_options" tests/test-ring-threads || return 0
        tests/ring/model.sh . --long >build-check/ring-model.log 2>&1
        count build-check/ring-model.log $?
        tests/ring/mutants.sh . build-check/gcc build-check/clang-threads >build-check/ring-mutants.log 2>&1
        count build-check/ring-mutants.log $?
        cat build-check/ring-model.log build-check/ring-mutants.log
}

# In CI as root only, for want of time.
part_bare() {
        local users='root ferry'
        [ $mode != ci ] || users=root
        # shellcheck disable=SC2086 # one word for each user
        tools/bare.sh build-check/bare $users >build-check/bare.log 2>&1
        count build-check/bare.log $?
        cat build-check/bare.log
}

# All of it six times, while the machine has four other things to do. The last one ends in time.
part_repetitions() { # LIMIT
        local limit=$1 began=$SECONDS took=0 i busy=()
        need_gcc || return 0
        for i in 1 2 3 4; do
                while :; do :; done &
                busy+=($!)
        done
        trap 'kill "${busy[@]}" 2>/dev/null' EXIT
        for ((i = 1; i <= 6 && SECONDS - began + 3 * took / 2 < limit; i++)); do
                took=$SECONDS
                echo "== repetition $i"
                run gcc --timeout-multiplier 10 --no-suite static
                took=$((SECONDS - took))
        done
        echo "== repetitions: $((i - 1)) of 6"
}

# Another architecture's packages are only unpacked.
foreign() { # ARCHITECTURE PACKAGE…
        local reason
        reason=$(tools/sysroot.sh "build-check/sysroot-$1" "$@") && return 0
        echo "skipped: ${reason##*$'\n'}"
        return 1
}

# The whole suite, but for what only reads sources, and symbols of a 64-bit machine (structure, docs, static, the sites of
# the faults). PHP has 32 bits where it shares memory with ferry, and 64 where it compares integers.
part_i686() {
        local root=$PWD/build-check/sysroot-i386 log=build-check/i686-faults.log
        foreign i386 libc6-dev "libgcc-$(gcc -dumpversion)-dev" check libjansson-dev php8.2-cli php8.2-msgpack || return 0
        build i686 gcc "--cross-file=$root/cross.ini $gcc_options" all later || return 0
        PKG_CONFIG_LIBDIR=/nonexistent CC=$root/bin/cc PATH=$root/bin:$PATH run i686 --suite scripts --timeout-multiplier 3
        CC=$root/bin/cc run i686 --no-suite scripts --no-suite counting --no-suite source --no-suite static --no-suite long --no-suite faults
        build-check/i686/tests/test-faults >$log 2>&1
        count $log $?
        grep -vE '^(100%|Running)' $log
}

# Another C library: all that needs no other library, so neither check nor jansson.
part_musl() {
        local folder=$PWD/build-check/musl-files
        has musl-gcc || return 0
        # musl-gcc sees none of the headers of the kernel.
        mkdir -p "$folder"
        ln -sfn /usr/include/linux "$folder/linux"
        ln -sfn /usr/include/asm-generic "$folder/asm-generic"
        ln -sfn "/usr/include/$(gcc -print-multiarch)/asm" "$folder/asm"
        cat >"$folder/cross.ini" <<END
[binaries]
c = ['musl-gcc', '-idirafter', '$folder']
ar = 'ar'
strip = 'strip'
[properties]
pkg_config_libdir = '/nonexistent'
needs_exe_wrapper = false
[host_machine]
system = 'linux'
cpu_family = '$(uname -m)'
cpu = '$(uname -m)'
endian = 'little'
END
        build musl gcc "--cross-file=$folder/cross.ini -Dtls=disabled -Dtest_libraries=false $gcc_options" || return 0
        PKG_CONFIG_LIBDIR=/nonexistent CC="musl-gcc -idirafter $folder" run musl --no-suite later --no-suite source --no-suite static --no-suite long --no-suite faults
}

# Under qemu, which refuses to clone as sys_spawn() does, and does not run what a program starts: docs/portability.md.
part_arm64() {
        local root=$PWD/build-check/sysroot-arm64
        local checked='template codec references number tree map buffer frame outbox segment segment-other vectors cuts protocol
                       processors cases-json loop session own names service store conformance-broken fuzz-php fuzz-json
                       fuzz-msgpack fuzz-ferry fuzz-segment fuzz-unpack fuzz-innmind'
        has aarch64-linux-gnu-gcc && has qemu-aarch64-static || return 0
        foreign arm64 libc6-dev "libgcc-$(gcc -dumpversion)-dev" check libjansson-dev || return 0
        build arm64 gcc "--cross-file=$root/cross.ini $gcc_options" || return 0
        # shellcheck disable=SC2086 # one word for each program
        run arm64 --timeout-multiplier 10 $checked
        echo 'skipped: arm64: tests that start children, and scripts: qemu-user cannot run them'
}

# CI may be without the network from which the tools of the long parts come.
has() { # TOOL
        command -v "$1" >/dev/null && return 0
        echo "skipped: $1 is not installed"
        return 1
}

need_gcc() {
        build gcc gcc "$gcc_options" all
}

# In a process group of its own, which is ended when the limit is over.
part() { # NAME LIMIT
        local name=$1 limit=$2 began=$SECONDS failed before pid guard status current=$1
        before=$(total failed)
        echo "== part $name, at most $limit s"
        set -m
        "part_$name" "$limit" &
        pid=$!
        {
                sleep "$limit"
                echo "== part $name: ended after its limit of $limit s"
                kill -TERM -- -$pid
                sleep 15
                kill -KILL -- -$pid
        } 2>/dev/null &
        guard=$!
        set +m
        wait $pid 2>/dev/null
        status=$?
        kill -TERM -- -$guard 2>/dev/null
        # What it has left, such as a program that a test has started.
        kill -KILL -- -$pid 2>/dev/null
        wait $guard 2>/dev/null
        failed=$(total failed)
        [ $status = 0 ] || [ "$failed" -gt "$before" ] || add 0 1 "ended with $status after $((SECONDS - began)) s"
        echo "== part $name took $((SECONDS - began)) s"
}

trap 'trap - EXIT; kill -TERM $(jobs -p) 2>/dev/null; exit 130' INT TERM

case $mode in
check) part check 1800 ;;
long) part check 43200 ;;
ci) part check 2400 ;;
esac

end=$((SECONDS + 40 * 60)) left_out=
while read -r name limit least limit_long; do
        [ -n "$name" ] || continue
        case $mode in
        check) continue ;;
        long) limit=$limit_long ;;
        parts)
                [[ " $parts " == *" $name "* ]] || continue
                limit=$limit_long
                ;;
        ci)
                [ "$limit" -gt 0 ] || continue
                left=$((end - SECONDS))
                if [ $left -lt "$least" ]; then
                        left_out+=" $name"
                        continue
                fi
                [ "$limit" -le $left ] || limit=$left
                ;;
        esac
        part "$name" "$limit"
done <<<"$long_parts"
[ -z "$left_out" ] || echo "== left out, as the time was over:$left_out"

passed=$(total passed) failed=$(total failed)
[ ! -s "$failures" ] || { echo '== what failed'; cat "$failures"; }
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
