#!/bin/bash
# Makes copies of the ring's code, each with one fault, and expects that it is found: a fence that is missing or too weak, an
# order that is too weak, steps in another order, a check that is missing. `schedule` is tests/ring/test-ring-schedule.c
# around that copy, `threads` the traffic between two threads with ThreadSanitizer. The ring as it is must pass both. (That
# the end is stored with release makes no difference behind the fence of the write before.) Ends with "mutants: N passed, N
# failed".
#
#   mutants.sh SOURCE BUILD BUILD-CLANG-THREADS
set -u
[ -f "${1-}/tests/support/silence.sh" ] && [ $# = 3 ] || { echo 'usage: mutants.sh SOURCE BUILD BUILD-CLANG-THREADS' >&2; exit 2; }
source=$(realpath "$1")
build=$(realpath "$2")
threads=$(realpath "$3")
cd "$source" || exit 1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
. tests/support/silence.sh

compile_schedule() { # RING.C
        gcc -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -Itests -DRING_SOURCE="\"$1\"" tests/ring/test-ring-schedule.c \
                "$build/tests/libsuite.a" "$build/src/libferry.a" -lcheck -lsubunit -lrt -lm -lpthread -o "$folder/schedule"
}

compile_threads() { # RING.C
        clang -fsanitize=thread -O1 -g -D_GNU_SOURCE -Isrc -Iinclude -Itests tests/ring/test-ring-threads.c tests/ring/traffic.c "$1" \
                "$threads/tests/libsuite.a" "$threads/src/libferry.a" -lcheck -lsubunit -lrt -lm -lpthread -o "$folder/threads"
}

finds() { # schedule|threads RING.C
        case $1 in
        schedule) compile_schedule "$2" && ! "$folder/schedule" >"$folder/out" 2>&1 && grep -q 'schedule [0-9]*: ' "$folder/out" ;;
        threads)
                compile_threads "$2" && ! TSAN_OPTIONS=halt_on_error=1 CK_DEFAULT_TIMEOUT=60 "$folder/threads" >"$folder/out" 2>&1 &&
                        grep -q 'data race' "$folder/out"
                ;;
        esac
}

for tool in schedule threads; do
        check "the ring as it is fails under: $tool" "$(finds $tool "$source/src/ring/ring.c" && cat "$folder/out")"
done

# mutant NAME TOOL… with a sed script on stdin, which must change the code.
mutant() {
        local name=$1 tool found=
        shift
        sed -E -f /dev/stdin src/ring/ring.c >"$folder/ring.c"
        check "$name: the script changes nothing" "$(cmp -s src/ring/ring.c "$folder/ring.c" && echo "src/ring/ring.c has other lines now")"
        for tool; do
                finds "$tool" "$folder/ring.c" || found+="not found by $tool "
        done
        check "$name" "$found"
}

# Fences.
mutant 'no fence between a store and the look for a sleeper' schedule <<'E1'
/^static bool has_to_wake/,/^}/ { /atomic_thread_fence/d }
E1
mutant 'a weak fence between a store and the look for a sleeper' schedule <<'E1'
/^static bool has_to_wake/,/^}/ s/memory_order_seq_cst/memory_order_acq_rel/
E1
mutant 'no fence before a reader looks again' schedule <<'E1'
/^bool ring_reader_sleep/,/^}/ { /atomic_thread_fence/d }
E1
mutant 'a weak fence before a reader looks again' schedule <<'E1'
/^bool ring_reader_sleep/,/^}/ s/memory_order_seq_cst/memory_order_acq_rel/
E1
mutant 'no fence before a writer looks again' schedule <<'E1'
/^bool ring_writer_sleep/,/^}/ { /atomic_thread_fence/d }
E1
mutant 'a weak fence before a writer looks again' schedule <<'E1'
/^bool ring_writer_sleep/,/^}/ s/memory_order_seq_cst/memory_order_acq_rel/
E1

# Orders of single accesses.
mutant 'the tail is stored relaxed' schedule threads <<'E1'
/shared->tail, writer->tail/ s/memory_order_release/memory_order_relaxed/
E1
mutant 'the tail is loaded relaxed' threads <<'E1'
/shared->tail, memory_order_acquire/ s/memory_order_acquire/memory_order_relaxed/
E1
mutant 'the head is stored relaxed' threads <<'E1'
/shared->head, reader->head/ s/memory_order_release/memory_order_relaxed/
E1
mutant 'the head is loaded relaxed' threads <<'E1'
/shared->head, memory_order_acquire/ s/memory_order_acquire/memory_order_relaxed/
E1

# Steps in another order.
mutant 'the tail is stored before the bytes' schedule threads <<'E1'
/^ssize_t ring_write/,/^}/ {
        /for \(size_t i = 0; i < count && put < room/i\
        atomic_store_explicit(&writer->shared->tail, writer->tail + (uint32_t)(wanted < room ? wanted : room), memory_order_release);
}
E1
mutant 'the head is stored before the bytes are copied' schedule threads <<'E1'
/^ssize_t ring_read/,/^}/ {
        /copy_out\(reader, buffer, got\)/i\
        atomic_store_explicit(&reader->shared->head, reader->head + got, memory_order_release);
}
E1
mutant 'a sleeper is looked for before the tail is stored' schedule <<'E1'
/^ssize_t ring_write/,/^}/ {
        /writer->tail \+= put/i\
        *ret_wakes |= has_to_wake(&writer->shared->is_reader_asleep);
        /memory_order_release/ { n; d }
}
E1
mutant 'a sleeper is looked for before the head is stored' schedule <<'E1'
/^ssize_t ring_read/,/^}/ {
        /copy_out\(reader/i\
        *ret_wakes |= has_to_wake(&reader->shared->is_writer_asleep);
        /size \+ 1\) \/ 2/ { N; d }
}
E1
mutant 'a sleeper is looked for before the end is stored' schedule <<'E1'
/^bool ring_close/,/^}/ {
        /memory_order_release/ { h; d }
        /return has_to_wake/ {
                s/.*/        bool wakes = has_to_wake(\&writer->shared->is_reader_asleep);/
                G
                a\
        return wakes;
        }
}
E1
mutant 'a reader looks before it says that it sleeps' schedule <<'E1'
/^bool ring_reader_sleep/,/^}/ {
        /atomic_store_explicit/ s/^/        if (ring_is_readable(reader)) return false;\n/
        s/if \(!ring_is_readable\(reader\)\)/if (true)/
}
E1
mutant 'a writer looks before it says that it sleeps' schedule <<'E1'
/^bool ring_writer_sleep/,/^}/ {
        /atomic_store_explicit/ s/^/        if (ring_is_writable(writer)) return false;\n/
        s/if \(!ring_is_writable\(writer\)\)/if (true)/
}
E1
mutant 'the end is looked for behind the tail' schedule <<'E1'
/^ssize_t ring_read/,/^}/ {
        /What was written before it was closed/,/return reader->error/d
}
E1
mutant 'a reader that goes to sleep does not look for the end' schedule <<'E1'
/^bool ring_is_readable/,/^}/ s/ \|\| is_closed\(reader\)//
E1
mutant 'a writer is not woken at the half' schedule <<'E1'
/^ssize_t ring_read/,/^}/ s/ >= \(reader->size \+ 1\) \/ 2/ > reader->size/
E1
mutant 'a sleeper is not looked for' schedule <<'E1'
/^static bool has_to_wake/,/^}/ s/atomic_load_explicit\(is_asleep, memory_order_relaxed\) != 0/false/
E1

# Checks.
mutant 'a tail is not checked' schedule <<'E1'
/^static int look_at_tail/,/^}/ { /if \(tail - reader->tail >/,/EBADMSG/d }
E1
mutant 'a head is not checked' schedule <<'E1'
/^static int look_at_head/,/^}/ { /if \(head - writer->head >/,/EBADMSG/d }
E1
mutant 'a head is loaded again after its check' schedule <<'E1'
/^static int look_at_head/,/^}/ s/writer->head = head;/writer->head = atomic_load_explicit(\&writer->shared->head, memory_order_acquire);/
E1
mutant 'a tail is loaded again after its check' schedule <<'E1'
/^static int look_at_tail/,/^}/ s/reader->tail = tail;/reader->tail = atomic_load_explicit(\&reader->shared->tail, memory_order_acquire);/
E1

echo "mutants: $passed passed, $failed failed"
[ $failed = 0 ]
