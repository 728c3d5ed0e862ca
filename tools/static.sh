#!/bin/bash
# What reads the code without running it: cppcheck, and how the shipped binaries are hardened; with --long also gcc
# -fanalyzer and clang-tidy, which take a quarter of a minute and a whole one. Ends with "static: N passed, N failed".
#
#   static.sh [--long|--shipped|--source] SOURCE BUILD    BUILD: where the library and the tool were built
#
# --shipped looks at the binaries alone, --source runs cppcheck alone.
#
# A false finding is switched off on its own line, with the reason: in a comment with "gcc-analyzer:" on that line or
# the one above, with cppcheck-suppress, with NOLINT.
set -u
mode=
case ${1-} in
--*) mode=${1#--}; shift ;;
esac
[ -f "${1-}/tests/support/silence.sh" ] && [ $# = 2 ] || {
        echo 'usage: static.sh [--long|--shipped|--source] SOURCE BUILD' >&2
        exit 2
}
cd "$1" || exit 1
build=$2
. tests/support/silence.sh

case $mode in
shipped) tools=readelf ;;
source) tools=cppcheck ;;
long) tools='gcc cppcheck readelf clang-tidy' ;;
*) tools='gcc cppcheck readelf' ;;
esac
for tool in $tools; do
        check "$tool" "$(command -v "$tool" >/dev/null || echo 'is not installed')"
done

shipped=$(ls src/*/*.c cli/*.c | grep -v /test-)
headers=(-Isrc -Iinclude -Icli)

# "FILE:LINE:COLUMN: warning: …" on stdin, but for those that are switched off.
remaining() {
        local finding file line rest
        while IFS= read -r finding; do
                IFS=: read -r file line rest <<<"$finding"
                sed -n "$((line > 1 ? line - 1 : 1)),${line}p" "$file" | grep -q gcc-analyzer: || echo "$finding"
        done
}

# A command for each of the files, on all processors.
each_file() { # COMMAND ARGUMENT…
        printf '%s\n' $shipped | xargs -P "$(nproc)" -I FILE "$@" 2>&1 | grep -E '(warning|error):'
}

analyze() {
        each_file gcc -fanalyzer -O1 -std=gnu17 -D_GNU_SOURCE "${headers[@]}" -c FILE -o /dev/null | sort -u | remaining
}
# variableScope is a matter of style: variables stand at the head of a function here.
[ "$mode" = shipped ] || check cppcheck "$(cppcheck -q -j "$(nproc)" --enable=warning,performance,portability,style --inline-suppr --std=c11 -D_GNU_SOURCE \
        "${headers[@]}" --suppress=missingIncludeSystem --suppress=variableScope \
        --template='{file}:{line}: {id}: {message}' $shipped modules/*.c examples/*.c 2>&1)"

# What every binary that is shipped must have.
hardened() { # FILE
        local program dynamic symbols
        program=$(readelf -Wl "$1")
        dynamic=$(readelf -Wd "$1")
        symbols=$(readelf -Ws "$1")
        [[ $(readelf -h "$1") == *"DYN ("* ]] || echo "$1 is not position independent"
        grep -q 'GNU_STACK.* RW ' <<<"$program" || echo "$1 has a stack that can be executed"
        grep -q GNU_RELRO <<<"$program" || echo "$1 is not RELRO"
        grep -qE 'BIND_NOW|FLAGS.*NOW' <<<"$dynamic" || echo "$1 binds lazily"
        grep -q __stack_chk_fail <<<"$symbols" || echo "$1 has no stack protector"
        grep -qE '__(memcpy|snprintf|vsnprintf|fprintf)_chk' <<<"$symbols" || echo "$1 was built without _FORTIFY_SOURCE"
        ! grep -q TEXTREL <<<"$dynamic" || echo "$1 has text relocations"
        ! grep -qE 'RPATH|RUNPATH' <<<"$dynamic" || [[ $1 != *.so ]] || echo "$1 has a path of its own"
}
if [ "$mode" != source ]; then
        check 'the library is not hardened' "$(hardened "$build/src/libferry.so")"
        check 'the tool is not hardened' "$(hardened "$build/ferry")"
        for module in "$build"/modules/libferry-tls.so.?; do
                [ ! -e "$module" ] || check 'the module is not hardened' "$(hardened "$module")"
        done
fi

if [ "$mode" = long ]; then
        check 'gcc -fanalyzer' "$(LC_ALL=C analyze)"
        check clang-tidy "$(each_file clang-tidy -p "$build" --quiet --extra-arg=-Wno-ignored-optimization-argument FILE | sort -u)"
fi

echo "static: $passed passed, $failed failed"
[ $failed = 0 ]
