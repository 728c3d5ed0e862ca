#!/bin/bash
# Prints the sentences in C sources: string literals with at least two words, one a line, sorted. Literals that stand side by
# side are one sentence, unless the first one ends a line of output.
#
#   extract.sh FILE…
set -u
export LC_ALL=C
awk '
function finish() {
        # Two words with a space between; no assembler.
        if (text ~ /[A-Za-z][A-Za-z][^A-Za-z]* ([^A-Za-z]*|.* )[A-Za-z][A-Za-z]/ && text !~ /%%rax/) print text
        text = ""
}
FNR == 1 { finish(); in_comment = 0 }
/^#/ && !in_comment { finish(); if ($0 !~ /^#define/) next }
{
        rest = $0
        while (rest != "") {
                if (in_comment) {
                        if (!(at = index(rest, "*/"))) break
                        rest = substr(rest, at + 2)
                        in_comment = 0
                } else if (match(rest, /^[ \t\\]+/)) {
                        rest = substr(rest, RLENGTH + 1)
                } else if (match(rest, /^\/\*/)) {
                        in_comment = 1
                        rest = substr(rest, 3)
                } else if (match(rest, /^\/\//)) {
                        break
                } else if (match(rest, /^"([^"\\]|\\.)*"/)) {
                        if (text ~ /\\n$/) finish()
                        text = text substr(rest, 2, RLENGTH - 2)
                        rest = substr(rest, RLENGTH + 1)
                } else if (match(rest, /^PRI[a-zA-Z0-9]+/)) {
                        text = text "<" substr(rest, 1, RLENGTH) ">"
                        rest = substr(rest, RLENGTH + 1)
                } else if (match(rest, /^(\047([^\047\\]|\\.[^\047]*)\047|[A-Za-z0-9_]+|.)/)) {
                        finish()
                        rest = substr(rest, RLENGTH + 1)
                }
        }
}
END { finish() }' "$@" | sort -u
