#!/bin/bash
# The tool and private nats-servers of the system that speak TLS, and want keys or credentials, with certificates and keys that are made
# for the run. Takes the build directory. What is not installed leaves out what needs it.
for tool in nats-server openssl; do
        PATH=$PATH:/usr/sbin command -v "$tool" > /dev/null || missing="${missing-} $tool"
done
module=$(ls "${1:?usage: test-tls.sh BUILD}"/modules/libferry-tls.so.* 2> /dev/null | grep -v '\.p$' | head -n 1)
[ -n "$module" ] || missing="${missing-} libssl-dev (libferry-tls was not built)"
if [ -n "${missing-}" ]; then
        echo "skipped: cli-tls: not installed:$missing"
        echo 'cli-tls: 0 passed, 0 failed, 1 skipped'
        exit 0
fi
module=$(realpath "$module")
server=$(PATH=$PATH:/usr/sbin command -v nats-server)
. "$(dirname "${BASH_SOURCE[0]}")/../support/shell.sh"
suite cli-tls "$1"
export FERRY_TLS_MODULE=$module
# What the system trusts is of no interest here.
export SSL_CERT_DIR=/nonexistent SSL_CERT_FILE=/nonexistent

# make_certificate NAME CA DAYS EXTENSION…: NAME.pem and NAME.key
make_certificate() {
        local name=$1 ca=$2 days=$3
        shift 3
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$name.key" -out "$name.csr" -subj "/CN=$name" 2> /dev/null
        printf '%s\n' "$@" > "$name.ext"
        openssl x509 -req -in "$name.csr" -CA "$ca.pem" -CAkey "$ca.key" -CAcreateserial -days "$days" -extfile "$name.ext" \
                -out "$name.pem" 2> /dev/null
}

make_ca() {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -out "$1.pem" -days 2 -subj "/CN=$1" \
                2> /dev/null
}

make_ca ca
make_ca other-ca
make_certificate good ca 2 'subjectAltName=DNS:some-host,IP:127.0.0.1'
make_certificate expired ca -1 'subjectAltName=DNS:some-host,IP:127.0.0.1'
# The name stands only where programs no longer look.
make_certificate 127.0.0.1 ca 2 'basicConstraints=CA:FALSE'
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout self.key -out self.pem -days 2 -subj /CN=self \
        -addext subjectAltName=IP:127.0.0.1 2> /dev/null
make_certificate client ca 2 'extendedKeyUsage=clientAuth'
make_certificate stranger other-ca 2 'extendedKeyUsage=clientAuth'
check 'the certificates' [ -s stranger.pem ]
nkeys=$(dirname "$module")/../tests/nkeys
sessions=$(dirname "$module")/../tests/tls-sessions
mkdir -p keys && "$nkeys" keys
mkdir -p names
printf '#!/bin/sh\necho "127.0.0.1 STREAM"\n' > names/getent
chmod +x names/getent

servers=()
# start_server NAME OPTION…: $place
start_server() {
        local name=$1
        shift
        mkdir "$name.d"
        start "$server" -a 127.0.0.1 -p -1 --ports_file_dir "$folder/$name.d" "$@"
        servers+=("$job")
        soon has_port "$name"
        place=$(grep -oE '(nats|tls)://[0-9.:]*' "$name.d"/*.ports | head -n 1)
        place=${place#*://}
}

has_port() {
        grep -qsE '(nats|tls)://' "$1.d"/*.ports
}

start_server plain
plain=$place
start_server tls --tls --tlscert good.pem --tlskey good.key
tls=$place
start_server expired --tls --tlscert expired.pem --tlskey expired.key
expired=$place
start_server self --tls --tlscert self.pem --tlskey self.key
self=$place
start_server nameless --tls --tlscert 127.0.0.1.pem --tlskey 127.0.0.1.key
nameless=$place
start_server mutual --tlsverify --tlscert good.pem --tlskey good.key --tlscacert ca.pem
mutual=$place
start_server keys -c keys/keys.conf
keys=$place
start_server operator -c keys/operator.conf
operator=$place

# no_responders NAME VARIABLE…: the login was taken
no_responders() {
        local name=$1
        shift
        run env "$@" ferry call --wait 0 nats:vacant x
        ended "$name" 3 ''
        says "$name" 'no responders'
}

# fails NAME STATUS SENTENCE VARIABLE…
fails() {
        local name=$1 expected=$2 sentence=$3
        shift 3
        run env "$@" ferry call --wait 0 nats:vacant x
        ended "$name" "$expected" ''
        says "$name" "$sentence"
}

a_server_that_requires_tls_gets_it() {
        no_responders 'a server that requires TLS' NATS_URL="nats://$tls" NATS_CA=ca.pem
        no_responders 'a URL that asks for TLS' NATS_URL="tls://$tls" NATS_CA=ca.pem
        no_responders 'the certificates of the system' NATS_URL="nats://$tls" SSL_CERT_FILE=ca.pem
        no_responders 'a server with a name' PATH="$folder/names:$PATH" NATS_URL="tls://some-host:${tls##*:}" NATS_CA=ca.pem
}

bodies_of_any_size_pass_by_tls() {
        export NATS_URL=tls://$tls NATS_CA=ca.pem
        start ferry listen nats:shout --exec 'tr a-z A-Z' --quiet
        run ferry call --wait 20 nats:shout x hello
        ended 'a call' 0 HELLO
        local size
        for size in 16000 16384 500000 1000000; do
                head -c "$size" /dev/zero | tr '\0' a > much
                tr a A < much > expected
                run ferry call nats:shout x - < much
                ended "a body of $size bytes" 0 @expected
        done
        interrupt TERM
        is 'the listener' "$status" 0
        seq 1 200 > lines
        start ferry listen nats:each --exec cat --workers 4 --quiet
        run ferry call --wait 20 --each --in-flight 1 nats:each x - < lines
        is 'many calls' "$status" 0
        check 'many calls, each answered' cmp -s lines <(sort -n out)
        interrupt TERM
        unset NATS_URL NATS_CA
}

a_server_that_is_not_trusted_gets_no_login() {
        fails 'no CA' 3 'set nats_ca (NATS_CA) to a file with the certificate of its issuer' NATS_URL="nats://user:secret@$tls"
        fails 'another CA' 3 'the certificate of the server is not trusted' NATS_URL="nats://user:secret@$tls" NATS_CA=other-ca.pem
        fails 'a certificate that its own key has signed' 3 'set nats_ca (NATS_CA)' NATS_URL="nats://$self" NATS_CA=ca.pem
        no_responders 'the same, which is trusted' NATS_URL="nats://$self" NATS_CA=self.pem
        fails 'an expired certificate' 3 'certificate has expired' NATS_URL="nats://$expired" NATS_CA=ca.pem
        says 'an expired certificate' 'check the clock of this machine'
        fails 'another host' 3 "ostname mismatch, as it does not name 'other-host'; write the host in the URL" PATH="$folder/names:$PATH" \
                NATS_URL="nats://other-host:${tls##*:}" NATS_CA=ca.pem
        fails 'a name without an alternative name' 3 "IP address mismatch, as it does not name '127.0.0.1'" NATS_URL="nats://$nameless" NATS_CA=ca.pem
}

a_server_without_tls_is_refused_where_tls_is_asked_for() {
        fails 'tls://' 4 'does not offer TLS, which its URL asks for' NATS_URL="tls://user:secret@$plain"
        fails 'NATS_CA' 4 'does not offer TLS, which a file of certificates asks for' NATS_URL="nats://$plain" NATS_CA=ca.pem
        no_responders 'a plain server' NATS_URL="nats://$plain"
}

a_client_shows_its_certificate() {
        no_responders 'a certificate' NATS_URL="nats://$mutual" NATS_CA=ca.pem NATS_CERT=client.pem NATS_KEY=client.key
        fails 'no certificate' 4 'the server wants a certificate of this side' NATS_URL="nats://$mutual" NATS_CA=ca.pem
        fails 'the certificate of another CA' 4 'the server does not take the certificate of this side' NATS_URL="nats://$mutual" NATS_CA=ca.pem \
                NATS_CERT=stranger.pem NATS_KEY=stranger.key
}

files_are_checked() {
        export NATS_URL=nats://$tls
        fails 'a CA that is missing' 4 "cannot use the certificates of 'missing.pem': No such file or directory" NATS_CA=missing.pem
        fails 'a CA that is none' 4 "cannot use the certificates of 'good.key'" NATS_CA=good.key
        fails 'a certificate without its key' 4 'go together' NATS_CA=ca.pem NATS_CERT=client.pem
        fails 'a key without its certificate' 4 'go together' NATS_CA=ca.pem NATS_KEY=client.key
        fails 'a certificate that is none' 4 "cannot use the certificate 'client.key'" NATS_CA=ca.pem NATS_CERT=client.key NATS_KEY=client.key
        fails 'the key of another certificate' 4 "cannot use the private key 'good.key'" NATS_CA=ca.pem NATS_CERT=client.pem NATS_KEY=good.key
        openssl ec -in client.key -aes128 -passout pass:x -out locked.key 2> /dev/null
        fails 'a key with a password' 4 "cannot use the private key 'locked.key'" NATS_CA=ca.pem NATS_CERT=client.pem NATS_KEY=locked.key
        unset NATS_URL
}

a_user_signs_with_its_key() {
        no_responders 'a key' NATS_URL="nats://$keys" NATS_NKEY=keys/user.nk
        no_responders 'the key in a file of credentials' NATS_URL="nats://$keys" NATS_NKEY=keys/user.creds
        fails 'no key' 4 'Authorization Violation' NATS_URL="nats://$keys"
        fails 'the key of another user' 4 'Authorization Violation' NATS_URL="nats://$keys" NATS_NKEY=keys/stranger.nk
        no_responders 'a server that asks for no key' NATS_URL="nats://$plain" NATS_NKEY=keys/user.nk
        fails 'a key with a wrong letter' 4 'a letter of it is wrong' NATS_URL="nats://$keys" NATS_NKEY=keys/wrong.nk
        fails 'the key of an account' 4 'has no seed of a user' NATS_URL="nats://$keys" NATS_NKEY=keys/account.nk
        fails 'an empty file' 4 'has no seed' NATS_URL="nats://$keys" NATS_NKEY=keys/empty.nk
        fails 'a file that is missing' 3 "cannot read the credentials 'missing'" NATS_URL="nats://$keys" NATS_NKEY=missing
        fails 'a directory' 4 'it is not a file' NATS_URL="nats://$keys" NATS_NKEY=keys
        mkfifo fifo
        fails 'a FIFO' 4 'it is not a file' NATS_URL="nats://$keys" NATS_NKEY=fifo
        head -c 70000 /dev/zero > large
        fails 'a file that is too large' 4 'more than 65,536 bytes' NATS_URL="nats://$keys" NATS_NKEY=large
        fails 'a key and credentials' 4 'set one of them' NATS_URL="nats://$keys" NATS_NKEY=keys/user.nk NATS_CREDS=keys/user.creds
}

# serves WHAT VARIABLE…: listeners, calls, tasks and lists; and all that is encrypted is said to be.
serves() {
        local what=$1
        shift
        local variables=("$@")
        start env "${variables[@]}" ferry listen nats:upper --exec 'tr a-z A-Z' --workers 2 --quiet
        run env "${variables[@]}" ferry call --verbose --wait 20 nats:upper x hello
        ended "$what: a call" 0 HELLO
        says "$what: a call" '"stream":"nats+tls"'
        run env "${variables[@]}" ferry list nats:
        is "$what: the list" "$status" 0
        check "$what: the list names the service" grep -q '^upper ' out
        seq 1 100 > lines
        run env "${variables[@]}" ferry run --on nats:upper --ordered < lines
        is "$what: tasks" "$status" 0
        check "$what: each task is done, in order" cmp -s lines out
        run env "${variables[@]}" ferry notify nats:upper x hello
        ended "$what: a notification" 0 ''
        interrupt TERM
        is "$what: the listener" "$status" 0
}

services_and_pools_work_by_tls_with_keys_and_credentials() {
        start_server both-keys --tls --tlscert good.pem --tlskey good.key -c keys/keys.conf
        serves 'a key' NATS_URL="tls://$place" NATS_CA=ca.pem NATS_NKEY=keys/user.nk
        start_server both-operator --tlsverify --tlscert good.pem --tlskey good.key --tlscacert ca.pem -c keys/operator.conf
        serves 'credentials' NATS_URL="tls://$place" NATS_CA=ca.pem NATS_CERT=client.pem NATS_KEY=client.key NATS_CREDS=keys/user.creds
}

a_user_shows_its_credentials() {
        no_responders 'credentials' NATS_URL="nats://$operator" NATS_CREDS=keys/user.creds
        fails 'no credentials' 4 'Authorization Violation' NATS_URL="nats://$operator"
        fails 'credentials that no account has signed' 4 'Authorization Violation' NATS_URL="nats://$operator" NATS_CREDS=keys/stranger.creds
        fails 'a JWT with the seed of another user' 4 'Authorization Violation' NATS_URL="nats://$operator" NATS_CREDS=keys/mixed.creds
        fails 'credentials without a JWT' 4 'has no JWT' NATS_URL="nats://$operator" NATS_CREDS=keys/user.nk
}

# What a system trusts is much, and is needed once.
the_certificates_that_are_trusted_are_forgotten_behind_the_handshake() {
        local each
        cp ca.pem many.pem
        for i in $(seq 100); do
                make_ca "ca-$i"
                cat "ca-$i.pem" >> many.pem
        done
        each=$(NATS_URL="tls://$tls" NATS_CA=many.pem "$sessions" 40)
        check "a session by TLS takes at most 200 KiB: $each" [ "${each:-1000}" -le 200 ]
}

a_missing_module_is_explained() {
        fails 'no module, for TLS' 4 'need the module libferry-tls' NATS_URL="nats://$tls" FERRY_TLS_MODULE=/nonexistent
        says 'no module, for TLS' 'libssl-dev' 'leaf node' 'No such file'
        fails 'no module, for a URL' 4 'need the module libferry-tls' NATS_URL="tls://$tls" FERRY_TLS_MODULE=/nonexistent
        fails 'no module, for a key' 4 'need the module libferry-tls' NATS_URL="nats://$keys" NATS_NKEY=keys/user.nk FERRY_TLS_MODULE=/nonexistent
        fails 'a path that is not whole' 4 'write the whole path' NATS_URL="tls://$tls" FERRY_TLS_MODULE=libferry-tls.so
        fails 'a file that is no module' 4 'cannot be loaded from' NATS_URL="tls://$tls" FERRY_TLS_MODULE="$folder/ca.pem"
        mkfifo fifo-module
        fails 'a FIFO as module' 4 'it is not a file' NATS_URL="tls://$tls" FERRY_TLS_MODULE="$folder/fifo-module"
        fails 'a folder as module' 4 'it is not a file' NATS_URL="tls://$tls" FERRY_TLS_MODULE="$folder"
        libc=$(ldd "$build/ferry" | awk '/libc\.so|libc\.musl/ { print $3; exit }')
        [ -z "$libc" ] || fails 'another library' 4 'it is something else' NATS_URL="tls://$tls" FERRY_TLS_MODULE="$libc"
        no_responders 'no module where none is needed' NATS_URL="nats://$plain" FERRY_TLS_MODULE=/nonexistent
}

a_server_that_is_killed_cuts_the_connection() {
        start_server killed --tls --tlscert good.pem --tlskey good.key
        local job_of_server=$job
        export NATS_URL=tls://$place NATS_CA=ca.pem
        start ferry listen nats:stays --exec 'if [ -e held ]; then cat; else touch held; exec sleep 20; fi' --quiet
        local listener=$job
        start ferry call --wait 20 nats:stays x
        local caller=$job
        soon [ -e held ]
        kill -KILL "$job_of_server"
        await "$caller"
        ended 'a call' 3 ''
        says 'a call' 'the server has not ended TLS'
        await "$job_of_server"
        # The listener connects again, by TLS again.
        start "$server" -a 127.0.0.1 -p "${place##*:}" --tls --tlscert good.pem --tlskey good.key
        servers+=("$job")
        run ferry call --wait 20 nats:stays x again
        ended 'a call behind a restart' 0 again
        kill -TERM "$listener"
        await "$listener"
        is 'the listener' "$status" 0
        unset NATS_URL NATS_CA
}

a_server_that_requires_tls_gets_it
bodies_of_any_size_pass_by_tls
a_server_that_is_not_trusted_gets_no_login
a_server_without_tls_is_refused_where_tls_is_asked_for
a_client_shows_its_certificate
files_are_checked
a_user_signs_with_its_key
a_user_shows_its_credentials
services_and_pools_work_by_tls_with_keys_and_credentials
the_certificates_that_are_trusted_are_forgotten_behind_the_handshake
a_missing_module_is_explained
a_server_that_is_killed_cuts_the_connection
for job in "${servers[@]}"; do
        kill -TERM "$job" 2> /dev/null
        await "$job"
done
finish
