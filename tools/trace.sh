#!/bin/bash
# Shows which files and functions of src/ a notification passes on a unix socket in steady state, as callgrind records them;
# CONTRIBUTING.md describes that way.
#
#   trace.sh notify    from the call of ferry_session_notify() to send(2)
#   trace.sh receive   from the return of recv(2) to the handler
#
# With a number behind that it fails if more files outside util/ and value/ are passed.
#
# The library is built without optimisation in build-trace, so that no function is inlined; the program is tests/costs/trace.c.
# A header counts as one file with the source of the same name; one without such a source, if a function in it is called.
set -eu

if [[ ! "$*" =~ ^(notify|receive)(\ [0-9]+)?$ ]]; then
        echo 'usage: trace.sh notify|receive [AT-MOST]' >&2
        exit 2
fi
most=${2:-}
cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
        echo 'trace.sh: cannot record the path: valgrind is not installed (Debian: apt-get install valgrind)' >&2
        exit 1
fi

build='build-trace'
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
quietly() { # COMMAND…: what it prints is shown where it fails
        "$@" >"$log/output" 2>&1 || {
                cat "$log/output" >&2
                exit 1
        }
}
[ -e $build/build.ninja ] || quietly meson setup $build --buildtype=debug -Dtests=false -Dc_args=-gdwarf-4
quietly ninja -C $build src/libferry.a
# shellcheck disable=SC2086 # ${CC} may have several words
quietly ${CC:-cc} -gdwarf-4 -O0 -Iinclude -I$build/include tests/costs/trace.c $build/src/libferry.a -o $build/trace
quietly valgrind -q --tool=callgrind --instr-atstart=no --compress-strings=no --compress-pos=no \
        --callgrind-out-file="$log/callgrind.out" $build/trace "$1"

# Lines of functions that were entered, "FOLDER/FILE FUNCTION", and of calls between functions of src, "calls COUNT".
# Where a function begins at the line number at which the one before it ends, valgrind takes its file for that of the other. So
# a file in which no function of that name stands is replaced by one in which it does, as nm -l says.
passed() {
        nm -l $build/trace | awk '
        # A path in src, spelled from there; empty for what is not of the library.
        function own(path) {
                return sub(/^.*\/\.\.\/src\//, "", path) ? path : ""
        }
        FNR == NR {
                if ($2 ~ /^[tT]$/ && (path = own($4)) != "") {
                        sub(/:[0-9]+$/, "", path)
                        stands[$3, path]
                        home[$3] = path
                }
                next
        }
        sub(/^fl=/, "") { file = own($0); next }
        sub(/^fn=/, "") {
                caller = file != "" && !(($0, file) in stands) && $0 in home ? home[$0] : file
                if (caller != "") print caller, $0
                next
        }
        sub(/^cfi=/, "") { called = own($0); has_file = 1; next }
        sub(/^cfn=/, "") { if (!has_file) called = file; has_file = 0; next }
        /^calls=/ && caller != "" && called != "" { sub(/^calls=/, ""); print "calls", $1 }
        ' - "$1"
}

passed "$log/callgrind.out" | sort -u >"$log/functions"
calls=$(passed "$log/callgrind.out" | awk '$1 == "calls" { n += $2 } END { print n + 0 }')
for layer in service process session channel stream loop wire value util; do
        awk -v layer=$layer '
        index($1, layer "/") == 1 {
                if ($1 != file) printf "%s%s:", file == "" ? "" : "\n", $1
                file = $1
                printf " %s", $2
        }
        END { if (file != "") print "" }' "$log/functions"
done
files() { # GREP-OPTIONS…
        grep -v '^calls ' "$log/functions" | cut -d ' ' -f 1 | sed 's/\.[ch]$//' | sort -u | grep -c "$@" || true
}
echo "$(files .) files, $(grep -vc '^calls ' "$log/functions") functions, $calls calls"
outside=$(files -vE '^(util|value)/')
echo "$outside files outside util/ and value/"
if [ "$outside" -gt "${most:-$outside}" ]; then
        echo "trace.sh: '$1' passes $outside files outside util/ and value/, and may pass $most" >&2
        exit 1
fi
