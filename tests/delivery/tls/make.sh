#!/usr/bin/env bash
# Makes the certificates of the tests: a root, and a server's for receiver.test. Both are good until 2126.
set -euo pipefail
cd "$(dirname "$0")"
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
key "$work/ca.key"
openssl req -x509 -new -key "$work/ca.key" -sha256 -days 36500 -subj "/CN=Taskwire test root" \
  -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign" -out ca.pem
key server.key
openssl req -new -key server.key -subj "/CN=receiver.test" -out "$work/server.csr"
printf 'subjectAltName=DNS:receiver.test\nbasicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n' >"$work/extensions"
openssl x509 -req -in "$work/server.csr" -CA ca.pem -CAkey "$work/ca.key" -CAcreateserial -CAserial "$work/serial" \
  -sha256 -days 36500 -extfile "$work/extensions" -out server.pem 2>/dev/null
