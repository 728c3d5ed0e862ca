#!/bin/bash
# The figures of docs/scale.md, each beside what arithmetic says: how long tasks wait, and how much work is lost, by load, machines and
# rates of death. Takes the build directory, and perhaps the tables to print (waiting, leaving, pool, deaths, silence, notice, size,
# pools; all of them).
#
#   scale.sh BUILD [TABLE…]
set -u
[ -x "${1-}/tests/simulate" ] || { echo 'usage: scale.sh BUILD [TABLE...]' >&2; exit 2; }
simulate=$(realpath "$1")/tests/simulate
shift
[ $# -gt 0 ] || set -- waiting leaving pool deaths silence notice size pools

# A quiet network, in which nothing dies.
quiet=(--worker-deaths 0 --host-deaths 0 --server-deaths 0 --server-ends 0 --cuts 0 --late 0 --silence 0)

# run OPTION…: $seconds $done $unknown $requests $refused $unknown_ms $mean_ms $most_ms $lost_percent $deaths
run() {
        local out

        out=$("$simulate" "${quiet[@]}" "$@") || { echo "simulate $*" >&2; echo "$out" >&2; exit 1; }
        seconds=$(sed -nE 's/^seed .* tasks in ([0-9.]+) s:.*/\1/p' <<<"$out")
        done=$(sed -nE 's/^seed .*: ([0-9]+) done, .*/\1/p' <<<"$out")
        unknown=$(sed -nE 's/^seed .*, ([0-9]+) unknown$/\1/p' <<<"$out")
        requests=$(sed -nE 's/^requests: ([0-9.]+) a task.*/\1/p' <<<"$out")
        refused=$(sed -nE 's/^requests: .*, ([0-9]+) refused by workers.*/\1/p' <<<"$out")
        unknown_ms=$(sed -nE 's/^requests: .*unknown after ([0-9]+) ms$/\1/p' <<<"$out")
        mean_ms=$(sed -nE 's/^waiting: mean ([0-9.]+) ms.*/\1/p' <<<"$out")
        most_ms=$(sed -nE 's/^waiting: .* within ([0-9.]+) ms.*/\1/p' <<<"$out")
        lost_percent=$(sed -nE 's/.*work without an answer: ([0-9.]+) %$/\1/p' <<<"$out")
        deaths=$(sed -nE 's/^deaths: ([0-9]+) workers.*/\1/p' <<<"$out")
}

# Tasks of 20 ms for 100 workers. A worker that is busy refuses, with the probability that it is busy; each further request waits
# for 0.75 of a pause that doubles from 2 ms to 200 ms, and each takes 1.47 ms for its way and that of its answer.
waiting() {
        local given

        echo '| tasks given away, for each 100 workers | busy | requests a task: run | arithmetic | waiting, mean: run | arithmetic | 99 of 100 within |'
        echo '| --- | --- | --- | --- | --- | --- | --- |'
        for given in 10 30 50 70 90; do
                run --workers 100 --hosts 10 --tasks 50000 --work-least 20 --work-most 20 --in-flight $given
                awk -v given=$given -v seconds="$seconds" -v tasks=50000 -v requests="$requests" -v mean="$mean_ms" -v most="$most_ms" '
                BEGIN {
                        u = tasks * 0.020 / seconds / 100
                        wait = 1.47
                        for (k = 1; k < 200; k++) { pause = 2 ^ k > 200 ? 200 : 2 ^ k; wait += u ^ k * (0.75 * pause + 1.47) }
                        printf "| %d | %.0f %% | %.2f | %.2f | %.1f ms | %.1f ms | %.0f ms |\n", given, 100 * u, requests, 1 / (1 - u), mean, wait, most
                }'
        done
}

# The same where a worker is not subscribed while it works: only what was under way when it was chosen is refused.
leaving() {
        local given

        echo '| tasks given away, for each 100 workers | busy | requests a task | waiting, mean | 99 of 100 within |'
        echo '| --- | --- | --- | --- | --- |'
        for given in 10 30 50 70 90; do
                run --workers 100 --hosts 10 --tasks 50000 --work-least 20 --work-most 20 --in-flight $given --leaving 1
                awk -v given=$given -v seconds="$seconds" -v requests="$requests" -v mean="$mean_ms" -v most="$most_ms" 'BEGIN {
                        printf "| %d | %.0f %% | %.2f | %.1f ms | %.0f ms |\n", given, 50000 * 0.020 / seconds, requests, mean, most
                }'
        done
}

# The same by the pool of one caller, which is given tasks for half and for one and a half times the places. As many as two answers make
# room for one more, so at most every third request is refused where there is no place.
pool() {
        local workers percent

        echo '| workers | tasks given away, for each 100 workers | busy | refusals a task | waiting, mean: run | arithmetic, at least | 99 of 100 within |'
        echo '| --- | --- | --- | --- | --- | --- | --- |'
        for workers in 10 100 1000; do
                for percent in 50 150; do
                        run --workers "$workers" --hosts 10 --callers 1 --tasks $((workers < 100 ? 50000 : workers * 500)) --work-least 20 --work-most 20 \
                                --in-flight $((workers * percent / 100)) --leaving 1 --pool 1 --requests-max 4096
                        awk -v workers="$workers" -v percent=$percent -v seconds="$seconds" -v refused="$refused" -v mean="$mean_ms" -v most="$most_ms" '
                        BEGIN {
                                tasks = workers < 100 ? 50000 : workers * 500
                                least = percent > 100 ? 20 * (percent / 100 - 1) : 1.1
                                printf "| %d | %d | %.0f %% | %.2f | %.1f ms | %.1f ms | %.0f ms |\n", workers, percent, 100 * tasks * 0.020 / seconds / workers,
                                       refused / tasks, mean, least, most
                        }'
                done
        done
}

# A task of w ms is lost with the probability w / D, if a worker dies each D ms; of all work that is the mean of w² / w / D. Tasks have
# 1 to 40 ms.
deaths() {
        local mean workers

        echo '| each worker dies each | workers | tasks unknown | work without an answer: run | arithmetic |'
        echo '| --- | --- | --- | --- | --- |'
        for mean in 60000 10000; do
                for workers in 10 100 1000; do
                        run --workers $workers --hosts 10 --callers 4 --in-flight $((workers * 6 / 10)) --tasks 50000 --worker-deaths $mean
                        awk -v mean=$mean -v workers=$workers -v unknown="$unknown" -v lost="$lost_percent" 'BEGIN {
                                for (w = 1; w <= 40; w++) { work += w; squares += w * w }
                                printf "| %d s | %d | %d of 50000 | %.3f %% | %.3f %% |\n", mean / 1000, workers, unknown, lost, 100 * squares / work / mean
                        }'
                done
        done
}

# A worker whose death is not noticed is sent its share of the requests meanwhile. Half of the deaths are noticed after 0 to S ms, the
# others at once, so it is S / 4 on average.
silence() {
        local most

        echo '| half of the deaths are noticed after | tasks unknown | arithmetic |'
        echo '| --- | --- | --- |'
        for most in 0 1000 4000; do
                run --workers 100 --hosts 10 --callers 4 --in-flight 60 --tasks 50000 --worker-deaths 60000 --silence $most
                awk -v most=$most -v unknown="$unknown" -v seconds="$seconds" -v deaths="$deaths" -v requests="$requests" 'BEGIN {
                        share = 50000 * requests / seconds / 100
                        printf "| at most %d ms | %d of 50000 | %.0f |\n", most, unknown, deaths * (most / 4 / 1000 * share + 0.020 * 50000 / seconds / 100)
                }'
        done
}

# A caller knows that its worker is dead when it has been silent for five beats; without beats, at its deadline.
notice() {
        local beat

        echo '| a worker reports each | a task is reported as unknown after: run | arithmetic |'
        echo '| --- | --- | --- |'
        for beat in 100 500 2000; do
                run --workers 100 --hosts 10 --callers 4 --in-flight 60 --tasks 50000 --worker-deaths 10000 --beat $beat --timeout 30000
                echo "| $beat ms | $unknown_ms ms | at least $((5 * beat)) ms |"
        done
}

# More of all at the same load.
size() { # OPTION…
        local workers

        echo '| workers | machines | callers | tasks | done | unknown | waiting, mean | tasks a second of the simulated clock |'
        echo '| --- | --- | --- | --- | --- | --- | --- | --- |'
        for workers in 10 100 1000; do
                run --workers $workers --hosts $((workers / 10)) --callers $(((workers + 49) / 50)) --in-flight $((workers * 6 / 10)) "$@" \
                        --tasks $((workers * 1000)) --worker-deaths 60000 --host-deaths 600000 --cuts 60000 --server-deaths 60000 --server-ends 60000 --late 1000
                awk -v workers=$workers -v done="$done" -v unknown="$unknown" -v mean="$mean_ms" -v seconds="$seconds" 'BEGIN {
                        tasks = workers * 1000
                        printf "| %d | %d | %d | %d | %.2f %% | %.2f %% | %.1f ms | %.0f |\n", workers, workers / 10, int((workers + 49) / 50), tasks,
                               100 * done / tasks, 100 * unknown / tasks, mean, tasks / seconds
                }'
        done
}

# The same, by pools and workers that leave the subject.
pools() {
        size --pool 1 --leaving 1
}

for table; do
        case $table in
        waiting | leaving | pool | deaths | silence | notice | size | pools) echo "== $table" && "$table" ;;
        *) echo "there is no table '$table'" >&2; exit 2 ;;
        esac
done
