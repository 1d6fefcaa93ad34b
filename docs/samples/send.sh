#!/usr/bin/env bash
# Sends a signed sample event to a receiver with curl, for trying one's own without Taskwire.
#
#     WEBHOOK_SECRET=... send.sh <url>
#
# Prints the receiver's status. A receiver that verifies answers 2xx to this, and 401 when WEBHOOK_SECRET is another one.
# As in verify.sh, the key stands on openssl's command line: use a secret made for trying.
set -euo pipefail

if [ $# -ne 1 ] || [ -z "${WEBHOOK_SECRET:-}" ]; then
  echo "WEBHOOK_SECRET=... send.sh <url>" >&2
  exit 2
fi

hex() { od -An -v -tx1 | tr -d ' \n'; }
# The HMAC-SHA256 of standard input under a key given in hexadecimal digits, as bytes.
hmac() { openssl dgst -sha256 -mac HMAC -macopt "hexkey:$1" -binary; }

id=evt_sample timestamp=$(date +%s)
body='{"id":"evt_sample","event":"task.completed","groupId":"64b7f1a2c3d4e5f60718293a",'
body+='"timestamp":"2025-12-15T12:34:56.123Z","actorId":null,"data":{"id":"64b7f1a2c3d4e5f60718293b","name":"Wash up",'
body+='"status":"Completed","assignedUserId":"64b7f1a2c3d4e5f60718293c","difficulty":3,"dueAt":"2025-12-16T00:00:00.000Z",'
body+='"requiresApproval":false,"updatedAt":"2025-12-15T12:34:56.123Z","sequence":2,'
body+='"changes":{"status":{"from":"InProgress","to":"Completed"}}}}'

text_key=$(printf %s "$WEBHOOK_SECRET" | hex)
standard_key=$text_key
if [[ $WEBHOOK_SECRET == whsec_* ]]; then
  standard_key=$(printf %s "${WEBHOOK_SECRET#whsec_}" | base64 -d | hex)
fi
x_signature=$(printf '%s.%s' "$timestamp" "$body" | hmac "$text_key" | hex)
webhook_signature=$(printf '%s.%s.%s' "$id" "$timestamp" "$body" | hmac "$standard_key" | base64)

curl --silent --show-error --output /dev/null --write-out 'HTTP %{http_code}\n' --max-time 15 "$1" \
  --header 'Content-Type: application/json' --header 'User-Agent: Taskwire/sample' \
  --header 'X-Event: task.completed' --header 'X-Delivery-Id: dlv_sample' --header 'X-Attempt: 1' \
  --header "X-Timestamp: $timestamp" --header "X-Signature: sha256=$x_signature" \
  --header "webhook-id: $id" --header "webhook-timestamp: $timestamp" --header "webhook-signature: v1,$webhook_signature" \
  --data-binary "$body"
