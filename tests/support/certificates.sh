#!/usr/bin/env bash
# Makes the certificates of the tests, good until 2126: for each of two directories a root, and a server's with its key.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

# make DIRECTORY NAME ALTERNATIVE USAGE: DIRECTORY/ca.pem, and in $work the server's server.pem and server.key.
make() {
  key "$work/ca.key"
  openssl req -x509 -new -key "$work/ca.key" -sha256 -days 36500 -subj "/CN=Taskwire test root" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -out "$1/ca.pem"
  key "$work/server.key"
  openssl req -new -key "$work/server.key" -subj "/CN=$2" -out "$work/server.csr"
  printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nextendedKeyUsage=%s\n' "$3" "$4" >"$work/extensions"
  openssl x509 -req -in "$work/server.csr" -CA "$1/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -CAserial "$work/serial" \
    -sha256 -days 36500 -extfile "$work/extensions" -out "$work/server.pem" 2>/dev/null
}

# The receiver of deliveries.
make delivery/tls receiver.test DNS:receiver.test serverAuth
cp "$work/server.pem" "$work/server.key" delivery/tls/
# A mongod, which connects to its neighbours with the same.
make flow/tls 127.0.0.1 IP:127.0.0.1 serverAuth,clientAuth
cat "$work/server.pem" "$work/server.key" >flow/tls/mongod.pem
