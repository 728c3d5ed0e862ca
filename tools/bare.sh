#!/bin/bash
# What a newcomer does, on a Debian 12 that has nothing but make and git: a clone of the last commit runs `make demo` and
# `make check`, as root and then as the user ferry. Ends with "bare: N passed, N failed, N skipped".
#
#   bare.sh FOLDER [USER…]      FOLDER: below the build; keeps the base system and the packages for the next time
#                               USER: root, ferry; both if none is named. Root installs what ferry uses, so it comes first.
#
# It needs root, and the right to mount and to change the root. The mirror is the one that apt uses on this machine.
set -u
mkdir -p "${1:?usage: bare.sh FOLDER [USER…]}" || exit 1
source=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$1" || exit 1
shift
[ $# -gt 0 ] || set -- root ferry
folder=$PWD
system=$folder/system
PATH=$PATH:/usr/sbin:/sbin
release=bookworm
passed=0 failed=0

finish() { # SKIPPED
        echo "bare: $passed passed, $failed failed, $1 skipped"
        [ $failed = 0 ]
        exit
}

skip() { # REASON
        echo "skipped: the bare system: $1"
        finish 1
}

[ "$(id -u)" = 0 ] || skip 'it can be made by root only'
for tool in debootstrap unshare apt-get apt-config git; do
        command -v $tool >/dev/null || skip "$tool is not installed"
done
unshare --mount --pid --fork sh -c 'mount -t tmpfs none /mnt && chroot / true' 2>/dev/null ||
        skip 'mounting or changing the root is not permitted here'

# The first source of that release, or of any other Debian.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(ORIGIN) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
         awk -v release=$release '$3 == "Debian" && $4 == "main" { if ($2 == release) { print $1; exit } any = any ? any : $1 }
                                  END { if (any) print any }' | head -n 1)
[ -n "$mirror" ] || skip 'apt has no source of Debian on this machine (apt-get update)'

# A second run is quick, so the base stays as it was.
if [ ! -e base/made ]; then
        echo "== a base system from $mirror"
        rm -rf base
        # A network that swallows everything is none.
        if ! timeout 240 debootstrap --variant=minbase --include=make,git $release base "$mirror" >base.log 2>&1; then
                tail -n 5 base.log
                skip "there is no base system from $mirror"
        fi
        touch base/made
fi
mkdir -p archives/partial
rm -rf --one-file-system "$system"
cp -a base "$system" || skip 'there is no room for it'

# As apt reaches the network here: its proxies, and the certificates that are trusted.
echo "deb $mirror $release main" >"$system/etc/apt/sources.list"
apt-config dump | grep -E '^Acquire::.*(Proxy|CaInfo)' >"$system/etc/apt/apt.conf.d/90here"
echo 'APT::Keep-Downloaded-Packages "true";' >"$system/etc/apt/apt.conf.d/91keep"
rm -f "$system/etc/apt/apt.conf.d/docker-clean"
if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        mkdir -p "$system/etc/ssl/certs"
        cp /etc/ssl/certs/ca-certificates.crt "$system/etc/ssl/certs/"
fi
cp -L /etc/resolv.conf /etc/hosts "$system/etc/" 2>/dev/null
network=()
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [ -z "${!name:-}" ] || network+=("$name=${!name}")
done

chroot "$system" useradd --create-home --shell /bin/bash ferry || skip 'it has no place for a user'
for home in root home/ferry; do
        git clone -q --no-hardlinks "$source" "$system/$home/ferry" || exit 1
done
chroot "$system" chown -R ferry: /home/ferry

# Its root is no mount point, and what is mounted below it is seen by it alone, and gone with it.
inside() { # USER HOME COMMAND
        unshare --mount --pid --fork --kill-child bash -c '
                mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && mount --bind "$2" "$1/var/cache/apt/archives" || exit 125
                exec chroot "$1" setpriv --reuid="$3" --regid="$3" --init-groups \
                        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$4" "${@:6}" sh -c "cd && $5"' \
                bash "$system" "$folder/archives" "$1" "$2" "$3" "${network[@]}" </dev/null
}

step() { # USER HOME COMMAND
        local log="$folder/$1-${3//[^a-z]/-}.log" began=$SECONDS
        if inside "$1" "$2" "cd ferry && $3" >"$log" 2>&1; then
                passed=$((passed + 1))
                echo "$3 as $1: well, after $((SECONDS - began)) s; $(tail -n 1 "$log")"
        else
                failed=$((failed + 1))
                echo "$3 as $1: failed after $((SECONDS - began)) s; the end of $log:"
                { grep -aE '^(FAILED|.*(FAIL|TIMEOUT) +[0-9.]+s)|:[EF]:' "$log" | head -n 40; tail -n 20 "$log"; } | sed 's/^/  | /'
        fi
}

for user in "$@"; do
        home=/root
        [ $user = root ] || home=/home/$user
        step $user $home 'make demo'
        step $user $home 'make check'
done
rm -rf --one-file-system "$system"
finish 0
