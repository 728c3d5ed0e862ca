#!/bin/bash
# ferry listen under a supervisor: sockets that it is given (LISTEN_FDS), and what it reports (NOTIFY_SOCKET). Takes the build
# directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-supervisor "${1:?usage: test-supervisor.sh BUILD}"

# activate NAMES COMMAND…: run a command with sockets at NAME.sock, as systemd would; python3 is there for the documents, too.
tools=$PWD
cat > activate.py <<'END'
import os, socket, sys
names = sys.argv[1].split(':')
for at, name in enumerate(names):
    if name.endswith('!'):
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    else:
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(f'{at}.sock')
    if not name.endswith('!'):
        listening.listen(8)
    os.dup2(listening.fileno(), 100 + at)
for at in range(len(names)):
    os.dup2(100 + at, 3 + at)
    os.set_inheritable(3 + at, True)
    os.close(100 + at)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=sys.argv[1])
os.execvp(sys.argv[2], sys.argv[2:])
END

is_there() {
        [[ -S $1 ]]
}

answers() {
        [[ $(ferry call --wait 5 "unix:$1" t x 2> /dev/null) == x ]]
}

a_given_socket_is_served() {
        local before

        start python3 "$tools/activate.py" other:web:more ferry listen --exec 'echo "$LISTEN_FDS$LISTEN_PID$LISTEN_FDNAMES-$FERRY_KIND"; ls -l /proc/self/fd | grep -c socket: >&2; cat' listen-fd:web
        check 'it is there' soon is_there 2.sock
        before=$(stat -c '%i %a' 1.sock)
        run ferry call --wait 5 unix:1.sock t x
        ended 'a call' 0 -
        says_not_set=$(< out)
        check 'no variable is passed on' [ "${says_not_set:0:1}" = - ]
        is 'lock files' "$(compgen -G '*.lock')" ''
        interrupt TERM
        ended 'the end' 0 -
        is 'the file of the socket' "$(stat -c '%i %a' 1.sock)" "$before"
        rm -f ./*.sock
}

a_socket_that_is_not_given_is_refused() {
        run ferry listen listen-fd:web
        ended 'no variables' 3 ''
        says 'no variables' "ferry: cannot listen at 'listen-fd:web': this process was given no sockets (LISTEN_FDS): start it by a socket unit"
        run env LISTEN_PID=1 LISTEN_FDS=1 ferry listen listen-fd:web
        ended 'for another process' 3 ''
        run python3 "$tools/activate.py" a:b ferry listen listen-fd:web
        ended 'another name' 3 ''
        says 'another name' "ferry: cannot listen at 'listen-fd:web': no socket that this process was given has that name (LISTEN_FDNAMES: a,b)"
        rm -f ./*.sock
        run python3 "$tools/activate.py" a! ferry listen listen-fd:a!
        ended 'a socket of datagrams' 3 ''
        says 'a socket of datagrams' 'ferry: descriptor 3 is not a stream socket that listens'
        rm -f ./*.sock
        run python3 "$tools/activate.py" a:a:a:a:a ferry listen listen-fd:a
        ended 'too many' 3 ''
        says 'too many' "ferry: cannot listen at 'listen-fd:a': more than 4 sockets have that name"
        rm -f ./*.sock
        run ferry listen listen-fd:a --mode 600
        ended '--mode' 2 ''
        run env LISTEN_FDS=junk ferry listen listen-fd:
        ended 'junk' 3 ''
}

systemd_s_own_program_starts_it() {
        command -v systemd-socket-activate > /dev/null || return 0
        start systemd-socket-activate --fdname=web -l "$PWD/web.sock" "$build/ferry" listen --echo listen-fd:web
        check 'the first client starts it, and is served' soon answers web.sock
        check 'the next one, too' soon answers web.sock
        interrupt TERM
        ended 'the end' 0 -
        rm -f web.sock
}

cat > supervise.py <<'END'
import os, socket, subprocess, sys
reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = '\0ferry-supervisor-%d' % os.getpid() if sys.argv[1] == '@' else os.path.abspath('reports')
reports.bind(name)
child = subprocess.Popen(sys.argv[2:], env=dict(os.environ, NOTIFY_SOCKET=name.replace('\0', '@'), WATCHDOG_USEC='20000'))
left = 3
while left:
    report = reports.recv(4096).decode()
    if report == 'WATCHDOG=1':
        left -= 1
    print(report.replace('\n', ' ') if left >= 2 else '', end='\n' if left >= 2 else '', flush=True)
child.terminate()
while True:
    report = reports.recv(4096).decode()
    if report != 'WATCHDOG=1':
        print(report.replace('\n', ' '), flush=True)
        break
sys.exit(child.wait() and 0)
END

reports_are_sent() {
        for kind in @ /; do
                run python3 "$tools/supervise.py" "$kind" ferry listen --echo unix:web.sock
                ended "a supervisor at $kind" 0 $'READY=1 STATUS=listening at unix:web.sock\nWATCHDOG=1\nSTOPPING=1 STATUS=answering the requests in hand\n'
                rm -f reports
        done
        start env NOTIFY_SOCKET="$PWD/none" ferry listen --exec 'echo "$NOTIFY_SOCKET$WATCHDOG_USEC-"' unix:web.sock
        check 'it listens' soon is_there web.sock
        run ferry call --wait 5 unix:web.sock t x
        ended 'NOTIFY_SOCKET is not passed on' 0 -
        is 'what the command sees' "$(< out)" '-'
        interrupt TERM
        says 'a supervisor that is not there' "ferry: cannot report to the supervisor at '$PWD/none' (NOTIFY_SOCKET): No such file or directory"
}

# A NATS server that takes its time.
cat > slow-server.py <<'END'
import os, socket, subprocess, sys
reports = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
reports.bind(os.path.abspath('slow-reports'))
server = socket.create_server(('127.0.0.1', 0))
child = subprocess.Popen(sys.argv[1:], env=dict(os.environ, NOTIFY_SOCKET=os.path.abspath('slow-reports'),
                                                NATS_URL='nats://127.0.0.1:%d' % server.getsockname()[1]))
client = server.accept()[0]
client.sendall(b'INFO {"headers":true}\r\n')
heard = b''
while not heard.endswith(b'PING\r\n'):
    heard += client.recv(4096)
try:
    print('too early:', reports.recv(4096, socket.MSG_DONTWAIT))
except BlockingIOError:
    print('nothing yet')
if 'never' in sys.argv[-1]:
    child.terminate()
    sys.exit(child.wait())
client.sendall(b'PONG\r\n')
print(reports.recv(4096).decode().replace('\n', ' '), flush=True)
child.kill()
child.wait()
END

a_listener_at_a_subject_is_ready_once_the_server_has_its_subscription() {
        run python3 "$tools/slow-server.py" ferry listen --echo nats:web
        ended 'a listener' 0 $'nothing yet\nREADY=1 STATUS=listening at nats:web\n'
        rm -f slow-reports
        run python3 "$tools/slow-server.py" ferry listen --echo nats:never
        ended 'a signal before that' 0 $'nothing yet\n'
        says_exactly 'a signal before that' ''
}

all=a_listener_at_a_subject_is_ready_once_the_server_has_its_subscription,a_given_socket_is_served,a_socket_that_is_not_given_is_refused,systemd_s_own_program_starts_it,reports_are_sent
IFS=, read -r -a chosen <<< "${FERRY_TEST:-$all}"
aside "${chosen[@]}"
finish
