#!/bin/bash
# pcntl: PHP and ferry, each as the parent and as the child of the other. The PHP peers are our own, and read as the real
# library does: a frame that is not there at once breaks them. Takes the build directory.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite pcntl-php "${1:?usage: test-pcntl.sh BUILD}"

here=$tests/interop
php=(php -n)

if ! command -v php > /dev/null; then
        skipped 'PHP is not installed, so there is no peer to talk to'
        finish
fi
if ! "${php[@]}" -r 'exit(function_exists("socket_import_stream") ? 0 : 1);'; then
        for file in "$("${php[@]}" -r 'echo ini_get("extension_dir");')/sockets.so"; do
                [[ -e $file ]] && php+=(-d extension=sockets)
        done
        if ! "${php[@]}" -r 'exit(function_exists("socket_import_stream") ? 0 : 1);'; then
                skipped 'this PHP has no sockets'
                finish
        fi
fi

# parent ROLE STATUS PRINTED COMMAND…: PHP is the parent of that
parent() {
        local role=$1 expected_status=$2 printed=$3 line

        shift 3
        run "${php[@]}" "$here/pcntl-parent.php" "$role" "$@"
        is "$role: status" "$status" 0
        check "$role: it has checked something" grep -q '^ok nothing more' out
        while read -r line; do
                case $line in
                'ok '*) pass ;;
                "status $expected_status") pass ;;
                '') ;;
                *) is "$role" "${line:0:300}" "$printed" ;;
                esac
        done < out
        [[ -z $printed ]] || check "$role: it prints $printed" grep -qxF -- "$printed" out
        nothing_left "$role"
}

parents() {
        parent echo 0 '' sh -c 'exec ferry listen fd:3 --dialect pcntl --echo > echoed'
        says_exactly 'echo' ''
        parent answer 0 '{"n":42}' ferry call fd:3 --dialect pcntl --value question '{"n":6}'
        parent hear 0 '' ferry notify fd:3 --dialect pcntl news 'of ferry'
        parent break 3 '' ferry listen fd:3 --dialect pcntl
        says 'break' 'not a frame of its dialect'

        run "${php[@]}" "$here/pcntl-parent.php" read ferry listen fd:3 --dialect pcntl --json
        check 'read: a text' grep -qF '"type":"hello child","body":"first"' out
        check 'read: a value' grep -qF '"type":"last","body":{"a":1}' out
        is 'read: a megabyte' "$(grep -c '"type":"large","body":"x\{20000\}' out)" 1
        check 'read: its end' grep -qx 'status 0' out
        nothing_left 'read'
}

# talk LINE…: ferry is the parent of the PHP child
talk() {
        run "$build/tests/pcntl-talk" "${php[@]}" "$here/pcntl-child.php" < <(printf '%s\n' "$@")
}

hello='hello parent {"from":{"child":true},"list":[1,2.5,null,"ü"]}'

children() {
        talk next 'call echo {"a":[1,{"b":[]}],"c":"ü"}' 'call 12#34# "#"' 'call none' 'call type null' 'call type -5' \
                'call type {"k":[1.5]}' 'call type "s"'
        ended 'a PHP child' 0 "$hello"$'\n''echo {"a":[1,{"b":[]}],"c":"ü"}'$'\n''12#34# "#"'$'\n''none ""'$'\n''type "string s:0:\"\";"'$'\n''type "int i:-5;"'$'\n''type "array a:1:{s:1:\"k\";a:1:{i:0;d:1.5;}}"'$'\n''type "string s:1:\"s\";"'$'\nended: 0\n'
        says_exactly 'a PHP child' $'the end\n'
        nothing_left 'a PHP child'

        talk next 'notify several 3' next next next 'call bytewise' 'call after 1'
        ended 'messages of a PHP child' 0 "$hello"$'\none of several 1\none of several 2\none of several 3\nbit by bit "whole"\nafter 1\nended: 0\n'

        talk next 'call large 1000000'
        check 'a megabyte comes' grep -q '^large "x\{20000\}' out
        is 'all of it' "$(tail -n +2 out | head -1 | tr -cd x | wc -c)" 1000000

        talk next 'call exit 7'
        ended 'a PHP child that exits' 0 -
        check 'how it has ended' grep -qx 'ended: 7' out
        check 'why there is no answer' grep -q '^no answer: .' out
        nothing_left 'a PHP child that exits'

        talk next 'call silent' 'call echo 1'
        ended 'a PHP child that does not answer' 0 -
        is 'nor after that' "$(grep -c '^no answer' out)" 2
        check 'it hears of the end' grep -qx 'the end' err
        nothing_left 'a PHP child that does not answer'

        talk next 'call false' 'call echo 1'
        is 'a payload that is not a message' "$(grep -c '^no answer: .*unserialize\|^no answer: .*not a message' out)" 2
        talk next 'call half'
        check 'half a frame' grep -q '^no answer: .*in the middle of a message' out
        nothing_left 'half a frame'
}

aside parents children
finish
