"""Verifies a webhook's X-Signature. Python 3.8 or later, standard library only.

    WEBHOOK_SECRET=... python3 verify.py <X-Timestamp> <X-Signature> [now] < body

Exit 0: genuine. 1: not, with the reason. `now` (unix seconds) replaces the clock, for tests.

In a server, take the body as raw bytes, before anything parses it:

    Flask    request.get_data()
    Django   request.body
    FastAPI  await request.body()
"""

import hashlib
import hmac
import os
import sys
import time

TOLERANCE_SECONDS = 300


class NotGenuine(Exception):
    """The request is to be answered with 401."""


def verify(secret, timestamp, signature, body, now=None):
    """Returns if the request is genuine, raises NotGenuine if not.

    secret: the secret's text, whole, `whsec_` included; timestamp and signature: the two headers as they came, or None;
    body: the raw bytes.
    """
    if not timestamp or not (timestamp.isascii() and timestamp.isdigit()):
        raise NotGenuine("X-Timestamp is not a whole number")
    now = int(time.time()) if now is None else now
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise NotGenuine("X-Timestamp is too far from the present")
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    wanted = f"sha256={digest}".encode()
    # While a rotation is open there are two values; one of them must fit.
    values = [value.strip().encode() for value in (signature or "").split(",")]
    if not any(hmac.compare_digest(value, wanted) for value in values):
        raise NotGenuine("no value of X-Signature fits")


def verify_with_the_library(secret, headers, body):
    """The same by `pip install standardwebhooks`, which reads webhook-id, webhook-timestamp and webhook-signature.

    Returns the parsed body; raises WebhookVerificationError.
    """
    from standardwebhooks.webhooks import Webhook

    # A secret without the prefix is a text, not base64: its bytes are the key.
    key = secret if secret.startswith("whsec_") else secret.encode()
    return Webhook(key).verify(body, headers)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4) or "WEBHOOK_SECRET" not in os.environ:
        sys.exit(__doc__)
    try:
        clock = int(sys.argv[3]) if len(sys.argv) == 4 else None
        verify(os.environ["WEBHOOK_SECRET"], sys.argv[1], sys.argv[2], sys.stdin.buffer.read(), clock)
    except NotGenuine as reason:
        sys.exit(f"not genuine: {reason}")
    print("genuine")
