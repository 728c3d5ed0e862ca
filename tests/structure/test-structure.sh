#!/bin/bash
# The rules that no compiler checks: includes and calls run downward, the files of a large object form no cycles, a struct
# has few bools, only the dialects' own folder names them, the tool and the examples see public headers only, the symbol
# map is what the headers declare and the library exports, the man page describes the options of the tool, and the headers
# stand alone, in C11 and C++17.
#
#   test-structure.sh SOURCE BUILD
set -u
[ -f "${1-}/tests/support/silence.sh" ] && [ -d "${2-}" ] || { echo 'usage: test-structure.sh SOURCE BUILD' >&2; exit 2; }
source=$1
build=$2
. "$source/tests/support/silence.sh"

layers='util value wire loop ring tls stream channel bridge session service process'

upward() {
        local allowed=
        for layer in $layers; do
                allowed="$allowed|$layer"
                # "layer/file.h", spelled from the root of src
                grep -nHE '^#include "' "$source"/src/"$layer"/*.[ch] |
                        grep -vE "#include \"(${allowed#|})/" | grep -v '/test-[a-z-]*\.c:'
        done
}
check 'an include runs upward, or is not spelled from the root of src' "$(upward)"

unknown_layers() {
        for folder in "$source"/src/*/; do
                [[ " $layers " == *" $(basename "$folder") "* ]] || echo "$folder"
        done
}
check 'a folder of src has no place in the order' "$(unknown_layers)"

# Cycles and layers, measured from the symbols that the objects define and use ------------------------------------------

# Lines "USER OWNER SYMBOL", each file spelled FOLDER/FILE.c.
uses() {
        nm -A "$build"/src/libferry.a.p/*.o | awk '
        { sub(/^.*\//, ""); file = $1; sub(/\.o:.*$/, "", file); sub(/_/, "/", file); sub(/^[^:]*:/, "") }
        NF == 2 && $1 == "U" { print file, "uses", $2 }
        NF == 3 && $2 ~ /[A-TV-Z]/ { print file, "has", $3 }' | awk '
        $2 == "has" { owner[$3] = $1; next }
        { users[++n] = $1; symbols[n] = $3 }
        END { for (i = 1; i <= n; i++) if (symbols[i] in owner) print users[i], owner[symbols[i]], symbols[i] }'
}
all_uses=$(uses)
check 'nm finds no symbols in the library' "$([ -n "$all_uses" ] || echo "$build/src/libferry.a.p")"

upward_uses() {
        awk -v layers="$layers" '
        BEGIN { n = split(layers, names); for (i = 1; i <= n; i++) place[names[i]] = i }
        { user = $1; owner = $2; sub("/.*", "", user); sub("/.*", "", owner) }
        place[owner] > place[user] { print $1 " uses " $3 " of " $2 }' <<<"$all_uses"
}
check 'a file uses a function of an upper folder' "$(upward_uses)"

# Files of these folders that reach themselves.
cycles() {
        awk '
        $1 ~ /^(session|process)\// && $2 ~ /^(session|process)\// && $1 != $2 { reaches[$1, $2] = 1; files[$1]; files[$2] }
        END {
                for (via in files) for (a in files) for (b in files)
                        if ((a, via) in reaches && (via, b) in reaches) reaches[a, b] = 1
                for (a in files) if ((a, a) in reaches) print a
        }' <<<"$all_uses" | sort
}
check 'files form a cycle' "$(cycles)"

# Structs with more bools than eight; those of a struct inside count to it. A table of capabilities, which is constant wherever
# it is used, may have more.
constant_tables='dialect'
many_bools() {
        awk -v tables=" $constant_tables " '
        function finish() {
                if (name != "" && n > 8 && !index(tables, " " name " ")) print name, n
                name = ""
        }
        FNR == 1 { finish() }
        /^(typedef |static |const )*struct [a-z_0-9]* *\{/ {
                finish()
                match($0, /struct [a-z_0-9]*/)
                name = substr($0, RSTART + 7, RLENGTH - 7)
                n = 0
                next
        }
        /^}/ { finish() }
        name != "" && /^ +(const |volatile )?bool [a-z_]/ { sub(/;.*/, ""); n += 1 + gsub(/,/, "") }
        END { finish() }' "$source"/src/*/*.[ch] | sort
}
check 'a struct has more than eight bools' "$(many_bools)"
changed_tables() {
        local table
        for table in $constant_tables; do
                grep -nE "\bstruct $table\b" "$source"/src/*/*.[ch] | grep -vE "const struct $table\b|:struct $table( \{|;)"
        done
}
check 'a table of capabilities is not constant' "$(changed_tables)"

# Owners ----------------------------------------------------------------------------------------------------------------

private_sessions() { grep -nHE '#include "session/private\.h"' "$source"/{src,cli,examples,bench}/*/*.[ch] "$source"/{cli,examples,bench}/*.[ch] 2>/dev/null | grep -vE '^[^:]*/src/session/'; }
check 'session/private.h is included outside of src/session' "$(private_sessions)"

# Owners see a session through the functions of session/session.h, and it sees them through its table of functions.
members_of_sessions() {
        grep -lE '\b(session|probe)->' "$source"/src/{service,process}/*.[ch] | sed 's|.*/src/||'
}
check 'an owner uses a member of a session' "$(members_of_sessions)"

# Only session_advance() changes the phase of a session and its holder.
changed_lives() {
        grep -nE '\b(session|probe)->(phase|cause|holder) = ' "$source"/src/session/*.[ch] | grep -v '/src/session/phase\.c:'
}
check 'the life of a session is changed outside of src/session/phase.c' "$(changed_lives)"

named_owners() {
        grep -nE '\bferry_(service|process|manager)\b|\bstruct (client|crowd|crowds|refusal|service|process|manager|pool)\b' \
                "$source"/src/{util,value,wire,loop,stream,channel,session}/*.[ch]
        grep -nE '\bferry_session\b' "$source"/src/{util,value,wire,loop,stream,channel}/*.[ch]
}
check 'a lower object names its owner' "$(named_owners | grep -vE '/test-[a-z-]*\.c:')"

# What a session may inherit from its loop, and does not.
not_inherited() {
        sed -n '/^struct ferry_session_options {/,/^};/p' "$source/include/ferry/session.h" |
                sed -nE 's/^ {8}[a-z][^;]*[ *]([a-z_]+);.*/\1/p' | while read -r field; do
                [ "$field" = size ] || grep -qE "INHERIT\($field\)|options->$field = " "$source/src/session/defaults.c" || echo "$field"
        done
}
check 'an option of sessions is not inherited from the loop (src/session/defaults.c)' "$(not_inherited)"

dialects() {
        grep -nHE 'dialect_(ferry|stream_ipc)|FERRY_DIALECT_(FERRY|STREAM_IPC)|"stream-ipc"' "$source"/src/*/*.[ch] |
                grep -vE '^[^:]*/src/wire/' | grep -v '/test-[a-z-]*\.c:'
}
check 'a dialect is named outside of src/wire' "$(dialects)"

private() {
        grep -nHE '#include "(util|value|wire|loop|stream|channel|session|service|process)/' "$source"/{cli,examples,bench,bench/peers}/*.[ch]
}
check 'a private header is seen from outside' "$(private)"

# What is written to stdout and stderr goes through one file, which checks it: no other one names the streams, writes to the
# descriptors, or calls what writes to a stream of its own choice.
printed_elsewhere() {
        grep -nHE '\b(std(out|err))\b[,;)]|\b(printf|puts|putchar|perror|vprintf|psignal|err|errx|warn|warnx|error) *\(|(write|writev|send|dprintf|fdopen)\((STD(OUT|ERR)_FILENO|1|2)\b' \
                "$source"/cli/*.[ch] | grep -vE '^[^:]*/cli/output\.c:|: */?\*|/\* [^"]*$|__printf__'
}
check 'the tool writes to stdout or stderr outside of cli/output.c' "$(printed_elsewhere)"

# A message is const to the program, which may answer it, keep it, and look into it; all else that is const stays as it is.
casts_of_const() { grep -nHE '\((struct [a-z_]+|ferry_[a-z]+) \*\)\(uintptr_t\)' "$source"/src/*/*.[ch] | grep -vE '/src/(service/refusal|session/message|session/progress|session/reply)\.c:[0-9]+:.*\(ferry_message \*\)'; }
check 'an object that is const is changed' "$(casts_of_const)"

# With FERRY_DEBUG=1 only.
printed_by_library() {
        grep -nHE '\b(f(printf|puts|write)|v?f?printf|putc|fputc)(_unlocked)? *\([^;]*\bstd(out|err)\b|\b(printf|vprintf|puts|putchar|perror|psignal|err|errx|warn|warnx|error|psiginfo) *\(|\bstd(out|err)\b *[=;]|[( ](STD(OUT|ERR)_FILENO), *[a-z"]+, *(size|sizeof|strlen)' \
                "$source"/src/*/*.[ch] | grep -vE '/src/session/debug\.c:|/test-[a-z-]*\.c:|: */?\*|/\* [^"]*$|__printf__'
}
check 'the library prints outside of session/debug.c' "$(printed_by_library)"

# What the library needs of others, but for src/util/sys*.c. These work on memory that they are given, on numbers and on the
# streams of the program; the last line is FERRY_DEBUG's.
others='bcmp|explicit_bzero|mem(chr|cmp|cpy|mem|move|rchr|set)|str(chr|cmp|cspn|len|ncmp|nlen|rchr|spn|tod|tol|toll)|v?s?n?printf|frexp|ferror|fflush
        |clearerr|fpurge|fputs|fwrite|putc|stdin|stdout|stderr|clearerr|fpurge|environ|strerrordesc_np|sigabbrev_np|sigismember|errno_location
        |inet_(ntop|pton)|secure_getenv|open_memstream|fclose|free|ctype_b_loc'
compilers='_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__tls_get_addr|__(asan|ubsan|tsan|msan|sanitizer|sancov)_.*'
doors() {
        local object allowed
        export LC_ALL=C
        allowed="(__)?f?($(tr -d ' \n' <<<"$others"))(_chk)?|$compilers"
        nm -Au "$build"/src/libferry.a.p/*.o | grep -vE 'util_sys(_[a-z]+)?\.c\.o:' |
                awk '{ sub(/^.*\//, ""); name = $1; sub(/\.c\.o:.*$/, "", name); print $NF, name }' | grep -vE "^($allowed) " | sort |
                join -v 1 - <(nm --defined-only "$build"/src/libferry.a.p/*.o | awk 'NF == 3 { print $3 }' | sort -u)
}
check 'something goes round the door to the system' "$(doors)"

# What tests replace is what the library calls.
door_calls() { grep -ohE '\bsys_[a-z_]+\(' "$source/src/util/sys.h" | tr -d '(' | sed 's/^sys_//' | sort -u; }
door_list() { sed -n '/define DOOR_LIST/,/secret/p' "$source/tests/support/door.h" | grep -oE 'X\([a-z_]+\)' | sed 's/X(\(.*\))/\1/' | sort; }
check 'tests/support/door.h and src/util/sys.h differ' "$(diff <(door_calls) <(door_list))"

# What the tool needs of others is made to fail by tests/fault/tool.c, or has its reason here. These work on memory that they
# are given, on numbers and on settings of this process:
plain='bcmp|getenv|unsetenv|mem(chr|cmp|cpy|move|rchr|set)|str(chr|rchr|cmp|cpy|cspn|error|len|n?casecmp|ncmp|spn|str|tod|toimax|tok_r|tol|toll|toul|toull)
        |v?s?n?printf|toupper|ceil|qsort|getopt_long|opt(arg|err|ind|opt)|environ|sig(addset|emptyset|fillset)|sigabbrev_np|errno_location
        |sched_cpu(count|free)|free|dirfd|ctype_(toupper|b)_loc'
# Streams: what goes wrong in writing to memory shows at fclose(3), what goes wrong in reading is kept for ferror(3).
plain+='|fprintf|fputs|fputc|fwrite|putc|feof|ferror'
# The kernel has no reason to refuse them: they change or read what this process has always.
plain+='|_exit|getpid|getpgrp|sysconf|raise|signal|clock_gettime|prctl|setsid'
# The answer no is one that tests have otherwise; without a time zone it is UTC.
plain+='|isatty|localtime_r|strftime'
tool_wraps() { sed -n '/^tool_wraps = /,/^endforeach/p' "$source/tests/meson.build" | grep -oE "'[a-z0-9_]+'" | tr -d "'"; }
tool_calls() {
        export LC_ALL=C
        nm -u "$build"/tests/test-tool.p/.*.o | awk 'NF == 2 { print $2 }' | grep -vE "^ferry_|^(__)?f?($(tr -d ' \n' <<<"$plain"))(_chk)?$|^($compilers)$" | sort -u |
                join -v 1 - <(nm --defined-only "$build"/tests/test-tool.p/.*.o | awk 'NF == 3 { print $3 }' | sort -u)
}
check 'a call of the tool is not made to fail: add it to tests/fault/tool.c and tests/meson.build, or say why it cannot' \
        "$(comm -23 <(tool_calls) <(tool_wraps | LC_ALL=C sort))"
check 'tests/meson.build wraps what the tool does not call' "$(comm -13 <(tool_calls) <(tool_wraps | LC_ALL=C sort))"

check 'a sentence is not in its list: read it, then run tests/sentences/compare.sh --write .' "$(bash "$source/tests/sentences/compare.sh" "$source")"

# Tests that a page names can be run by that name.
all_tests() {
        grep -ohE '(SUITE_[A-Z_]+\(|\.name = ")[a-z0-9_]+' "$source"/{tests,src}/*/test-*.c | sed 's/.*[("]//'
        grep -ohE '^[a-z0-9_]+\(\) \{' "$source"/tests/*/test-*.sh | sed 's/(.*//'
}
named_tests() {
        grep -oE '`[a-z0-9]+(_[a-z0-9]+){2,}`' "$source/docs/testing.md" | tr -d '\`' | sort -u | comm -23 - <(all_tests | sort -u)
        grep -oE '`(tests|tools|src)/[a-z./*-]+`' "$source/docs/testing.md" | tr -d '\`' | sort -u | while read -r path; do
                compgen -G "$source/$path" >/dev/null || echo "$path"
        done
}
check 'docs/testing.md names what does not exist' "$(named_tests)"

# The tour names files as they are.
toured_files() {
        grep -oE '`(include|src|cli|tests|tools|docs)/[a-zA-Z0-9._/-]+' "$source/CONTRIBUTING.md" | tr -d '`' | sort -u | while read -r path; do
                [[ -e $source/$path ]] || echo "$path"
        done
}
check 'CONTRIBUTING.md names what does not exist' "$(toured_files)"

# The options of each command are described in the man page: in a paragraph of the command, or in one of its own under
# OPTIONS; and each paragraph under OPTIONS is of an option that a command has. Lines "COMMAND --OPTION" of the help:
options_of_tool() {
        local command
        for command in $("$build/ferry" --help | sed -nE 's/^  ferry ([a-z]+) .*/\1/p'); do
                "$build/ferry" "$command" --help | sed -nE "s/^ {4}(--[a-z-]+) .*/$command \1/p"
        done
}
all_options=$(options_of_tool)
undescribed_options() {
        awk '
        function note(line) {
                while (match(line, /--[a-z]+(-[a-z]+)*/)) {
                        page[section == "OPTIONS" ? "any" : command, substr(line, RSTART, RLENGTH)]
                        line = substr(line, RSTART + RLENGTH)
                }
        }
        FNR != NR {
                known["any", $2]
                if (!(("any", $2) in page) && !(($1, $2) in page)) print "docs/ferry.1 does not describe " $2 " of ferry " $1
                next
        }
        { gsub(/\\-/, "-") }
        $1 == ".SH" { section = $2; command = "" }
        section == "COMMANDS" && is_tag { command = $2 }
        section == "COMMANDS" || (section == "OPTIONS" && is_tag) { note($0) }
        { is_tag = $1 == ".TP" || $1 == ".TQ" }
        END {
                for (option in page) if (option ~ /^any/ && !(option in known)) print "no command has " substr(option, 5)
        }' "$source/docs/ferry.1" - <<<"$all_options"
}
check 'ferry --help names no command with options' "$([ -n "$all_options" ] || echo "$build/ferry")"
check 'the options of the tool and those of docs/ferry.1 differ' "$(undescribed_options)"

# Subjects are nouns: the client, the worker, the program.
stand_ins() { (cd "$source" && grep -rnIiwE --exclude-dir=corpus 'whom?ever|(no|some|any)body' "$@"); }
check 'a page has a stand-in for a noun' "$(stand_ins docs README.md CONTRIBUTING.md)"
check 'a test, tool or example has a stand-in for a noun' "$(stand_ins tests tools bench examples)"

# A script that is given a build directory for the source, or nothing, ends with its usage.
without_usage() {
        local script arguments
        (cd "$source" && grep -lE '^#   [a-z-]+\.sh .*\b(SOURCE|CORPUS)\b' tests/*/*.sh tools/*.sh) | while read -r script; do
                for arguments in '' "$build" "$build $build"; do
                        # shellcheck disable=SC2086
                        [[ $(bash "$source/$script" $arguments 2>&1 >/dev/null </dev/null) == "usage: ${script##*/} "* ]] ||
                                echo "$script $arguments"
                done
        done
}
check 'a script with wrong arguments does not print its usage' "$(without_usage)"

long_files() {
        wc -l "$source"/src/*/*.[ch] "$source"/cli/*.[ch] "$source"/include/ferry/*.h | awk '$2 != "total" && $1 > 900'
}
check 'a file is longer than 900 lines' "$(long_files)"

declared() {
        # Functions are declared at the beginning of a line; their names end at the parenthesis.
        cat "$source"/include/ferry/*.h | grep -vE '^typedef|^ |^#|^/' | grep -oE '\bferry_[a-z_0-9]+\(' | tr -d '(' | sort -u
}
mapped() { grep -oE '\bferry_[a-z_0-9]+;' "$source/src/libferry.sym" | tr -d ';' | sort; }
exported() { nm -D --defined-only "$build/src/libferry.so" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | sort; }
check 'the symbol map and the headers differ' "$(diff <(declared) <(mapped))"
check 'the library and its symbol map differ' "$(diff <(mapped) <(exported))"

for header in "$source"/include/ferry/*.h; do
        name=ferry/$(basename "$header")
        check "$name is no C11" "$(echo "#include <$name>" |
                gcc -std=c11 -Wall -Wextra -Wpedantic -Werror -D_POSIX_C_SOURCE=200809L -I"$source/include" -x c -fsyntax-only - 2>&1)"
        check "$name is no C++17" "$(echo "#include <$name>" |
                g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$source/include" -x c++ -fsyntax-only - 2>&1)"
done

echo "structure: $passed passed, $failed failed"
[ $failed = 0 ]
