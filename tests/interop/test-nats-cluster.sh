#!/bin/bash
# Tasks over a cluster of three nats-servers, of which one after the other is killed while they run: each task ends once, as done, not
# executed or unknown with a reason, and no task was run twice, or was not executed and run. They are given away by a program, and by
# ferry run with its log, and 8 workers note what they begin. Takes the build directory. 10,000 tasks each with FERRY_LONG, else fewer.
# Where there is no nats-server, all is left out.
. "$(dirname "${BASH_SOURCE[0]}")/../support/nats.sh"
need_server nats-cluster
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite nats-cluster "${1:?usage: test-nats-cluster.sh BUILD}"
tasks=$build/tests/nats-tasks
count=${FERRY_LONG:+10000}
count=${count:-900}
workers=8

port_of() { # NAME KIND
        sed -n "s/.*\"$2\": *\[[^]]*:\([0-9]*\)\".*/\1/p" <(tr -d '\n' < "$(echo "$1"/*.ports)")
}

# A server of the cluster that has other ports than all, or those that it had before it was killed.
start_member() { # NAME PORT CLUSTER-PORT ROUTES
        rm -rf "$1"
        mkdir "$1"
        start "$server" -a 127.0.0.1 -p "$2" --cluster_name tests --cluster "nats://127.0.0.1:$3" ${4:+--routes "$4"} \
                --ports_file_dir "$folder/$1"
        soon has_port "$1"
        jobs_of[$1]=$job
}

declare -A jobs_of port_of_client port_of_route
urls=() routes=()
for name in one two three; do
        start_member "$name" -1 -1 "$(IFS=, && echo "${routes[*]}")"
        port_of_client[$name]=$(port_of "$name" nats)
        port_of_route[$name]=$(port_of "$name" cluster)
        urls+=("nats://127.0.0.1:${port_of_client[$name]}")
        routes+=("nats://127.0.0.1:${port_of_route[$name]}")
done
NATS_URL=$(IFS=, && echo "${urls[*]}")
export NATS_URL

# start_workers SUBJECT: $worker_jobs, with the journals worker-0 to worker-7
start_workers() {
        subject=$1 worker_jobs=()
        rm -f worker-*
        for ((i = 0; i < workers; i++)); do
                start "$tasks" work "$subject" "$folder/worker-$i"
                worker_jobs+=("$job")
        done
        # All are known to all servers.
        check 'the workers listen' soon listens
}
listens() {
        [[ $(ferry list nats: --wait 0.2 2> /dev/null | grep -c "^$subject ") -ge $workers ]]
}

end_workers() {
        for job in "${worker_jobs[@]}"; do
                kill -TERM "$job"
                await "$job"
                is 'a worker' "$status" 0
        done
}

has_lines() {
        [[ -e $1 && $(wc -l < "$1") -ge $2 ]]
}

# kill_servers JOURNAL: one after the other, whenever a quarter of the tasks has ended more
kill_servers() {
        local step=$((count / 4)) at=0

        for name in one two three; do
                at=$((at + step))
                soon has_lines "$1" "$at"
                kill -KILL "${jobs_of[$name]}"
                await "${jobs_of[$name]}"
                start_member "$name" "${port_of_client[$name]}" "${port_of_route[$name]}" "$(IFS=, && echo "${routes[*]}")"
        done
}

# compare_journals NAME: lines of "NUMBER OUTCOME" in the file ended, and the numbers from 1 or 0 on in the file all, by the workers
compare_journals() {
        sort worker-* > ran
        sort -u worker-* > ran-once
        cut -d ' ' -f 1 ended | sort > ended-once
        awk '$2 == "done" { print $1 }' ended | sort > done-ones
        awk '$2 == "not-executed" { print $1 }' ended | sort > not-executed
        awk '$2 == "unknown" { print $1 }' ended | sort > unknown
        printf 'nats-cluster: %s: %d done, %d not executed, %d unknown\n' "$1" "$(wc -l < done-ones)" "$(wc -l < not-executed)" "$(wc -l < unknown)"
        check "$1: each task ends once" cmp -s ended-once all
        check "$1: no task was run twice" cmp -s ran ran-once
        check "$1: each task that is done was run" [ -z "$(comm -23 done-ones ran-once)" ]
        check "$1: no task that was not executed was run" [ -z "$(comm -12 not-executed ran-once)" ]
        check "$1: most tasks are done" [ "$(wc -l < done-ones)" -gt $((count * 3 / 4)) ]
}

a_program_gives_tasks_away() {
        start_workers work
        start "$tasks" call work "$folder/caller" "$count"
        local caller=$job

        kill_servers caller
        await "$caller"
        is 'the caller' "$status" 0
        end_workers
        cp caller ended
        seq 0 $((count - 1)) | sort > all
        compare_journals program
        check 'each other outcome has a reason' [ -z "$(awk '$2 != "done" && NF < 3' caller)" ]
}

ferry_run_gives_tasks_away() {
        start_workers run
        seq 1 "$count" > lines
        start ferry run --on nats:run --workers $((2 * workers)) --timeout 2 --wait 10 --value --joblog log --quiet < lines
        local runner=$job

        kill_servers log
        await "$runner"
        local result=$status
        sort out > answers
        mv err reasons
        end_workers
        tail -n +2 log | awk -F '\t' '{ print $1, $NF == "replied" ? "done" : $NF == "not executed" ? "not-executed" : $NF }' > ended
        sort lines > all
        compare_journals 'ferry run'
        is 'its answers' "$(< answers)" "$(< done-ones)"
        is 'its reasons' "$(grep -cE '^ferry: task [0-9]+: (not executed|outcome unknown): .' reasons)" \
                "$(cat not-executed unknown | wc -l)"
        is 'its status' "$result" $(($(cat not-executed unknown | wc -l) > 0))
}

a_program_gives_tasks_away
ferry_run_gives_tasks_away
for name in one two three; do
        kill -TERM "${jobs_of[$name]}"
        await "${jobs_of[$name]}"
done
finish
