#!/bin/bash
# The main job, seen: a manager and its workers, and then one of those workers from the shell.
#
#   demo.sh BUILD
set -eu
cd "$1/examples"
export PATH="${PWD%/*}:$PATH"

# Bold on a terminal.
bold='' plain=''
[ ! -t 1 ] || { bold=$'\033[1m' plain=$'\033[0m'; }
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

say 'Three workers at once, each a child process; they report while they work (examples/manager.c):'
stdbuf -oL ./manager

say 'The same worker from the shell: a request, its progress on stderr, its answer on stdout:'
echo '$ ferry call "exec:./worker 4" task "pack the boxes"'
ferry call "exec:./worker 4" task "pack the boxes"
echo

say 'Two programs over a socket; the answer comes from a shell command:'
echo '$ ferry listen unix:shout.sock --exec "tr a-z A-Z" &'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ferry listen "unix:$folder/shout.sock" --exec 'tr a-z A-Z' >/dev/null &
echo '$ ferry call unix:shout.sock shout hello'
ferry call "unix:$folder/shout.sock" shout hello
echo
kill $!
wait $!

say 'Tasks, one a line, for three workers at once; the answers in the order of the tasks:'
echo '$ printf "%s\n" one two three four | ferry run --workers 3 --ordered -- ferry listen stdio: --exec "tr a-z A-Z"'
printf '%s\n' one two three four | ferry run --workers 3 --ordered -- ferry listen stdio: --exec "tr a-z A-Z"

say 'What PHP has serialized, as JSON:'
echo "\$ printf 'a:1:{s:5:\"ferry\";i:1;}' | ferry convert --from php --to json"
printf 'a:1:{s:5:"ferry";i:1;}' | ferry convert --from php --to json
echo

say 'A datagram, a value in a message queue, and one in shared memory, as PHP has them:'
cd "$folder"
echo "$ ferry recv udg:d.sock --count 1 & ferry wait udg:d.sock; ferry send udg:d.sock 'Hello from Sender'"
ferry recv udg:d.sock --count 1 &
ferry wait udg:d.sock
ferry send udg:d.sock 'Hello from Sender'
wait $!
echo
echo "$ ferry send --create --value msgq:key '{\"a\":1}'; ferry recv msgq:key --count 1 --json; ferry ipcs --remove msgq:key"
ferry send --create --value msgq:key '{"a":1}'
ferry recv msgq:key --count 1 --json
ferry ipcs --remove msgq:key
echo "$ ferry store shm:key put 1 --value '{\"a\":[1,2]}'; ferry store shm:key get 1 --json; ferry store shm:key remove"
ferry store shm:key put 1 --value '{"a":[1,2]}'
ferry store shm:key get 1 --json
ferry store shm:key remove
