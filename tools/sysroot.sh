#!/bin/bash
# A tree of Debian's packages for another architecture, with all that they depend on: unpacked, not installed, so that neither
# root nor a change to this machine is needed.
#
#   sysroot.sh FOLDER ARCHITECTURE PACKAGE…     ARCHITECTURE: i386 or arm64; ends with 1 and a reason if it cannot be made
#
# It makes FOLDER/bin/cc, a compiler whose programs run with the libraries there, FOLDER/bin/php, which is the PHP there if there
# is one, and FOLDER/cross.ini for meson. The packages come from where apt has them on this machine. A second run keeps all.
set -u
folder=${1:?usage: sysroot.sh FOLDER ARCHITECTURE PACKAGE…} architecture=$2
shift 2
[ "$(cat "$folder/made-of" 2>/dev/null)" = "$*" ] && exit 0
for tool in apt-get dpkg-deb; do
        command -v $tool >/dev/null || { echo "$tool is not installed"; exit 1; }
done
rm -rf "$folder"
mkdir -p "$folder/apt/state/lists/partial" "$folder/apt/cache/archives/partial" "$folder/bin" || exit 1
folder=$(cd "$folder" && pwd) || exit 1
: >"$folder/apt/state/status"

fetch() { # APT-GET-ARGUMENT…
        timeout 240 apt-get -q -y -o Dir::State="$folder/apt/state" -o Dir::State::status="$folder/apt/state/status" \
                -o Dir::Cache="$folder/apt/cache" -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" \
                -o APT::Install-Recommends=false -o APT::Sandbox::User= -o Debug::NoLocking=true "$@"
}

# A source whose list does not come is done without.
if ! { fetch update; fetch --download-only install "$@"; } >"$folder/apt/log" 2>&1; then
        tail -n 5 "$folder/apt/log"
        echo "apt has not got the packages of $architecture"
        exit 1
fi
for package in "$folder"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$package" "$folder" || exit 1
done
rm -rf "$folder/apt"

case $architecture in
i386) compiler='gcc -m32' triplet=i386-linux-gnu linker=ld-linux.so.2 family=x86 cpu=i686 emulator= ;;
arm64) compiler=aarch64-linux-gnu-gcc triplet=aarch64-linux-gnu linker=ld-linux-aarch64.so.1 family=aarch64 cpu=aarch64
        emulator=$(command -v qemu-aarch64-static) || { echo 'qemu-user-static is not installed'; exit 1; } ;;
*) echo "no compiler is known for $architecture"; exit 1 ;;
esac
command -v "${compiler%% *}" >/dev/null || { echo "${compiler%% *} is not installed"; exit 1; }
needed=false
[ -z "$emulator" ] || needed=true
libraries=$folder/lib/$triplet:$folder/usr/lib/$triplet
for made in "$folder"/usr/lib/gcc/*/*/crtbegin.o; do :; done

cat >"$folder/bin/cc" <<END
#!/bin/sh
exec $compiler --sysroot='$folder' -B'${made%/*}/' \\
        -Wl,--dynamic-linker='$folder/lib/$linker' -Wl,-rpath,'$libraries' "\$@"
END
cat >"$folder/cross.ini" <<END
[binaries]
c = '$folder/bin/cc'
ar = 'ar'
strip = 'strip'
pkgconfig = 'pkg-config'
${emulator:+exe_wrapper = '$emulator'}
[properties]
sys_root = '$folder'
pkg_config_libdir = '$folder/usr/lib/$triplet/pkgconfig'
needs_exe_wrapper = $needed
[host_machine]
system = 'linux'
cpu_family = '$family'
cpu = '$cpu'
endian = 'little'
END
for php in "$folder"/usr/bin/php[0-9]*; do
        [ -x "$php" ] || continue
        for extensions in "$folder"/usr/lib/php/20*; do :; done
        {
                echo "extension_dir=$extensions"
                for extension in ctype iconv msgpack posix readline shmop sockets sysvmsg sysvsem sysvshm tokenizer; do
                        [ ! -e "$extensions/$extension.so" ] || echo "extension=$extension"
                done
        } >"$folder/bin/php.ini"
        cat >"$folder/bin/php" <<END
#!/bin/sh
PHP_INI_SCAN_DIR= exec $emulator '$folder/lib/$linker' --library-path '$libraries' '$php' -c '$folder/bin/php.ini' "\$@"
END
done
chmod +x "$folder"/bin/*
echo "$*" >"$folder/made-of"
