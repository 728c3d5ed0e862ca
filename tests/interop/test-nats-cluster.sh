#!/bin/bash
# Tasks over a cluster of three nats-servers, of which one after the other is killed while they run: each task ends once, as done, not
# executed or unknown with a reason, and no task was run twice, or was not executed and run. Takes the build directory. 10,000 tasks with
# FERRY_LONG, else fewer. Where there is no nats-server, all is left out.
server=$(PATH=$PATH:/usr/sbin command -v nats-server) || {
        echo 'SKIPPED nats-cluster: nats-server is not installed'
        echo 'nats-cluster: 0 passed, 0 failed, 1 skipped'
        exit 0
}
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite nats-cluster "${1:?usage: test-nats-cluster.sh BUILD}"
. "$tests/support/nats.sh"
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

worker_jobs=()
for ((i = 0; i < workers; i++)); do
        start "$tasks" work work "$folder/worker-$i"
        worker_jobs+=("$job")
done
# All are known to all servers.
listens() {
        [[ $(ferry list nats: --wait 0.2 2> /dev/null | grep -c .) -ge $workers ]]
}
soon listens

start "$tasks" call work "$folder/caller" "$count"
caller=$job

has_lines() {
        [[ -e caller && $(wc -l < caller) -ge $1 ]]
}

step=$((count / 4)) at=0
for name in one two three; do
        at=$((at + step))
        soon has_lines "$at"
        kill -KILL "${jobs_of[$name]}"
        await "${jobs_of[$name]}"
        start_member "$name" "${port_of_client[$name]}" "${port_of_route[$name]}" "$(IFS=, && echo "${routes[*]}")"
done
await "$caller"
is 'the caller' "$status" 0
for job in "${worker_jobs[@]}"; do
        kill -TERM "$job"
        await "$job"
        is 'a worker' "$status" 0
done

sort worker-* > ran
sort -u worker-* > ran-once
cut -d ' ' -f 1 caller | sort > ended-once
seq 0 $((count - 1)) | sort > all
awk '$2 == "done" { print $1 }' caller | sort > done-ones
awk '$2 == "not-executed" { print $1 }' caller | sort > not-executed
awk '$2 == "unknown" { print $1 }' caller | sort > unknown
printf 'nats-cluster: %d done, %d not executed, %d unknown\n' "$(wc -l < done-ones)" "$(wc -l < not-executed)" "$(wc -l < unknown)"
check 'each task ends once' cmp -s ended-once all
check 'no task was run twice' cmp -s ran ran-once
check 'each task that is done was run' [ -z "$(comm -23 done-ones ran-once)" ]
check 'no task that was not executed was run' [ -z "$(comm -12 not-executed ran-once)" ]
check 'each other outcome has a reason' [ -z "$(awk '$2 != "done" && NF < 3' caller)" ]
check 'most tasks are done' [ "$(wc -l < done-ones)" -gt $((count * 3 / 4)) ]
for name in one two three; do
        kill -TERM "${jobs_of[$name]}"
        await "${jobs_of[$name]}"
done
finish
