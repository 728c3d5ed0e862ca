# For scripts with a private nats-server of the system, on a free port of the loopback. $folder is the suite's.

# need_server SUITE: $server, the program; where it is not installed, the suite is left out.
need_server() {
        server=$(PATH=$PATH:/usr/sbin command -v nats-server) && return
        echo "SKIPPED $1: nats-server is not installed"
        echo "$1: 0 passed, 0 failed, 1 skipped"
        exit 0
}

has_port() {
        grep -qs 'nats://' "$1"/*.ports
}

# start_server NAME OPTION…: NATS_URL; $job is its process.
start_server() {
        local name=$1
        shift
        mkdir "$name"
        start "$server" -a 127.0.0.1 -p -1 --ports_file_dir "$folder/$name" "$@"
        soon has_port "$name"
        url=$(grep -o 'nats://[0-9.:]*' "$name"/*.ports | head -n 1)
        export NATS_URL=$url
}
