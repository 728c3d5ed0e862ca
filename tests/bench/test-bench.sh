#!/bin/bash
# The benchmark works: each driver does its work with right answers, figures have their shape, failures are reported. How fast
# anything is is not looked at. With FERRY_LONG all kinds of work and all libraries that are installed are run, else some.
# Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite bench "${1:?usage: test-bench.sh BUILD}"
bench=$build/bench/bench

# The figures of a file: each a line "WORK PLACEMENT SUBJECT", after a look at its members.
figures() { # FILE
        python3 - "$1" << 'END'
import json, sys
for figure in json.load(open(sys.argv[1])):
    assert list(figure) == ["work", "placement", "subject", "value", "unit", "floor_ratio"], figure
    assert figure["value"] > 0 or figure["work"].endswith(("/cpu", "/same-cpu")), figure
    assert figure["floor_ratio"] is None or figure["floor_ratio"] > 0, figure
    print(figure["work"], figure["placement"], figure["subject"])
END
}

has_figure() { # WORK PLACEMENT SUBJECT
        grep -qx "$1 $2 $3" figures
}

works_have_figures() {
        local work works='round-trip one-way connect spawn-1m' options=(--subjects 'floor-*,ferry-*')

        if [[ -n ${FERRY_LONG:-} ]]; then
                works=$("$bench" --help | sed -n '/^work:/,/^$/p' | awk 'NR > 1 && NF { print $1 }')
                options=()
                # A thousand clients have as many descriptors.
                [[ $(ulimit -H -n) == unlimited || $(ulimit -H -n) -ge 1200 ]] ||
                        works=$(grep -vx -e fan-in-1000 -e idle <<< "$works")
        fi
        mark
        # shellcheck disable=SC2086 # one word for each work
        timeout 280 "$bench" --quick --cpus one --json figures.json "${options[@]}" $works > out 2> err
        status=$?
        check "the bench: $(tail -3 err)" [ "$status" = 0 ]
        figures figures.json > figures
        check 'the figures' [ $? = 0 ]
        for work in $works; do
                case $work in
                channel-* | store-*) check "$work has a figure" grep -q "^$work.* one ferry$" figures ;;
                run-tasks) check "$work has a figure" has_figure "$work" any ferry-run ;;
                instructions) command -v valgrind > /dev/null && check "$work has a figure" has_figure "$work/client" one ferry-unix ;;
                *-decode-* | *-encode-*) check "$work has a figure" has_figure "$work" one ferry ;;
                tasks) command -v nats-server /usr/sbin/nats-server > /dev/null && check "$work has a figure" has_figure "$work" one ferry-nats ;;
                *) check "$work has a figure" has_figure "$work" one ferry-unix ;;
                esac
        done
        for work in round-trip one-way; do
                check "$work over the ring has a figure" has_figure "$work" one ferry-ring
        done
        nothing_left 'a bench that has ended'
}

ratios_to_the_floor_are_those_of_the_values() {
        run "$bench" --quick --cpus one --subjects ferry-unix --json ratio.json round-trip fan-in-4
        python3 - > ratios 2>&1 << 'END'
import json
figures = {(f["work"], f["subject"]): f for f in json.load(open("ratio.json"))}
for work, is_rate in (("round-trip", False), ("fan-in-4", True)):
    floor, ours = figures[work, "floor-unix"], figures[work, "ferry-unix"]
    ratio = ours["value"] / floor["value"]
    assert floor["floor_ratio"] == 1, floor
    assert floor["unit"] == ("messages/s" if is_rate else "us"), floor
    # One block, so the median of the ratios is the ratio of the medians.
    assert abs(ours["floor_ratio"] / ratio - 1) < 0.01, (ours, floor)
END
        check "the ratios: $(tail -1 ratios)" [ $? = 0 ]
        is 'what the ratios say' "$(cat ratios)" ''
}

# The page gets the machine, a chart of each kind of work that was measured, and the tables; a second run leaves it as it is.
a_page_gets_tables_and_charts() {
        local pages=$tests/../docs page="python3 $tests/../bench/page.py"

        mkdir docs docs/charts
        cp "$pages/benchmarks.md" docs
        touch docs/charts/spawn.svg
        cat > figures.json << 'END'
[{"work": "round-trip", "placement": "one", "subject": "floor-unix", "value": 5, "unit": "us", "floor_ratio": 1},
 {"work": "round-trip", "placement": "one", "subject": "ferry-unix", "value": 7.25, "unit": "us", "floor_ratio": 1.45},
 {"work": "round-trip", "placement": "two", "subject": "a<b", "value": 1234.5, "unit": "us", "floor_ratio": null}]
END
        echo 'the table & its <rows>' > tables
        run $page figures.json tables docs
        ended 'a page' 0 ''
        is 'its charts' "$(ls docs/charts)" round-trip.svg
        python3 - > drawn << 'END'
import xml.etree.ElementTree as tree
texts = [text.text for text in tree.parse("docs/charts/round-trip.svg").iter("{http://www.w3.org/2000/svg}text")]
print("|".join(texts[2:]))
END
        is 'what the chart says' "$(cat drawn)" \
                'round-trip, one CPU: µs|floor-unix|5.00|ferry-unix|7.25 (1.45)|round-trip, two CPUs: µs|a<b|1,234'
        check 'the chart is in the page' grep -qF '](charts/round-trip.svg)' docs/benchmarks.md
        check 'the table is in the page' grep -qxF 'the table & its <rows>' docs/benchmarks.md
        check 'the machine is in the page' grep -qF "$(uname -r)" docs/benchmarks.md
        is 'what stands before it' "$(sed '/figures: begin/q' docs/benchmarks.md)" "$(sed '/figures: begin/q' "$pages/benchmarks.md")"
        cp docs/benchmarks.md first
        run $page figures.json tables docs
        check 'the second run changes the page' cmp -s first docs/benchmarks.md
        sed -i '/figures: end/d' docs/benchmarks.md
        run $page figures.json tables docs
        ended 'a page without marks' 1 ''
        says 'a page without marks' 'docs/benchmarks.md: the marks of the figures are not there'
}

# A server whose answers have the right size, and other bytes.
a_wrong_answer_is_an_error() {
        start python3 -c '
import os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind("unready")
listener.listen()
os.rename("unready", "socket")
client, _ = listener.accept()
while client.recv(95, socket.MSG_WAITALL):
    client.sendall(b"y" * 95)
'
        soon test -S socket
        run sh -c "echo 1 | exec '$build/bench/drive-floor' drive floor-unix round-trip ."
        ended 'a wrong answer' 1 ''
        says 'a wrong answer' 'floor-unix: the answer of 95 bytes is not the request'
        await "$job"
}

# The server of ferry that the last start has begun: its pid, and the folder of the sockets.
driver_is_there() {
        local pid words

        for pid in $(marked "${FERRY_TEST_MARK%/}"); do
                mapfile -d '' words < "/proc/$pid/cmdline"
                [[ ${words[0]} == */drive-ferry && ${words[1]} == serve ]] || continue
                driver=$pid sockets=${words[4]%/*}
                return 0
        done 2> /dev/null
        return 1
}

a_driver_that_dies_is_reported() {
        local driver= sockets=

        start "$bench" --rounds 10000 --cpus one --subjects ferry-unix round-trip
        soon driver_is_there
        check 'the folder of the sockets' [ -d "$sockets" ]
        kill -KILL "$driver"
        # The floor goes on alone.
        soon grep -q 'ferry-unix (both on one CPU) has failed' "$job_err"
        interrupt INT
        check 'a bench that was interrupted' [ "$status" = 130 ]
        check 'a bench that was interrupted leaves sockets' [ ! -e "$sockets" ]
        nothing_left 'a bench that was interrupted'
}

arguments_are_checked() {
        local arguments said

        while IFS='|' read -r arguments said; do
                # shellcheck disable=SC2086 # several words
                run "$bench" $arguments
                check "bench $arguments: $status" [ "$status" = 2 ]
                says "bench $arguments" "$said"
        done << 'END'
nonsense|there is no work nonsense; see --help
--rounds 0|--rounds: '0' is not a number from 1 to 10000
--rounds x|--rounds: 'x' is not a number from 1 to 10000
--cpus three|--cpus: 'three' is not one, two or any
--subjects nothing,floor-x*|--subjects: no subject matches 'nothing'
--nonsense|usage: bench
END
        run "$bench" --quick --cpus one --subjects ferry-unix --json /nowhere/figures.json round-trip
        check 'figures that cannot be written' [ "$status" = 1 ]
        says 'figures that cannot be written' 'cannot write /nowhere/figures.json: No such file or directory'
        is 'what was measured before that' "$(cat out)" ''
        run sh -c "exec '$bench' --quick --cpus one --subjects ferry-unix round-trip > /dev/full"
        ended 'a full disk' 1 ''
        says 'a full disk' 'cannot write to stdout: No space left on device'
}

aside works_have_figures
aside ratios_to_the_floor_are_those_of_the_values a_wrong_answer_is_an_error
aside a_driver_that_dies_is_reported a_page_gets_tables_and_charts
aside arguments_are_checked
finish
