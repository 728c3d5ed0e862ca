#!/bin/bash
# The tool and ssh(1), with a private sshd(8) on the loopback in the place of another machine: tools/sshd.sh. Takes the build
# directory. Begins again below that script; where sshd cannot be had, all is left out.
if [[ -z ${SSHD_DIRECTORY:-} ]]; then
        PATH=$(cd "${1:?usage: test-ssh.sh BUILD}" && pwd):$PATH bash "$(dirname "$0")/../../tools/sshd.sh" bash "$0" "$@"
        status=$?
        [[ $status == 77 ]] || exit $status
        echo 'SKIPPED cli-ssh: there is no sshd, see above'
        echo 'cli-ssh: 0 passed, 0 failed, 1 skipped'
        exit 0
fi
far_ssh=${PATH%%:*}
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-ssh "${1:?usage: test-ssh.sh BUILD}"
PATH=$far_ssh:$PATH

a_call_reaches_a_service_of_the_other_machine() {
        run ferry call ssh:localhost:echo x hello
        ended 'a call' 0 'hello'
        says_exactly 'a call' ''
        run ferry call "ssh:$(id -un)@127.0.0.1:$SSHD_PORT:echo" x hello
        ended 'a call with user and port' 0 'hello'
        run ferry call --remote-ferry "$build/ferry" ssh:one:echo x "it's \$HOME"
        ended 'a call with a path' 0 "it's \$HOME"
        run ferry call "ssh:one:unix:$SSHD_DIRECTORY/run/echo.sock" x hello
        ended 'a call to a socket' 0 'hello'
        run ferry call ssh:one:ssh:two:echo x hello
        ended 'a call by way of a third machine' 0 'hello'
        run ferry call "ssh:one:exec:ferry listen stdio: --reply 'a \"quoted\" reply'" x
        ended 'a call to a command' 0 'a "quoted" reply'
        run ferry notify ssh:localhost:echo x hello
        ended 'a notification' 0 ''
        run ferry bench --count 500 --in-flight 20 --size 10000 --json ssh:localhost:echo
        check 'many requests' grep -q '"requests":500' out
        check 'many requests' grep -q '"stream":"ssh"' out
}

bytes_pass_over_a_bridge_and_back() {
        head -c 2000000 /dev/urandom > much
        run ferry bridge 'ssh:localhost:exec:cat' < much
        ended 'a bridge' 0 @much
        run ferry bridge 'ssh:localhost:exec:cat >/dev/null; exit 9' < much
        ended 'the status of a command there' 9 ''
        run ferry bridge 'ssh:localhost:exec:exec 1>&-; sleep 0.2' < /dev/null
        ended 'a command there that closes its output' 0 ''
}

failures_say_what_ssh_says() {
        run ferry call ssh:localhost:nothing x hello
        ended 'no service there' 3 ''
        says 'no service there' "ssh to 'localhost' exited with status 69; its last words: ferry: nothing: no process listens"
        run ferry call --remote-ferry /nonexistent/ferry ssh:localhost:echo x hello
        ended 'no ferry there' 3 ''
        says 'no ferry there' "exited with status 127" '/nonexistent/ferry'
        run ferry call ssh:[127.0.0.2]:1:echo x hello
        ended 'no sshd there' 3 ''
        says 'no sshd there' "ssh to '127.0.0.2' exited with status 255; its last words: ssh: connect to host 127.0.0.2 port 1: Connection refused"
        run ferry bridge ssh:localhost:nothing < much
        ended 'a bridge to no service' 69 ''
        run ferry call ssh:-oProxyCommand=touch:echo x
        ended 'a host that would be an option' 2 ''
        check 'a host that would be an option' [ ! -e touch ]
        run ferry call --remote-ferry x unix:nothing x
        ended 'an option without effect' 2 ''
        run ferry call --remote-ferry '' ssh:localhost:echo x
        ended 'an empty path' 2 ''
        run ferry listen --echo ssh:localhost:nothing
        ended 'listening at no service' 3 ''
        run ferry wait ssh:localhost:echo
        ended 'waiting for ssh' 2 ''
}

services_of_another_machine_are_listed() {
        start env FERRY_DIR="$SSHD_DIRECTORY/run" ferry listen other --echo --quiet
        soon [ -e "$SSHD_DIRECTORY/run/other.sock" ]
        run ferry list --on localhost
        check 'a table' [ "$status" = 0 ]
        is 'its names' "$(sed 1d out | cut -d' ' -f1 | paste -sd' ')" 'echo other'
        is 'its headings' "$(sed -n 1p out | tr -s ' ')" 'name pid uid dialects since busy address'
        run ferry list --json --on "one:$SSHD_PORT"
        is 'objects' "$(grep -c '"name":"' out)" 2
        run ferry list --on localhost --remote-ferry "$build/ferry"
        is 'a path' "$(sed 1d out | cut -d' ' -f1 | paste -sd' ')" 'echo other'
        interrupt TERM
        run ferry list --on localhost --remote-ferry /nonexistent/ferry
        ended 'no ferry there' 3 ''
        says 'no ferry there' /nonexistent/ferry
        run ferry list --on localhost --remote-ferry true
        check 'no ferry, but a program' [ "$status" != 2 ]
        run ferry list --on 127.0.0.2:1
        ended 'no sshd there' 3 ''
        says 'no sshd there' 'Connection refused'
        local host
        for host in '' -x a,b 'a b' 'a;b' host:unix host:22:x 'a@' ':22' host: '[::1'; do
                run ferry list --on "$host"
                ended "the host '$host'" 2 ''
        done
        run ferry list --remote-ferry x
        ended 'an option without effect' 2 ''
}

# The workers are ferry itself; each prints where it runs.
tasks_run_on_other_machines() {
        local worker="echo \$FERRY_WORKER >> '$folder/workers'; exec ferry listen stdio: --exec 'tr a-z A-Z'"
        seq -f 'task %g' 1 200 > tasks
        run ferry run --on one,two --workers 2 --ordered --quiet -- sh -c "$worker" < tasks
        ended 'tasks on two machines' 0 "$(tr a-z A-Z < tasks)"$'\n'
        is 'the numbers of the workers' "$(sort -n workers | paste -sd' ')" '0 1 2 3'
        run ferry run --on "$(id -un)@127.0.0.1:$SSHD_PORT" --workers 1 --quiet -- \
                sh -c 'printf "%s|" "$@" > "$0"; exec ferry listen stdio: --echo' "$folder/words" "it's" 'a "b" $c' '' '-x' <<< one
        ended 'words with quotes' 0 $'one\n'
        is 'words with quotes' "$(cat words)" "it's|a \"b\" \$c||-x|"
        nothing_left 'tasks on two machines'
}

a_machine_that_is_down_costs_the_tasks_that_it_was_given() {
        seq 1 20 > tasks
        run ferry run --on one,127.0.0.2:1 --workers 1 --retry 20 --ordered --quiet -- ferry listen stdio: --echo < tasks
        ended 'tasks with a machine that is down' 0 @tasks
        says 'tasks with a machine that is down' 'port 1: Connection refused'
        run ferry run --on 127.0.0.2:1 --workers 1 --quiet -- ferry listen stdio: --echo < tasks
        ended 'a machine that is down' 3 ''
        says 'a machine that is down' 'giving up' 'Connection refused'
}

# It is no crash loop that one machine is down while another one is slow.
a_machine_that_is_slow_is_waited_for() {
        local slow="until [ \"\$(wc -l < '$folder/deaths')\" -ge 12 ]; do sleep 0.01; done; exec ferry listen stdio: --echo"

        mkdir bin
        cat > bin/ssh << END
#!/bin/sh
case "\$*" in
*127.0.0.2*)
        echo >> '$folder/deaths'
        exit 255
        ;;
esac
PATH=\${PATH#*:} exec ssh "\$@"
END
        chmod +x bin/ssh
        : > deaths
        seq 1 6 > tasks
        PATH=$PWD/bin:$PATH run ferry run --on one,127.0.0.2:1 --workers 1 --retry 20 --ordered --quiet -- sh -c "$slow" < tasks
        ended 'tasks with a machine that is slow' 0 @tasks
        rm -r bin
}

misuse_of_other_machines_is_refused() {
        local arguments
        for arguments in '--on one -- true' '--on one, --workers 1 -- true' '--on -x --workers 1 -- true' '--on one --max-rss 1M --workers 1 -- true' \
                '--on one,two --workers 600 -- true'; do
                # shellcheck disable=SC2086 # one word for each argument
                run ferry run $arguments < /dev/null
                ended "run $arguments" 2 ''
        done
}

# The service is killed with a request in hand.
a_service_that_is_killed_there_is_noticed() {
        start ferry call "ssh:localhost:exec:exec ferry listen stdio: --exec 'touch $folder/here; sleep 100'" x
        soon [ -e here ]
        interrupt TERM
        ended 'a signal' 143 ''
        nothing_left 'a signal'
        run ferry call 'ssh:localhost:exec:dd bs=65536 count=1 >/dev/null 2>&1; kill -KILL $$' x hello
        ended 'a service that was killed' 3 ''
        says 'a service that was killed' "ssh to 'localhost'"
}

a_call_reaches_a_service_of_the_other_machine
bytes_pass_over_a_bridge_and_back
failures_say_what_ssh_says
services_of_another_machine_are_listed
tasks_run_on_other_machines
a_machine_that_is_down_costs_the_tasks_that_it_was_given
a_machine_that_is_slow_is_waited_for
misuse_of_other_machines_is_refused
a_service_that_is_killed_there_is_noticed
finish
