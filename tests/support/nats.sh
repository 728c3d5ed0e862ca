# For scripts with a private nats-server, which is installed: on a free port of the loopback. $folder is the suite's, and $server the program.

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
