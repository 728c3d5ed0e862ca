#!/bin/bash
# Has Spin try all that can happen in tests/ring/ring.pml, for small sizes; and with each fault, which it must find. Ends with
# "model: N passed, N failed".
#
#   model.sh SOURCE [--long]
set -u
[ -f "${1-}/tests/support/silence.sh" ] || { echo 'usage: model.sh SOURCE [--long]' >&2; exit 2; }
cd "$1" || exit 1
is_long=${2:-}
model=$PWD/tests/ring/ring.pml
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
. tests/support/silence.sh

# Prints Spin's count of errors, and leaves its output in a file. All memory that it may take is 4 GiB.
search() { # MACRO…
        (
                cd "$folder" || exit 1
                rm -f pan pan.* ./*.trail
                spin "${@/#/-D}" -a "$model" >out 2>&1 && gcc -O2 -DSAFETY -DCOLLAPSE -DMEMLIM=4096 -o pan pan.c >>out 2>&1 &&
                        ./pan -m1000000 -w24 >>out 2>&1
                if grep -qE 'out of memory|max search depth|truncated' out; then
                        echo incomplete
                else
                        sed -n 's/.* errors: //p' out
                fi
        )
}

holds() { # MACRO…
        check "the model, $*" "$(errors=$(search "$@"); [ "$errors" = 0 ] || { echo "errors: $errors"; tail -n 30 "$folder/out"; })"
}

fails() { # MACRO OTHER-MACRO…
        check "the fault $1 is not found" "$(errors=$(search "$@"); [[ $errors =~ ^[1-9] ]] || { echo "errors: $errors"; tail -n 5 "$folder/out"; })"
}

for size in 1 2 4; do
        holds SIZE=$size COUNT=$((size + 2))
        holds SIZE=$size COUNT=$((size + 2)) CLOSES
        holds SIZE=$size COUNT=$((size + 1)) CLOSES WRITER_DIES
        holds SIZE=$size COUNT=$((size + 1)) CLOSES READER_DIES
done
if [ -n "$is_long" ]; then
        holds SIZE=2 COUNT=8 CLOSES
        holds SIZE=4 COUNT=10 CLOSES
        holds SIZE=4 COUNT=8 CLOSES WRITER_DIES
        holds SIZE=4 COUNT=8 CLOSES READER_DIES
fi

fails NO_FENCE_BEFORE_LOOK_FOR_SLEEPER SIZE=2 COUNT=3
fails NO_FENCE_BEFORE_READER_LOOKS SIZE=2 COUNT=3
fails NO_FENCE_BEFORE_WRITER_LOOKS SIZE=1 COUNT=3
fails TAIL_BEFORE_BYTES SIZE=2 COUNT=3
fails HEAD_BEFORE_BYTES SIZE=2 COUNT=4
fails LOOK_FOR_SLEEPER_BEFORE_TAIL SIZE=2 COUNT=3
fails LOOK_FOR_SLEEPER_BEFORE_HEAD SIZE=1 COUNT=3
fails LOOK_FOR_SLEEPER_BEFORE_END SIZE=2 COUNT=2 CLOSES
fails READER_LOOKS_BEFORE_IT_SLEEPS SIZE=2 COUNT=3
fails WRITER_LOOKS_BEFORE_IT_SLEEPS SIZE=1 COUNT=3
fails END_BEHIND_TAIL SIZE=2 COUNT=3 CLOSES
fails READER_IGNORES_END SIZE=2 COUNT=2 CLOSES

echo "model: $passed passed, $failed failed"
[ $failed = 0 ]
