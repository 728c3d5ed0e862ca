#!/bin/bash
# ferry bench: what it measures, and how it ends. Takes the build directory. No figure is judged, only that all of them are there.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-bench "${1:?usage: test-bench.sh BUILD}"

echo='exec:ferry listen stdio: --echo'

# The member of the object that was printed.
member() { # NAME
        sed -n "s/^.*\"$1\":\([^,]*\),.*/\1/p" out
}

# How many answers are in the histogram of the object.
in_histogram() {
        sed 's/.*"histogram":\[//; s/\]}$//; s/\],\[/\n/g; s/[][]//g' out | awk -F, '{ n += $3 } END { print n + 0 }'
}

a_bench_counts_each_answer_once() {
        run ferry bench --count 100 --json "$echo"
        check 'a bench of 100 requests' [ "$status" = 0 ]
        is 'its requests' "$(member requests)" 100
        is 'its histogram' "$(in_histogram)" 100
        is 'its stream' "$(member stream)" '"exec"'
        is 'its dialect' "$(member dialect)" '"ferry"'
        is 'its size' "$(member size)" 64
        run ferry bench --count 100 --in-flight 7 --size 1000 --json "$echo"
        is 'requests, 7 in flight' "$(member requests)" 100
        is 'the histogram, 7 in flight' "$(in_histogram)" 100
        is 'their size' "$(member size)" 1000
        run ferry bench --count 1 --in-flight 7 --json "$echo"
        is 'one request, and room for seven' "$(member requests)" 1
}

percentiles_are_in_order() {
        run ferry bench --count 200 --json "$echo"
        check 'percentiles are not in order' awk -v all="$(member min_us) $(member p50_us) $(member p90_us) $(member p99_us) $(member p999_us) $(member max_us)" \
                'BEGIN { n = split(all, us, " "); if (n != 6 || us[1] <= 0) exit 1; for (i = 2; i <= n; i++) if (us[i] < us[i - 1]) exit 1 }'
}

a_report_has_rate_percentiles_and_histogram() {
        run ferry bench --count 50 "$echo"
        check 'a report' [ "$status" = 0 ]
        is 'its first line' "$(sed -n 1p out)" "$echo: stream exec, dialect ferry, 64 bytes, 1 in flight"
        check 'its rate' grep -qE '^50 requests in [0-9.]+ s: [0-9]+ requests/s, [0-9.]+ MiB/s in bodies$' out
        check 'its latencies' grep -qE '^us: min [0-9.]+, p50 [0-9.]+, p90 [0-9.]+, p99 [0-9.]+, p99.9 [0-9.]+, max [0-9.]+$' out
        is 'the answers in its histogram' "$(sed -n '/from us/,$p' out | sed 1d | awk '{ n += $(NF - 1) } END { print n }')" 50
        check 'its longest bar' grep -qE '#{40}' out
}

the_stream_that_was_used_is_named() {
        start ferry listen unix:echo.sock --echo --quiet
        run ferry bench --wait 20 --count 5 --json unix:echo.sock
        is 'the stream of a unix socket' "$(member stream)" '"unix"'
        run ferry bench --count 5 --json --dialect stream-ipc --type 'App\Ask' unix:echo.sock
        is 'the dialect that was asked for' "$(member dialect)" '"stream-ipc"'
        interrupt TERM
        start ferry listen tcp:127.0.0.1:0 --echo --verbose --quiet
        soon grep -q 'tcp:127.0.0.1:[1-9]' "$job_err"
        run ferry bench --count 5 --json "$(grep -om1 'tcp:127.0.0.1:[0-9]*' "$job_err")"
        is 'the stream of tcp' "$(member stream)" '"tcp"'
        interrupt TERM
}

a_bench_ends_when_its_time_is_over() {
        run ferry bench --seconds 0.05 --json "$echo"
        check 'a bench of 0.05 s' [ "$status" = 0 ]
        check 'it has measured something' [ "$(member requests)" -gt 0 ]
        run ferry bench --seconds 1000 --count 10 --json "$echo"
        is 'the number of requests comes before the time' "$(member requests)" 10
}

what_cannot_be_measured_is_reported() {
        run ferry bench --count 5 'exec:ferry listen stdio:'
        ended 'a listener that answers with errors' 1 ''
        says 'a listener that answers with errors' 'ferry: the listener answers with an error, so there is nothing to measure: '
        run ferry bench --count 5 --wait 0 unix:nothing.sock
        ended 'no listener' 3 ''
        says 'no listener' "no process listens at 'nothing.sock'"
        run ferry bench --count 5 --timeout 0.05 'exec:sleep 100'
        ended 'a listener that does not answer' 124 ''
        nothing_left 'a listener that does not answer'
        run ferry bench --count 5 --size 16777216 "$echo"
        ended 'a body that no message can have' 4 ''
        run ferry bench --count 100 --in-flight 100 --size 1048576 "$echo"
        check 'more than the queue takes' [ "$status" = 3 ]
        says 'more than the queue takes' 'ferry: 100 bodies of 1048576 bytes do not fit into the queue at once: lower --in-flight or --size'
        nothing_left 'more than the queue takes'
}

what_was_measured_before_a_failure_is_printed() {
        # The first one is not counted; the fourth ends the listener.
        run ferry bench --count 10 --json 'exec:ferry listen stdio: --workers 1 --exec "echo >> n; [ \$(wc -l < n) -lt 4 ] || kill -9 \$PPID; cat"'
        is 'answers before the listener was killed' "$(member requests)" 2
        check 'its exit status' [ "$status" = 3 ]
        nothing_left 'a listener that was killed'
}

a_signal_ends_a_bench_with_its_report() {
        start ferry listen unix:long.sock --exec 'echo >> served; cat' --quiet
        local listener=$job
        start ferry bench --wait 20 --seconds 1000 unix:long.sock
        soon test -s served
        soon eval '(( $(wc -l < served) > 3 ))'
        interrupt INT
        check 'a bench that was interrupted' [ "$status" = 130 ]
        check 'it has no report' grep -q '^[0-9]* requests* in ' out
        is 'it says nothing else' "$(cat err)" ''
        kill -TERM "$listener"
        await "$listener"
}

arguments_are_checked() {
        local arguments said

        while IFS='|' read -r arguments said; do
                # shellcheck disable=SC2086 # several words
                run ferry bench $arguments
                check "bench $arguments: $status" [ "$status" = 2 ]
                says "bench $arguments" "$said"
        done << 'END'
|bench needs ADDRESS
name other|unexpected argument 'other'
--count 0 name|--count: 0 is less than 1
--count x name|--count: 'x' is not a whole decimal number
--in-flight 0 name|--in-flight: 0 is less than 1
--in-flight 65537 name|--in-flight: 65537 is more than 65536
--size 0 name|--size: 0 is less than 1
--size 16777217 name|--size: 16777217 is more than 16777216
--seconds 0 name|--seconds: '0' is not a number of seconds above 0
--seconds none name|--seconds: 'none' is not a number of seconds above 0
--seconds -1 name|--seconds: '-1' is not a number of seconds
--workers 3 name|bench takes no --workers
--wait 1 exec:cat|bench: --wait is not for exec:, fd:, file: and stdio:
udp:127.0.0.1:5000|'udp:127.0.0.1:5000' is a channel, not a session
END
}

stdout_that_takes_nothing_is_an_error() {
        run sh -c "exec ferry bench --count 5 '$echo' > /dev/full"
        ended 'a full disk' 3 ''
        says 'a full disk' 'cannot write to stdout: No space left on device'
        run sh -c "exec ferry bench --count 5 '$echo' >&-"
        ended 'a closed stdout' 3 ''
}

aside a_bench_counts_each_answer_once percentiles_are_in_order
aside a_report_has_rate_percentiles_and_histogram a_bench_ends_when_its_time_is_over
aside the_stream_that_was_used_is_named a_signal_ends_a_bench_with_its_report
aside what_cannot_be_measured_is_reported arguments_are_checked
aside what_was_measured_before_a_failure_is_printed stdout_that_takes_nothing_is_an_error
finish
