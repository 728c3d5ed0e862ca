#!/bin/bash
# What `make install` and `make uninstall` do to a tree, and that a program is built from an installed tree by pkg-config and
# by CMake.
#
#   test-install.sh SOURCE BUILD
set -u
[ -f "${1-}/tests/support/silence.sh" ] && [ -d "${2-}" ] || { echo 'usage: test-install.sh SOURCE BUILD' >&2; exit 2; }
source=$(realpath "$1")
build=$(realpath "$2")
. "$source/tests/support/silence.sh"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tree="$folder/a tree"
prefix=/usr/local
record=$build/installed

install_ferry() { FERRY_NO_REBUILD=1 "$source/tools/install.sh" "$build" $prefix "$tree" 2>&1 >"$folder/log" || cat "$folder/log"; }
remove_ferry() { "$source/tools/install.sh" --remove "$build" $prefix "$tree" 2>&1; }

check 'a build is not installed' "$(install_ferry)"

missing_files() {
        local path
        for path in bin/ferry include/ferry/ferry.h share/man/man1/ferry.1 share/man/man3/libferry.3 share/doc/ferry/protocol.md \
                share/bash-completion/completions/ferry share/zsh/site-functions/_ferry share/fish/vendor_completions.d/ferry.fish; do
                [ -f "$tree$prefix/$path" ] || echo "$path"
        done
        for path in libferry.so.6 libferry.a pkgconfig/ferry.pc cmake/ferry/ferry-config.cmake; do
                [ -n "$(find "$tree$prefix" -path "*/lib*/$path")" ] || echo "$path"
        done
}
check 'the installed tree lacks a file' "$(missing_files)"

# The library looks for it in the place where it is installed, and needs it only then.
misplaced_module() {
        [ -e "$build/modules/libferry-tls.so.6" ] || return 0
        [ -f "$tree$prefix/lib/ferry/libferry-tls.so.6" ] || echo 'it is not installed'
        grep -q "$prefix/lib/ferry/libferry-tls.so.6" "$build/src/libferry.so.6" || echo 'the library looks elsewhere'
        readelf -d "$build/src/libferry.so.6" | grep NEEDED | grep -vE 'libc\.|ld-' || :
}
check 'the module for TLS is misplaced' "$(misplaced_module)"

cat >"$folder/program.c" <<'END'
#include <ferry/ferry.h>
#include <string.h>

int main(void)
{
        return strcmp(ferry_version(), FERRY_VERSION) != 0;
}
END
libraries=$(dirname "$(find "$tree" -name libferry.so.6)")
# Where the linker, pkg-config and CMake look on every system, whatever the build has found there.
check 'the libraries are not in lib' "$([ "$libraries" = "$tree$prefix/lib" ] || echo "$libraries")"

# The tree stands in DESTDIR, which pkg-config knows as the root of another system; a space in its path is not quoted.
ln -s "$tree" "$folder/root"
by_pkg_config() {
        local flags
        flags=$(PKG_CONFIG_SYSROOT_DIR=$folder/root PKG_CONFIG_PATH=$libraries/pkgconfig pkg-config --cflags --libs ferry) || return 0
        # shellcheck disable=SC2086 # one word for each flag
        ${CC:-gcc} -o "$folder/program" "$folder/program.c" $flags && LD_LIBRARY_PATH=$libraries "$folder/program" || echo 'it does not run'
}
check 'a program is not built by pkg-config' "$(by_pkg_config 2>&1)"

by_cmake() { # VERSION
        rm -rf "$folder/project"
        mkdir "$folder/project"
        cp "$folder/program.c" "$folder/project"
        cat >"$folder/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.16)
project(program C)
find_package(ferry $1 REQUIRED)
add_executable(program program.c)
target_link_libraries(program PRIVATE ferry::ferry)
add_executable(program-static program.c)
target_link_libraries(program-static PRIVATE ferry::static)
END
        if cmake -S "$folder/project" -B "$folder/project/build" -DCMAKE_PREFIX_PATH="$tree$prefix" >"$folder/cmake.log" 2>&1 &&
           cmake --build "$folder/project/build" >>"$folder/cmake.log" 2>&1 &&
           "$folder/project/build/program" && "$folder/project/build/program-static"; then
                return 0
        fi
        cat "$folder/cmake.log"
}
if command -v cmake >/dev/null; then
        version=$(sed -n 's/^#define FERRY_VERSION "\(.*\)"/\1/p' "$source/include/ferry/ferry.h")
        check 'a program is not built by CMake' "$(by_cmake "$version")"
        check 'CMake accepts an older version than the program requires' "$(by_cmake 99.0 | grep -q 'ferry-config.cmake' || echo 'it does')"
else
        echo 'skipped: a program built by CMake: cmake is not installed'
fi

# The directories that the first time has made are not made again by the second time.
check 'a build is not installed again' "$(install_ferry)"
touch "$tree$prefix/bin/other"
check 'an installed build is not removed' "$(remove_ferry)"
left() { (cd "$tree" && find . -mindepth 1 ! -type d) }
check 'uninstalling removes a file of another program, or leaves a file of ferry' "$(diff <(echo ".$prefix/bin/other") <(left))"
rm -rf "$tree"
check 'a build is not installed to an empty tree' "$(install_ferry)"
remove_ferry >/dev/null
check 'uninstalling leaves something' "$(find "$tree" -mindepth 1 2>/dev/null)"
nothing_to_remove() { remove_ferry | grep -q 'nothing to uninstall' || echo 'it says something else'; }
check 'uninstalling what is not installed says nothing' "$(nothing_to_remove)"
check 'the record of what is installed has what was removed' "$(grep -F "$folder" "$record" 2>/dev/null)"

relative_tree() {
        local script
        script=$(realpath "$source")/tools/install.sh
        cd "$folder" || return
        FERRY_NO_REBUILD=1 "$script" "$build" $prefix relative >/dev/null 2>&1
        [ -x "relative$prefix/bin/ferry" ] || echo 'it is not below the working directory'
        "$script" --remove "$build" $prefix relative
        [ ! -e relative ] || echo 'it stays'
}
check 'a relative DESTDIR is not that of the working directory' "$(relative_tree 2>&1)"

echo "install: $passed passed, $failed failed"
[ $failed = 0 ]
