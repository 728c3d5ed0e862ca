#!/bin/bash
# Build and run the tests: with gcc, with clang and its sanitizers for memory and undefined behaviour, and those with
# threads with the one for threads. Ends with "N passed, N failed", which counts single tests over all of it.
#
#   check.sh [--long]
#
# --long: the full numbers (FERRY_LONG), then all of it 50 times while the machine has four other things to do, and
# what can be run under MemorySanitizer and valgrind.
set -u
cd "$(dirname "$0")/.." || exit 1

is_long=
if [ "${1:-}" = --long ]; then
        is_long=1
        export FERRY_LONG=1
fi
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1
export MSAN_OPTIONS=halt_on_error=1
# check's own time limit, for each test.
export CK_DEFAULT_TIMEOUT=60
export CK_TIMEOUT_MULTIPLIER=${is_long:+10}

passed=0
failed=0

# Each test program ends with a line that counts: NAME: N passed, N failed
count() { # LOG STATUS
        local counts before=$failed
        counts=$(sed -n 's/^[a-z-]*: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$1" |
                 awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
        passed=$((passed + ${counts% *}))
        failed=$((failed + ${counts#* }))
        # A program that died before it could count, or ran out of time.
        [ "$2" = 0 ] || [ $failed -gt "$before" ] || failed=$((failed + 1))
}

build() { # NAME COMPILER MESON-OPTIONS [TARGET…]
        local folder=build-check/$1 compiler=$2 options=$3
        shift 3
        echo "== ${folder#*/}"
        mkdir -p build-check
        # shellcheck disable=SC2086 # one word for each option
        if [ ! -e "$folder/build.ninja" ] && ! CC=$compiler meson setup "$folder" -Dwerror=true $options >"$folder.log" 2>&1; then
                cat "$folder.log"
        elif ninja -C "$folder" --quiet "$@"; then
                return 0
        fi
        failed=$((failed + 1))
        return 1
}

run() { # NAME MESON-TEST-OPTION…
        local folder=build-check/$1
        shift
        meson test -C "$folder" --no-rebuild --print-errorlogs --logbase testlog "$@"
        count "$folder/meson-logs/testlog.txt" $?
}

build gcc gcc '' && run gcc
build clang-sanitizers clang '-Db_sanitize=address,undefined -Db_lundef=false' && run clang-sanitizers
build clang-threads clang '-Db_sanitize=thread -Db_lundef=false' tests/test-threads tests/child && run clang-threads threads

if [ -n "$is_long" ]; then
        . tools/check-long.sh
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
