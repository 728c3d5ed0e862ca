#!/bin/bash
# The reference: each public function has a page with all sections that mandoc accepts, and a declaration without a sentence
# for each parameter and result is refused.
#
#   test-docs.sh SOURCE
set -u
[ -f "${1-}/tests/support/silence.sh" ] || { echo 'usage: test-docs.sh SOURCE' >&2; exit 2; }
source=$(realpath "$1")
. "$source/tests/support/silence.sh"

for tool in doxygen python3 mandoc; do
        command -v $tool >/dev/null || {
                echo "SKIPPED docs: the reference is not made: $tool is not installed"
                echo 'docs: 0 passed, 0 failed, 1 skipped'
                exit 0
        }
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

check 'the reference is not made without a warning' "$(sh "$source/docs/man/make.sh" "$source" "$folder/all" 1.2.3 2>&1 || echo failed)"
pages=$folder/all/man/man3

missing_pages() {
        local name section
        grep -oE '\bferry_[a-z_0-9]+;' "$source/src/libferry.sym" | tr -d ';' | while read -r name; do
                [ -f "$pages/$name.3" ] || { echo "$name has no page"; continue; }
                for section in NAME SYNOPSIS DESCRIPTION 'RETURN VALUE' ERRORS 'SEE ALSO'; do
                        grep -qx ".SH $section" "$pages/$name.3" || echo "$name has no section $section"
                done
                grep -q '^\.BI "[a-z].*'"$name"'(' "$pages/$name.3" || echo "$name has no prototype"
                # What a function has of parameters is described.
                grep -qE "^\.BI \".*\b$name\(void\);" "$pages/$name.3" || grep -qx '.SH PARAMETERS' "$pages/$name.3" ||
                        echo "$name has no section PARAMETERS"
        done
}
check 'a public function has no complete page' "$(missing_pages)"

references() {
        grep -ohE '^\.BR [a-z_.]+ \(3\)' "$pages"/*.3 | awk '{ print $2 }' | sort -u | while read -r name; do
                [ "$name" = libferry ] || [ -f "$pages/$name.3" ] || echo "$name"
        done
}
check 'a page refers to a page that does not exist' "$(references)"
check 'there is no HTML' "$([ -s "$folder/all/html/index.html" ] || echo 'no index.html')"

# The same source with a comment that lacks something.
changed() { # FILE SED-COMMAND
        rm -rf "$folder/source" "$folder/changed"
        mkdir -p "$folder/source/docs"
        cp -r "$source/include" "$folder/source"
        cp -r "$source/docs/man" "$source/docs/libferry.3" "$folder/source/docs"
        echo 'GENERATE_HTML = NO' >>"$folder/source/docs/man/Doxyfile"
        sed -i "$2" "$folder/source/include/ferry/$1"
        if cmp -s "$source/include/ferry/$1" "$folder/source/include/ferry/$1"; then
                echo "$2 changes nothing"
        elif sh "$folder/source/docs/man/make.sh" "$folder/source" "$folder/changed" 1.2.3 >/dev/null 2>&1; then
                echo 'it is accepted'
        elif [ -e "$folder/changed/man" ]; then
                echo 'pages are left behind'
        fi
}
# Each makes the reference once more, so only one is among those of every day.
check 'a parameter without a sentence' "$(changed loop.h '/@param delay_ms/d')"
if [ -n "${FERRY_LONG:-}" ]; then
        check 'a result without a sentence' "$(changed ferry.h '/@return/d')"
        check 'a field without a sentence' "$(changed base.h 's|/\*\*< the process; .*||')"
        check 'a parameter that does not exist' "$(changed loop.h 's/@param delay_ms/@param delay/')"
fi

# Stand-ins for a noun.
check 'a header has a sentence whose subject is no noun' \
        "$(grep -nHiwE 'who|whom?ever|(no|some|any)body' "$source"/include/ferry/*.h)"

echo "docs: $passed passed, $failed failed"
[ $failed = 0 ]
