#!/bin/sh
# Install a build, or remove again what was installed from it.
#
#   install.sh BUILD PREFIX DESTDIR
#   install.sh --remove BUILD PREFIX DESTDIR
#
# BUILD/installed records each file, and each directory that was made for it, as lines DESTDIR, PREFIX, PATH. Installing again
# adds to the record, so that removing knows the directories that the first time has made. A directory that another PREFIX
# still uses stays in the record, with an empty PREFIX.
set -eu
is_removing=
if [ "$1" = --remove ]; then
        is_removing=1
        shift
fi
build=$1 prefix=$2 destination=$3
case $destination in
''|/*) ;;
*) destination=$PWD/$destination ;;
esac
record=$build/installed
tab=$(printf '\t')

# Lines of this DESTDIR and PREFIX, and lines of others.
recorded() { # awk's condition
        [ ! -f "$record" ] || destination=$destination prefix=$prefix awk -F '\t' "
                { is_ours = \$1 == ENVIRON[\"destination\"] && \$2 == ENVIRON[\"prefix\"]
                  is_shared = \$1 == ENVIRON[\"destination\"] && \$2 == \"\" }
                $1" "$record"
}

if [ -z "$is_removing" ]; then
        DESTDIR=$destination ${MESON:-meson} install -C "$build" ${FERRY_NO_REBUILD:+--no-rebuild --quiet}
        {
                [ ! -f "$record" ] || cat "$record"
                grep -v '^#' "$build/meson-logs/install-log.txt" | while IFS= read -r path; do
                        printf '%s\n' "$destination$tab$prefix$tab$path"
                done
        } | LC_ALL=C sort -u >"$record.new"
        mv "$record.new" "$record"
        exit 0
fi

if [ -z "$(recorded is_ours)" ]; then
        echo "ferry: nothing to uninstall: $record has no file below '$destination$prefix'" >&2
        exit 1
fi
recorded '!is_ours && !is_shared' >"$record.new"
others=$(cut -f 1 "$record.new" | grep -xF -e "$destination" || :)
# The deepest first. A directory that has files of others stays.
recorded 'is_ours || is_shared' | cut -f 3 | LC_ALL=C sort -ru | while IFS= read -r path; do
        if [ ! -d "$path" ] || [ -L "$path" ]; then
                rm -f "$path"
        elif ! rmdir "$path" 2>/dev/null && [ -n "$others" ]; then
                printf '%s\n' "$destination$tab$tab$path" >>"$record.new"
        fi
done
mv "$record.new" "$record"
[ -s "$record" ] || rm -f "$record"
