#!/usr/bin/env bash
# Verifies a webhook's X-Signature with openssl: for looking at a request by hand. In a program use one of the other
# samples: here the key stands on openssl's command line, which other users of the machine can see, and the comparison
# is not made in constant time.
#
#     WEBHOOK_SECRET=... verify.sh <X-Timestamp> <X-Signature> [now] < body
#
# Exit 0: genuine. 1: not, with the reason. `now` (unix seconds) replaces the clock, for tests. The body must be the raw
# bytes: an editor that adds a newline at the end spoils it.
#
# There is no shell library for Standard Webhooks. Its signature is the base64 of the same HMAC over
# {webhook-id}.{webhook-timestamp}.{body}; the key is what the base64 behind whsec_ stands for:
#
#     key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
#     { printf '%s.%s.' "$id" "$timestamp"; cat body; } |
#       openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64
set -euo pipefail

tolerance_seconds=300

not_genuine() { echo "not genuine: $*" >&2; exit 1; }

if [ $# -lt 2 ] || [ -z "${WEBHOOK_SECRET:-}" ]; then
  echo "WEBHOOK_SECRET=... verify.sh <X-Timestamp> <X-Signature> [now] < body" >&2
  exit 2
fi
timestamp=$1 signature=$2 now=${3:-$(date +%s)}

[[ $timestamp =~ ^[0-9]{1,18}$ ]] || not_genuine "X-Timestamp is not a whole number"
# 10# because a leading zero would make it octal.
away=$((now - 10#$timestamp))
[ "${away#-}" -le "$tolerance_seconds" ] || not_genuine "X-Timestamp is too far from the present"

key=$(printf %s "$WEBHOOK_SECRET" | od -An -v -tx1 | tr -d ' \n')
digest=$({ printf '%s.' "$timestamp"; cat; } | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -r | cut -d' ' -f1)

# While a rotation is open there are two values; one of them must fit.
case ",${signature// /}," in
  *",sha256=$digest,"*) echo genuine ;;
  *) not_genuine "no value of X-Signature fits" ;;
esac
