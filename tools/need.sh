#!/bin/sh
# See that the tools for building (and checking) are there; install what is missing by apt, saying what.
# Nothing is asked of the network when nothing is missing.
#
#   need.sh [--only-tell] build|docs|check|check-long|bench|fuzz …
set -eu

only_tell=
missing=

need() { # PACKAGE COMMAND…: the package is missing if the command fails
        package=$1
        shift
        "$@" >/dev/null 2>&1 || missing="$missing $package"
}

# Whether clang can link its sanitizers.
clang_sanitizes() {
        folder=$(mktemp -d)
        echo 'int main(void) { return 0; }' >"$folder/t.c"
        status=0
        clang -fsanitize=address,undefined "$folder/t.c" -o "$folder/t" || status=1
        rm -rf "$folder"
        return $status
}

# Whether clang has libFuzzer.
clang_fuzzes() {
        folder=$(mktemp -d)
        echo '#include <stddef.h>' >"$folder/t.c"
        echo 'int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) { return !data && size; }' >>"$folder/t.c"
        status=0
        clang -fsanitize=fuzzer "$folder/t.c" -o "$folder/t" || status=1
        rm -rf "$folder"
        return $status
}

# Its tools may have the number of their version behind their names.
llvm_covers() {
        command -v llvm-cov || ls /usr/bin/llvm-cov-*
}

for what in "$@"; do
        case $what in
        --only-tell)
                only_tell=yes
                ;;
        build)
                need gcc gcc --version
                need libc6-dev test -e /usr/include/stdio.h
                need meson meson --version
                need ninja-build ninja --version
                need pkg-config pkg-config --version
                ;;
        docs)
                need doxygen doxygen --version
                need python3 python3 --version
                need mandoc sh -c 'command -v mandoc'
                ;;
        check)
                need g++ g++ --version
                need clang clang --version
                need lld ld.lld --version
                need libclang-rt-14-dev clang_sanitizes
                need check pkg-config --exists check
                need libjansson-dev pkg-config --exists jansson
                need php8.2-cli php --version
                need php-msgpack sh -c 'php -m | grep -qx msgpack'
                need procps ps --version
                need cppcheck cppcheck --version
                need binutils readelf --version
                need cmake cmake --version
                ;;
        check-long)
                need zsh zsh --version
                need fish fish --version
                need clang-tidy clang-tidy --version
                need valgrind valgrind --version
                need openssh-server sh -c 'PATH=$PATH:/usr/sbin; command -v sshd'
                need openssh-client ssh -V
                need libssl-dev pkg-config --atleast-version=3.0 openssl
                need openssl openssl version
                need nats-server sh -c 'PATH=$PATH:/usr/sbin; command -v nats-server'
                need libnats-dev pkg-config --exists libnats
                need spin sh -c 'command -v spin'
                need libuv1-dev pkg-config --exists libuv
                need libglib2.0-dev pkg-config --exists glib-2.0
                need musl-tools musl-gcc --version
                need gcc-aarch64-linux-gnu aarch64-linux-gnu-gcc --version
                need qemu-user-static qemu-aarch64-static --version
                need debootstrap sh -c 'PATH=$PATH:/usr/sbin; command -v debootstrap'
                ;;
        bench)
                need libnng-dev test -e /usr/include/nng/nng.h
                need libnanomsg-dev pkg-config --exists nanomsg
                need libzmq3-dev pkg-config --exists libzmq
                need libqb-dev pkg-config --exists libqb
                need libsystemd-dev pkg-config --exists libsystemd
                need libjansson-dev pkg-config --exists jansson
                need libmsgpack-dev pkg-config --exists msgpack
                need php8.2-cli php --version
                need php-igbinary sh -c 'php -m | grep -qx igbinary'
                need php-msgpack sh -c 'php -m | grep -qx msgpack'
                need parallel sh -c 'command -v parallel'
                need valgrind valgrind --version
                need python3 python3 --version
                ;;
        fuzz)
                need libclang-rt-14-dev clang_fuzzes
                need llvm llvm_covers
                need python3 python3 --version
                ;;
        esac
done

[ -n "$missing" ] || exit 0
if [ -n "$only_tell" ] || ! command -v apt-get >/dev/null; then
        echo "ferry: missing are the packages$missing (make demo and make check install them on Debian)" >&2
        exit 1
fi
echo "ferry: installing$missing"
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
install() {
        # shellcheck disable=SC2086 # one word for each package
        $sudo apt-get install -y -q --no-install-recommends $missing >/dev/null
}
# The lists may be old, or not there at all.
install 2>/dev/null || { $sudo apt-get update -q >/dev/null && install; }
