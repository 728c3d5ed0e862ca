#!/bin/bash
# Every sentence of the library and of the tool stands in a list beside this script, so that a new or changed one is read once
# more before it is added: it says what was tried, on what, why, and what to do; input stands in quotes; the subject is a noun.
# Prints how the sources and the lists differ, and which sentences have weak words.
#
#   compare.sh SOURCE            tests/structure asks this
#   compare.sh --write SOURCE    writes the lists anew, to be read in git diff
set -u
is_writing=
if [ "${1:-}" = --write ]; then
        is_writing=1
        shift
fi
[ -d "${1-}/tests/sentences" ] || { echo 'usage: compare.sh [--write] SOURCE' >&2; exit 2; }
source=$1
lists=$source/tests/sentences

sentences() { # library|tool
        case $1 in
        library) printf '%s\n' "$source"/src/*/*.[ch] | grep -v '/test-' ;;
        tool) printf '%s\n' "$source"/cli/*.[ch] ;;
        esac | xargs -d '\n' bash "$lists/extract.sh"
}

for name in library tool; do
        if [ -n "$is_writing" ]; then
                sentences $name >"$lists/$name.txt"
                continue
        fi
        diff "$lists/$name.txt" <(sentences $name) |
                sed -n "s/^> /not in tests\/sentences\/$name.txt: /p; s/^< /only in tests\/sentences\/$name.txt: /p"
        # Words that stand for a subject, and a negation that misleads: something may be an address, but not be valid.
        grep -niHE '\b(whom?ever|(no|some|any)body|is no (address|number|value|socket|lock|file|JSON))\b' "$lists/$name.txt"
done
exit 0
