#!/bin/bash
# The programs of README and of the pages in docs, as they stand there. Takes the build directory.
#
# The info string of a fenced block says what it is:
#       c NAME.c [PACKAGE]      a program: it is compiled, with what pkg-config says of the package
#       sh NAME.sh, php NAME.php        a file that the programs use
#       sh [NEED]               is run, with the programs in the folder it runs in; NEED: php, sshd (beside a private one, which is
#                               reached as the machines one and two), nats (beside a private server with JetStream), or a package
#       output                  what the block before it prints, byte for byte
# Blocks of other kinds are only shown. What needs PHP or a package that is not installed is skipped, in plain sight.
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../support/nats.sh"
suite pages "${1:?usage: test-pages.sh BUILD}"

if nm "$build/src/libferry.a" 2> /dev/null | grep -q __asan; then
        skipped 'the programs of the pages: they are compiled without sanitizers'
        finish
fi

# cut PAGE: the files, and NUMBER.run, NUMBER.need and NUMBER.out of what is run; NAME.c.package
cut_page() {
        awk '
                !is_in && /^```[a-z]/ {
                        is_in = 1; file = ""; kind = substr($1, 4)
                        if (kind == "output") file = n ".out"
                        else if ($2 ~ /\.(c|sh|php)$/) { file = $2; if (kind == "c") { print $3 > (file ".package") } }
                        else if (kind == "sh") { file = sprintf("%02d", ++i) ".run"; n = sprintf("%02d", i); print $2 > (n ".need") }
                        if (file != "") printf "" > file
                        next
                }
                is_in && /^```/ { is_in = 0; if (file != "") close(file); next }
                is_in && file != "" { print > file }' "$1"
}

# Whether what a block needs is there.
has() {
        case $1 in
        '') ;;
        sshd) PATH=$PATH:/usr/sbin command -v sshd && command -v ssh ;;
        nats) PATH=$PATH:/usr/sbin command -v nats-server ;;
        php) command -v php > /dev/null && php -r 'exit(extension_loaded("sysvshm") && extension_loaded("sockets") ? 0 : 1);' ;;
        *) pkg-config --exists "$1" ;;
        esac > /dev/null 2>&1
}

compile() { # NAME.c
        local package

        package=$(< "$1.package")
        # shellcheck disable=SC2046
        ${CC:-gcc} -Wall -Wpedantic -Werror -I"$tests/../include" -o "${1%.c}" "$1" "$build/src/libferry.a" \
                ${package:+$(pkg-config --cflags --libs "$package")} > "$1.log" 2>&1
        echo $? > "$1.status"
}

# page FILE PROGRAMS RUNS: at least so many there must be
page() {
        local file need beside name=$1 page=$tests/../$1 programs blocks

        cut_page "$page"
        shopt -s nullglob
        programs=(*.c) blocks=(*.run)
        for file in "${programs[@]}"; do
                need=$(< "$file.package")
                if has "$need"; then
                        compile "$file" &
                else
                        skipped "$name: ${file%.c}, as $need is not installed"
                fi
        done
        wait
        for file in *.c.status; do
                is "$name: ${file%.status} is compiled: $(head -c 2000 "${file%.status}.log")" "$(< "$file")" 0
        done
        # The library that the PHP programs use is not installed where tests run: this one has the same calls.
        mkdir vendor
        printf '<?php require "%s";\n' "$tests/examples/php-stream-ipc.php" > vendor/autoload.php
        find . -maxdepth 1 -name '*.sh' -exec chmod +x {} +
        export FERRY_DIR=$PWD/names
        for file in "${blocks[@]}"; do
                need=$(< "${file%.run}.need")
                if ! has "$need"; then
                        skipped "$name: block $file, as $need is not installed"
                        continue
                fi
                beside=()
                [[ $need != sshd ]] || beside=(bash "$tests/../tools/sshd.sh")
                if [[ $need == nats ]]; then
                        server=$(PATH=$PATH:/usr/sbin command -v nats-server)
                        start_server "nats-$file" --jetstream --store_dir "$PWD/nats-$file/store"
                fi
                run "${beside[@]}" bash -e "$file" < /dev/null
                if [[ -e ${file%.run}.out ]]; then
                        ended "$name: $(head -1 "$file")" 0 "@${file%.run}.out"
                else
                        ended "$name: $(head -1 "$file")" 0 -
                fi
                [[ $status == 0 ]] || show
                nothing_left "$name: $(head -1 "$file")"
                if [[ $need == nats ]]; then
                        kill -TERM "$job"
                        await "$job"
                fi
        done
        check "$name: the programs are found" test ${#programs[@]} -ge "$2"
        check "$name: what is run is found" test ${#blocks[@]} -ge "$3"
}

readme() { page README.md 4 4; }
tutorial() { page docs/tutorial.md 6 8; }
howto() { page docs/howto.md 7 8; }
channels() { page docs/channels.md 2 3; }
protocol() { page docs/protocol.md 0 1; }

aside readme tutorial howto channels protocol
finish
