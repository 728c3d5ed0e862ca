#!/bin/bash
# A message and the codecs take at most as many instructions as tests/costs/instructions.txt says. They are counted by
# callgrind, so the load of the machine does not matter. The bounds are those of the library as gcc 12 optimizes it for
# x86-64, on a processor with AVX2, with a margin of 4 % for other C libraries. A change that makes something dearer fails;
# one that makes it cheaper lowers the bound.
#
#   test-instructions.sh PROGRAM CORPUS           ends with "costs-instructions: N passed, N failed"
#   test-instructions.sh --write PROGRAM CORPUS   lowers the bounds to what was counted, and adds new cases; a bound is raised by hand,
#                                                 so that it does not creep up within the margin
set -u
is_writing=
if [ "${1-}" = --write ]; then
        is_writing=1
        shift
fi
[ -f "${1-}" ] && [ -d "${2-}" ] || { echo 'usage: test-instructions.sh [--write] PROGRAM CORPUS' >&2; exit 2; }
program=$1 corpus=$2
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/../support/silence.sh"
rounds=100 margin=4

skip() { # REASON
        echo "SKIPPED costs-instructions: $1"
        echo 'costs-instructions: 0 passed, 0 failed, 1 skipped'
        exit 0
}
command -v valgrind >/dev/null || skip 'valgrind is not installed'
grep -qw avx2 /proc/cpuinfo || skip 'the bounds are those of a processor with AVX2'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# Lines "NAME INSTRUCTIONS", of one message or one value.
counts() {
        local file name total
        for file in "$folder"/out.*; do
                name=$(sed -n 's/^desc: Trigger: Client Request: //p' "$file")
                total=$(sed -n 's/^totals: //p' "$file")
                [ -n "$name" ] || continue
                case $name in
                *-*) echo "$name $total" ;;
                *) echo "$name $((total / rounds))" ;;
                esac
        done | sort
}

# Variables of the C library, such as MALLOC_PERTURB_, change what it does.
env -i PATH="$PATH" ${LD_LIBRARY_PATH:+"LD_LIBRARY_PATH=$LD_LIBRARY_PATH"} \
        valgrind -q --tool=callgrind --collect-atstart=no --callgrind-out-file="$folder/out" "$program" "$corpus" >"$folder/log" 2>&1
check 'the program has failed' "$([ $? = 0 ] || cat "$folder/log")"
counts >"$folder/counts"

if [ -n "$is_writing" ]; then
        awk 'NR == FNR { bound[$1] = $2; next } { print $1, ($1 in bound && bound[$1] < $2 ? bound[$1] : $2) }' \
                "$here/instructions.txt" "$folder/counts" >"$folder/bounds" && cp "$folder/bounds" "$here/instructions.txt"
        exit $failed
fi
check 'the cases are not those of the list' "$(diff <(cut -d' ' -f1 "$here/instructions.txt") <(cut -d' ' -f1 "$folder/counts"))"
while read -r name bound count; do
        check "$name" "$([ "$count" -le $((bound + bound * margin / 100)) ] ||
                echo "$count instructions, and the bound is $bound: see what has made it dearer, or say why in the commit that raises it")"
        [ "$count" -ge $((bound - bound * 2 * margin / 100)) ] ||
                echo "$name takes $count instructions now, so its bound of $bound can be lowered: tests/costs/test-instructions.sh --write"
done < <(join "$here/instructions.txt" "$folder/counts")

echo "costs-instructions: $passed passed, $failed failed"
[ $failed = 0 ]
