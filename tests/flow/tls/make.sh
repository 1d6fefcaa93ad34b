#!/usr/bin/env bash
# Makes the certificates of the tests' mongod: a root, and a server's for 127.0.0.1 with its key. Both are good until 2126.
set -euo pipefail
cd "$(dirname "$0")"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
key "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -sha256 -days 36500 -subj "/CN=Taskwire test root" \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -out ca.pem
key "$work/server.key"
openssl req -new -key "$work/server.key" -subj "/CN=127.0.0.1" -out "$work/server.csr"
printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth,clientAuth\n' >"$work/extensions"
openssl x509 -req -in "$work/server.csr" -CA ca.pem -CAkey "$work/ca.key" -CAcreateserial -CAserial "$work/serial" \
  -sha256 -days 36500 -extfile "$work/extensions" -out "$work/server.pem" 2>/dev/null
cat "$work/server.pem" "$work/server.key" >mongod.pem
