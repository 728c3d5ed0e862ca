#!/bin/sh
# Install a build, or remove again what was installed from it.
#
#   install.sh BUILD PREFIX DESTDIR
#   install.sh --remove BUILD PREFIX DESTDIR
#
# BUILD/installed records each file, and each directory that was made for it, with its PREFIX and DESTDIR. Installing
# again adds to the record, so that removing knows the directories that the first time has made.
set -eu
is_removing=
if [ "$1" = --remove ]; then
        is_removing=1
        shift
fi
build=$1 prefix=$2 destination=$3
record=$build/installed
tab=$(printf '\t')
place=$destination$tab$prefix

# Paths of this place, the deepest first.
recorded() {
        [ ! -f "$record" ] || awk -F '\t' -v place="$place" '$1 FS $2 == place { print $3 }' "$record" | LC_ALL=C sort -ru
}

if [ -z "$is_removing" ]; then
        DESTDIR=$destination ${MESON:-meson} install -C "$build" ${FERRY_NO_REBUILD:+--no-rebuild --quiet}
        {
                [ ! -f "$record" ] || cat "$record"
                grep -v '^#' "$build/meson-logs/install-log.txt" | awk -v place="$place" '{ print place "\t" $0 }'
        } | LC_ALL=C sort -u >"$record.new"
        mv "$record.new" "$record"
        exit 0
fi

if [ -z "$(recorded)" ]; then
        echo "ferry: nothing to uninstall: $record has no file below '$destination$prefix'" >&2
        exit 1
fi
recorded | while IFS= read -r path; do
        if [ -d "$path" ] && [ ! -L "$path" ]; then
                # A directory that has files of others stays.
                rmdir "$path" 2>/dev/null || [ -d "$path" ]
        else
                rm -f "$path"
        fi
done
# Directories that another prefix still uses stay in the record.
awk -F '\t' -v place="$place" '$1 FS $2 != place' "$record" >"$record.new"
mv "$record.new" "$record"
[ -s "$record" ] || rm -f "$record"
