"""Sets up a replica set, or asks whether one answers: MongoDB's wire protocol with nothing but the standard library.

    replica_set.py initiate <connection string>   initiates the set if it is new; waits until it has a primary
    replica_set.py ping <connection string>       exit 0 if a primary answers

Only OP_MSG with documents of texts, numbers, booleans, arrays and documents is spoken, which is all that is needed.
"""

import re
import socket
import struct
import sys
import time

OP_MSG = 2013
ALREADY_INITIALIZED = 23
NOT_A_MEMBER = 93


def encode(document):
    """A dict as BSON."""
    body = b"".join(encode_element(name, value) for name, value in document.items())
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def encode_element(name, value):
    key = name.encode() + b"\0"
    if isinstance(value, bool):
        return b"\x08" + key + struct.pack("<?", value)
    if isinstance(value, int):
        return b"\x10" + key + struct.pack("<i", value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02" + key + struct.pack("<i", len(text)) + text
    if isinstance(value, dict):
        return b"\x03" + key + encode(value)
    if isinstance(value, list):
        return b"\x04" + key + encode({str(index): item for index, item in enumerate(value)})
    raise TypeError(f"{name}: {type(value)}")


# Sizes of the fixed-size BSON types that a server's answer may hold.
FIXED_SIZES = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0xFF: 0, 0x7F: 0}


def decode(data):
    """The top level of a BSON document: numbers, booleans and texts by name; anything else is left out."""
    found, at = {}, 4
    while data[at] != 0:
        kind = data[at]
        end = data.index(b"\0", at + 1)
        name, at = data[at + 1 : end].decode(), end + 1
        if kind in FIXED_SIZES:
            size = FIXED_SIZES[kind]
        else:
            size = struct.unpack_from("<i", data, at)[0] + {0x02: 4, 0x05: 5}.get(kind, 0)
        value, at = data[at : at + size], at + size
        if kind == 0x01:
            found[name] = struct.unpack("<d", value)[0]
        elif kind == 0x02:
            found[name] = value[4:-1].decode()
        elif kind == 0x08:
            found[name] = value == b"\x01"
        elif kind == 0x10:
            found[name] = struct.unpack("<i", value)[0]
    return found


def command(host, port, document):
    """Runs one command against the database admin and gives the answer's top level."""
    payload = struct.pack("<i", 0) + b"\0" + encode({**document, "$db": "admin"})
    message = struct.pack("<iiii", len(payload) + 16, 1, 0, OP_MSG) + payload
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(message)
        (length,) = struct.unpack("<i", receive(connection, 4))
        answer = receive(connection, length - 4)
    return decode(answer[12 + 5 :])


def receive(connection, length):
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise ConnectionError("the server closed the connection")
        data += part
    return data


def hosts_of(uri):
    found = re.match(r"mongodb://(?:[^@/]*@)?([^/?]+)", uri)
    if not found:
        sys.exit("replica_set.py takes a connection string that starts with mongodb:// and names each host")
    pairs = [host.rpartition(":") for host in found.group(1).split(",")]
    return [(host, int(port)) if colon else (port, 27017) for host, colon, port in pairs]


def primary(hosts):
    """The host that is a writable primary now, or None."""
    for host, port in hosts:
        try:
            if command(host, port, {"hello": 1}).get("isWritablePrimary"):
                return host, port
        except OSError:
            continue
    return None


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"replica set: {what} within {seconds} s")
        time.sleep(0.05)


def answers(host, port):
    try:
        command(host, port, {"ping": 1})
        return True
    except OSError:
        return False


def initiate(hosts):
    for host, port in hosts:
        wait_for(lambda: answers(host, port), 60, f"{host}:{port} did not answer")
    members = [{"_id": index, "host": f"{host}:{port}"} for index, (host, port) in enumerate(hosts)]
    # Short timeouts: development and tests want a failover in seconds.
    settings = {"electionTimeoutMillis": 2000, "heartbeatIntervalMillis": 500}
    config = {"_id": "rs0", "members": members, "settings": settings}
    answer = command(*hosts[0], {"replSetInitiate": config})
    if answer.get("ok") != 1 and answer.get("code") != ALREADY_INITIALIZED:
        sys.exit(f"replica set: the server refuses to initiate it: {answer.get('errmsg')}")
    if answer.get("ok") != 1:
        follow_to(hosts[0], config)
    wait_for(lambda: primary(hosts), 60, "no primary was elected")


def follow_to(host, config):
    """Where the data is of a set on other ports, it becomes the one of these."""
    if command(*host, {"replSetGetStatus": 1}).get("code") != NOT_A_MEMBER:
        return
    answer = command(*host, {"replSetReconfig": {**config, "version": 1}, "force": True})
    if answer.get("ok") != 1:
        sys.exit(f"replica set: its data is of other ports, which cannot be changed: {answer.get('errmsg')}")


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("initiate", "ping"):
        sys.exit(__doc__)
    hosts = hosts_of(sys.argv[2])
    if sys.argv[1] == "initiate":
        initiate(hosts)
    elif not primary(hosts):
        sys.exit(1)


if __name__ == "__main__":
    main()
