#!/bin/bash
# Build and run the tests twice: with gcc, and with clang and its sanitizers. Ends with "N passed, N failed", which
# counts single tests over both.
#
#   check.sh [--long]
set -u
cd "$(dirname "$0")/.." || exit 1

repeat=1
if [ "${1:-}" = --long ]; then
        repeat=10
fi
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export CK_DEFAULT_TIMEOUT=60

passed=0
failed=0

run() { # NAME COMPILER MESON-OPTION…
        local name=$1 compiler=$2 folder=build-check/$1 before=$failed
        shift 2
        echo "== $name"
        mkdir -p build-check
        if [ ! -e "$folder/build.ninja" ] && ! CC=$compiler meson setup "$folder" -Dwerror=true "$@" >"$folder.log" 2>&1; then
                cat "$folder.log"
                failed=$((failed + 1))
                return
        fi
        if ! ninja -C "$folder" --quiet; then
                failed=$((failed + 1))
                return
        fi
        meson test -C "$folder" --no-rebuild --print-errorlogs --repeat "$repeat" --logbase testlog
        local status=$?
        # Each test program ends with a line that counts: NAME: N passed, N failed
        local counts
        counts=$(sed -n 's/^[a-z-]*: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$folder/meson-logs/testlog.txt" |
                 awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
        passed=$((passed + ${counts% *}))
        failed=$((failed + ${counts#* }))
        # A program that died before it could count, or ran out of time.
        [ $status = 0 ] || [ $failed -gt "$before" ] || failed=$((failed + 1))
}

run gcc gcc
run clang-sanitizers clang -Db_sanitize=address,undefined -Db_lundef=false

echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
