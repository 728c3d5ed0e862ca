#!/bin/bash
# Runs a command beside a private sshd(8) on the loopback, as if that were another machine: ssh to `localhost`, `one` or `two`
# gets there, with keys that are made for this run. On its side stands the service `echo`, in a directory of its own. The
# programs and all files are gone at the end. The exit status is that of the command, or 77 if sshd cannot be had, with the reason.
#
#   tools/sshd.sh ferry call ssh:localhost:echo x hello
#
# The ferry that is meant, on both sides, is that of PATH, or of build/ or build-check/gcc. The command finds the port in SSHD_PORT.
set -u
[ $# -ge 1 ] || { echo 'usage: sshd.sh COMMAND [ARGUMENT]...' >&2; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
command -v ferry >/dev/null || PATH=$PATH:$root/build:$root/build-check/gcc

give_up() {
        echo "sshd.sh: $1" >&2
        exit 77
}

sshd=$(PATH=/usr/sbin:/usr/local/sbin:$PATH command -v sshd) && ssh=$(command -v ssh) && command -v ssh-keygen >/dev/null ||
        give_up 'openssh-server or openssh-client is not installed'
ferry=$(command -v ferry) || give_up 'there is no ferry in PATH, build/ or build-check/gcc'
shell=$(getent passwd "$(id -u)" | cut -d: -f7)
case $shell in
'' | */nologin | */false) give_up "the user $(id -un) has no shell, so sshd lets it run nothing" ;;
esac
# Where sshd of root shuts itself in.
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd || exit 1

folder=$(mktemp -d /tmp/ferry-sshd-XXXXXX) || exit 1
server='' service=''
end() {
        for pid in $service $server; do
                kill "$pid" 2>/dev/null
                wait "$pid" 2>/dev/null
        done
        rm -rf "$folder"
}
trap end EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

mkdir "$folder/bin" "$folder/run" && chmod 700 "$folder/run" || exit 1
ssh-keygen -q -t ed25519 -N '' -C host -f "$folder/host" && ssh-keygen -q -t ed25519 -N '' -C user -f "$folder/user" || exit 1
cp "$folder/user.pub" "$folder/authorized"
echo "ferry-sshd $(cut -d' ' -f1,2 "$folder/host.pub")" >"$folder/known"

write_server() { # PORT
        cat >"$folder/sshd_config" <<END
Port $1
ListenAddress 127.0.0.1
HostKey $folder/host
AuthorizedKeysFile $folder/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
SetEnv "PATH=$folder/bin:$(dirname "$ferry"):/usr/local/bin:/usr/bin:/bin" "FERRY_DIR=$folder/run"
END
}

# Another process may have the port, which only a try shows.
start_server() {
        for try in 1 2 3 4 5 6 7 8; do
                SSHD_PORT=$((20000 + (RANDOM + try) % 12000))
                write_server $SSHD_PORT
                "$sshd" -D -E "$folder/log" -f "$folder/sshd_config" </dev/null &
                server=$!
                "$ferry" wait --timeout 10 "tcp:127.0.0.1:$SSHD_PORT" 2>/dev/null
                grep -q 'Server listening' "$folder/log" && kill -0 "$server" 2>/dev/null && return
                kill "$server" 2>/dev/null
                wait "$server" 2>/dev/null
        done
        give_up "sshd does not start: $(tail -1 "$folder/log")"
}
start_server

cat >"$folder/ssh_config" <<END
Host localhost 127.0.0.1 one two
        HostName 127.0.0.1
        Port $SSHD_PORT
        IdentityFile $folder/user
Host *
        IdentitiesOnly yes
        IdentityAgent none
        HostKeyAlias ferry-sshd
        UserKnownHostsFile $folder/known
        GlobalKnownHostsFile none
        StrictHostKeyChecking yes
        PreferredAuthentications publickey
        LogLevel ERROR
END
# What stands in the configuration of the user counts for nothing here.
printf '#!/bin/sh\nexec %s -F %s "$@"\n' "$ssh" "$folder/ssh_config" >"$folder/bin/ssh"
chmod 755 "$folder/bin/ssh"

FERRY_DIR=$folder/run "$ferry" listen echo --echo --quiet </dev/null &
service=$!
FERRY_DIR=$folder/run "$ferry" wait --timeout 10 echo || exit 1

SSHD_PORT=$SSHD_PORT SSHD_DIRECTORY=$folder PATH=$folder/bin:$PATH "$@"
