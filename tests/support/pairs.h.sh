#!/bin/sh
# A header that makes tests note what public functions return: for each that returns an int or ssize_t a macro of its name.
#
#   pairs.h.sh HEADER…
set -eu
echo '/* Made by tests/support/pairs.h.sh: each public function that returns a number, with a note of what it returns. */'
echo '#include <ferry/ferry.h>'
echo 'int pairs_note_int(const char *function, int result);'
echo 'ssize_t pairs_note_ssize_t(const char *function, ssize_t result);'
sed -nE 's/^(int|ssize_t) (ferry_[a-z_]+)\(.*/#define \2(...) pairs_note_\1("\2", (\2)(__VA_ARGS__))/p' "$@"
