"""Calls the inbound endpoint. Python 3.8 or later, standard library only.

    INBOUND_SECRET=... python3 inbound.py POST <base>/api/integrations/inbound/<groupId>/tasks < body.json
    INBOUND_SECRET=... python3 inbound.py GET <base>/api/integrations/inbound/<groupId>/tasks/<externalId>

Prints the HTTP status, then the answer. Exit 0 for a 2xx.
"""

import hashlib
import hmac
import os
import sys
import time
import urllib.error
import urllib.request


def sign(secret, body, timestamp=None):
    """The headers that sign a body: the very bytes that are sent, empty for a GET.

    secret: the secret's text, whole, `whsec_` included.
    """
    timestamp = str(int(time.time()) if timestamp is None else timestamp)
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Timestamp": timestamp, "X-Signature": "sha256=" + digest}


def call(secret, method, url, body=b""):
    """Status and text of the answer. Sends the request until it is answered, at most five times.

    The same signed request has one effect, however often it arrives: so it is signed once, and sent again as it is while
    its time is good (300 s).
    """
    headers = {**sign(secret, body), "Content-Type": "application/json"}
    request = urllib.request.Request(url, data=None if method == "GET" else body, headers=headers, method=method)
    for attempt in range(1, 6):
        wait = 2**attempt
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            if refused.code not in (429, 503) or attempt == 5:
                return refused.code, refused.read().decode()
            wait = int(refused.headers.get("Retry-After", wait))
        except urllib.error.URLError:
            if attempt == 5:
                raise
        time.sleep(wait)


if __name__ == "__main__":
    if len(sys.argv) != 3 or "INBOUND_SECRET" not in os.environ:
        sys.exit(__doc__)
    content = b"" if sys.argv[1] == "GET" else sys.stdin.buffer.read()
    status, text = call(os.environ["INBOUND_SECRET"], sys.argv[1], sys.argv[2], content)
    print(status, text, sep="\n")
    sys.exit(0 if 200 <= status < 300 else 1)
