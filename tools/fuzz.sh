#!/bin/bash
# Fuzz: build the targets of tests/fuzz for libFuzzer and run them one after the other, each for its share of the time.
# What they find stays in build-fuzz/findings, what they learn in build-fuzz/corpus.
#
#   fuzz.sh [MINUTES [TARGET…]]   run (10 minutes, all targets); the status is 1 if something was found
#   fuzz.sh --merge [TARGET…]     put into tests/fuzz/corpus what build-fuzz/corpus covers beyond it
#   fuzz.sh --coverage            how much of the parser files the committed corpora cover
set -u
cd "$(dirname "$0")/.." || exit 1

folder=build-fuzz
all='php json msgpack frame ferry stream-ipc innmind pcntl nats keys info address pack unpack queue segment channel session service'
export ASAN_OPTIONS=detect_leaks=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

build() { # FOLDER OPTION…
        local where=$1
        shift
        if [ ! -e "$where/build.ninja" ] && ! CC=clang meson setup "$where" "$@" >"$where.log" 2>&1; then
                cat "$where.log"
                exit 1
        fi
        local programs=()
        for target in $all; do
                programs+=("tests/fuzz/fuzz-$target")
        done
        ninja -C "$where" --quiet "${programs[@]}" || exit 1
}

build_fuzzers() {
        mkdir -p $folder
        build $folder/libfuzzer -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
}

longest() { # of an input
        case $1 in
        session | service) echo 600 ;;
        frame | address | innmind | pcntl | nats) echo 4096 ;;
        *) echo 2048 ;;
        esac
}

run() { # TARGET SECONDS
        local target=$1 log=$folder/$1.log
        local options=(-max_total_time="$2" -max_len="$(longest "$1")" -timeout=20 -entropic=0)
        if [ -e "tests/fuzz/$target.dict" ]; then
                options+=(-dict="tests/fuzz/$target.dict")
        fi
        mkdir -p "$folder/corpus/$target" "$folder/findings"
        "$folder/libfuzzer/tests/fuzz/fuzz-$target" "${options[@]}" -print_final_stats=1 \
                -artifact_prefix="$folder/findings/$target-" "$folder/corpus/$target" "tests/fuzz/corpus/$target" \
                >"$log" 2>&1
        local status=$? count edges found='no findings'
        count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        edges=$(grep -aoE ' cov: [0-9]+' "$log" | tail -n 1 | tr -dc 0-9)
        [ $status = 0 ] || found=$(grep -aE 'not so:|^SUMMARY|runtime error' "$log" | head -n 1)
        printf '%-12s %12s executions %6s edges   %s\n' "$target" "${count:-0}" "${edges:-0}" "$found"
        return $status
}

merge() { # TARGET
        local fresh=$folder/merged/$1
        rm -rf "$fresh"
        mkdir -p "$fresh" "tests/fuzz/corpus/$1" "$folder/corpus/$1"
        # One input for each edge is enough there, as make check is to stay short. Those whose name is in words stay.
        "$folder/libfuzzer/tests/fuzz/fuzz-$1" -merge=1 -use_counters=0 -max_len=4096 \
                "$fresh" "tests/fuzz/corpus/$1" "$folder/corpus/$1" >"$folder/$1-merge.log" 2>&1 || return
        find "tests/fuzz/corpus/$1" -regextype posix-extended -regex '.*/[0-9a-f]{40}' -delete
        cp "$fresh"/* "tests/fuzz/corpus/$1/"
        echo "$1: $(find "tests/fuzz/corpus/$1" -type f | wc -l) files"
}

# The tool of that name, which has the number of its version behind it on some systems.
llvm() {
        command -v "$1" || compgen -c "$1-" | sort -V | tail -n 1
}

coverage() {
        local where=$folder/coverage flags='-fprofile-instr-generate -fcoverage-mapping' objects=() profdata cov
        profdata=$(llvm llvm-profdata)
        cov=$(llvm llvm-cov)
        [ -n "$profdata" ] && [ -n "$cov" ] || { echo 'fuzz: llvm-profdata and llvm-cov are missing' >&2; exit 1; }
        mkdir -p $folder
        # Programs that only try the compiler out leave nothing.
        export LLVM_PROFILE_FILE=/dev/null
        build $where -Dbuildtype=debug -Dc_args="$flags" -Dc_link_args="$flags"
        rm -f $where/*.profraw
        for target in $all; do
                LLVM_PROFILE_FILE=$where/$target-%p.profraw "$where/tests/fuzz/fuzz-$target" "fuzz-$target" \
                        "tests/fuzz/corpus/$target" || exit 1
                objects+=(-object "$where/tests/fuzz/fuzz-$target")
        done
        "$profdata" merge -o $where/all.profdata $where/*.profraw || exit 1
        objects=("${objects[@]:1}")
        "$cov" export -summary-only -instr-profile=$where/all.profdata "${objects[@]}" >$where/summary.json || exit 1
        "$cov" show -instr-profile=$where/all.profdata -ignore-filename-regex=tests/ "${objects[@]}" >$where/lines.txt
        python3 - "$where/summary.json" <<'PYTHON'
import json, sys
parsers = ["value/" + name for name in "php php_decode json json_decode json_text msgpack msgpack_decode maker members pack unpack template codec codecs native sink bytes number slots utf8".split()]
parsers += ["wire/" + name for name in "frame dialect ferry stream_ipc".split()] + ["stream/address"]
files = {}
for file in json.load(open(sys.argv[1]))["data"][0]["files"]:
    files[file["filename"].split("/src/")[-1]] = file["summary"]["lines"]
rows = [("src/" + name + ".c", files[name + ".c"]["count"], files[name + ".c"]["covered"]) for name in parsers]
rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
print("| file | lines | covered | |\n| --- | --- | --- | --- |")
for name, count, covered in rows:
    print("| `%s` | %d | %d | %.1f %% |" % (name, count, covered, 100 * covered / count))
PYTHON
        echo "line by line: $where/lines.txt"
}

case ${1:-} in
--coverage)
        coverage
        ;;
--merge)
        shift
        build_fuzzers
        for target in ${*:-$all}; do
                merge "$target" || exit 1
        done
        ;;
*)
        minutes=${1:-10}
        [ $# -gt 0 ] && shift
        targets=${*:-$all}
        build_fuzzers
        status=0
        for target in $targets; do
                run "$target" $((minutes * 60 / $(echo "$targets" | wc -w) + 1)) || status=1
        done
        [ $status = 0 ] || ls $folder/findings
        exit $status
        ;;
esac
