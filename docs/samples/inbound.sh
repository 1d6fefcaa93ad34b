#!/usr/bin/env bash
# Calls the inbound endpoint with curl, signed with openssl: for trying it by hand. In a program use one of the other
# samples: here the key stands on openssl's command line, which other users of the machine can see.
#
#     INBOUND_SECRET=... inbound.sh POST <base>/api/integrations/inbound/<groupId>/tasks < body.json
#     INBOUND_SECRET=... inbound.sh GET <base>/api/integrations/inbound/<groupId>/tasks/<externalId>
#
# Prints the HTTP status, then the answer. Exit 0 for a 2xx.
set -euo pipefail

if [ $# -ne 2 ] || [ -z "${INBOUND_SECRET:-}" ]; then
  echo "INBOUND_SECRET=... inbound.sh POST|GET <url> < body" >&2
  exit 2
fi
method=$1 url=$2
body=$(mktemp)
trap 'rm -f "$body"' EXIT
# The signature is over the very bytes that are sent. A GET is signed over an empty body.
if [ "$method" = POST ]; then cat >"$body"; fi

timestamp=$(date +%s)
key=$(printf %s "$INBOUND_SECRET" | od -An -v -tx1 | tr -d ' \n')
signature=$({ printf '%s.' "$timestamp"; cat "$body"; } |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r | cut -d' ' -f1)

arguments=(--silent --show-error --max-time 40 --request "$method" --write-out '\n%{http_code}')
arguments+=(--header "X-Timestamp: $timestamp" --header "X-Signature: sha256=$signature")
if [ "$method" = POST ]; then arguments+=(--header 'Content-Type: application/json' --data-binary "@$body"); fi
answer=$(curl "${arguments[@]}" "$url")
status=${answer##*$'\n'}
printf '%s\n%s\n' "$status" "${answer%$'\n'*}"
[[ $status == 2* ]]
