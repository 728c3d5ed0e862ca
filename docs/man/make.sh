#!/bin/sh
# Make the reference: OUTPUT/html, and a page of section 3 for each public function in OUTPUT/man/man3. Fails where a comment
# in the headers is incomplete, and where mandoc (if it is installed) finds fault with a page.
#
#   make.sh SOURCE OUTPUT VERSION
set -eu
source=$(cd "$1" && pwd)
mkdir -p "$2"
output=$(cd "$2" && pwd)
version=$3

for tool in doxygen python3; do
        command -v $tool >/dev/null || {
                echo "ferry: the reference cannot be made: $tool is not installed (make docs installs it on Debian)" >&2
                exit 1
        }
done

rm -rf "$output/html" "$output/xml" "$output/man"
# Pages that are wrong are not left to be installed.
trap 'rm -rf "$output/xml"; [ -n "${is_done:-}" ] || rm -rf "$output/man"' EXIT
FERRY_SOURCE=$source FERRY_OUTPUT=$output FERRY_VERSION=$version doxygen "$source/docs/man/Doxyfile"

# The date of all pages is that of the overview, so that the same source always gives the same pages.
date=$(sed -n 's/^\.TH LIBFERRY 3 \([0-9-]*\).*/\1/p' "$source/docs/libferry.3")
mkdir -p "$output/man/man3"
python3 "$source/docs/man/pages.py" "$output/xml" "$output/man/man3" "$version" "$date"

if command -v mandoc >/dev/null; then
        mandoc -T lint "$output"/man/man3/*.3
fi
is_done=1
