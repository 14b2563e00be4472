"""stomp.py in each version, with the virtual host that it chooses by itself: `stomp_py_client.py SCENARIO PORT`."""

import json
import queue
import sys

import stomp

PATIENCE = 30
REQUEST = json.dumps({"controller": "read", "action": "now"})


class Listener(stomp.ConnectionListener):
    """Keeps what comes."""

    def __init__(self):
        self.messages = queue.Queue()
        self.receipts = queue.Queue()
        self.errors = queue.Queue()
        self.ends = queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)

    def on_disconnected(self):
        self.ends.put(None)


def connect(version, port, **more):
    kind = {"1.0": stomp.Connection10, "1.1": stomp.Connection11, "1.2": stomp.Connection12}[version]
    connection = kind([("localhost", port)], **more)
    listener = Listener()
    connection.set_listener("kept", listener)
    connection.connect("guest", "guest", wait=True)
    return connection, listener


def subscribe(connection, listener, destination, **more):
    connection.subscribe(destination, id="1", headers={"receipt": "subscribed"}, **more)
    assert listener.receipts.get(timeout=PATIENCE) == "subscribed"


def acknowledge(connection, version, frame, **more):
    if version == "1.1":
        connection.ack(frame.headers["message-id"], "1", **more)
    elif version == "1.2":
        connection.ack(frame.headers["ack"], **more)
    else:
        connection.ack(frame.headers["message-id"], **more)


def versions(port):
    for version in ["1.0", "1.1", "1.2"]:
        connection, listener = connect(version, port)
        name = f"/queue/py-{version}"
        subscribe(connection, listener, name, ack="client-individual")
        connection.send(name, "héllo", content_type="text/plain", headers={"colour": "red:blue", "receipt": "sent"})
        frame = listener.messages.get(timeout=PATIENCE)
        assert frame.body == "héllo", frame
        assert frame.headers["colour"] == "red:blue", frame.headers
        assert frame.headers["content-type"] == "text/plain", frame.headers
        assert listener.receipts.get(timeout=PATIENCE) == "sent"
        acknowledge(connection, version, frame)

        # A transaction.
        connection.begin("t")
        connection.send(name, "undone", transaction="t")
        connection.abort("t")
        connection.begin("u")
        connection.send(name, "done", transaction="u")
        connection.commit("u")
        frame = listener.messages.get(timeout=PATIENCE)
        assert frame.body == "done", frame
        acknowledge(connection, version, frame)

        # A request to the API, answered over each kind of address.
        for address, destination in [("py-answers", "/queue/py-answers"), ("/temp-queue/answers", None)]:
            if destination:
                connection.subscribe(destination, id="answers")
            connection.send("/exchange/amq.topic/kuzzle", REQUEST, headers={"reply-to": address, "correlation-id": "c"})
            frame = listener.messages.get(timeout=PATIENCE)
            assert json.loads(frame.body)["status"] == 200, frame
            assert frame.headers["correlation-id"] == "c", frame.headers

        connection.disconnect(receipt="bye")
        while listener.receipts.get(timeout=PATIENCE) != "bye":
            pass
        assert listener.errors.empty()


def redelivery(port):
    first, heard = connect("1.2", port)
    subscribe(first, heard, "/queue/again", ack="client")
    for number in range(3):
        first.send("/queue/again", str(number))
    frames = [heard.messages.get(timeout=PATIENCE) for _ in range(3)]
    assert [frame.body for frame in frames] == ["0", "1", "2"]
    assert all(frame.headers["redelivered"] == "false" for frame in frames)
    first.nack(frames[2].headers["ack"])
    frames = [heard.messages.get(timeout=PATIENCE) for _ in range(3)]
    assert [frame.headers["redelivered"] for frame in frames] == ["true"] * 3
    first.ack(frames[0].headers["ack"], receipt="acknowledged")
    assert heard.receipts.get(timeout=PATIENCE) == "acknowledged"
    first.transport.disconnect_socket()
    second, heard = connect("1.2", port)
    subscribe(second, heard, "/queue/again")
    frames = [heard.messages.get(timeout=PATIENCE) for _ in range(2)]
    assert [frame.body for frame in frames] == ["1", "2"]
    second.disconnect()


def durable(port):
    """A durable subscription gets what it missed, until it is told to end."""
    headers = {"durable": "true", "auto-delete": "false", "receipt": "subscribed"}

    def come():
        connection, listener = connect("1.2", port)
        connection.subscribe("/topic/news.#", id="lasting", headers=headers)
        assert listener.receipts.get(timeout=PATIENCE) == "subscribed"
        return connection, listener

    def leave(connection, listener):
        connection.disconnect(receipt="bye")
        assert listener.receipts.get(timeout=PATIENCE) == "bye"

    leave(*come())
    sender, heard = connect("1.1", port)
    sender.send("/topic/news.today", "missed", headers={"receipt": "sent"})
    assert heard.receipts.get(timeout=PATIENCE) == "sent"
    connection, listener = come()
    frame = listener.messages.get(timeout=PATIENCE)
    assert (frame.body, frame.headers["destination"]) == ("missed", "/topic/news.today"), frame
    connection.unsubscribe("lasting", headers={"durable": "true", "receipt": "ended"})
    assert listener.receipts.get(timeout=PATIENCE) == "ended"
    leave(connection, listener)
    sender.send("/topic/news.today", "for nobody", headers={"receipt": "sent"})
    assert heard.receipts.get(timeout=PATIENCE) == "sent"
    connection, listener = come()
    sender.send("/topic/news.now", "now")
    assert listener.messages.get(timeout=PATIENCE).body == "now"
    leave(connection, listener)
    leave(sender, heard)


def heartbeats(port):
    connection, listener = connect("1.2", port, heartbeats=(1000, 1000))
    try:
        listener.ends.get(timeout=5)
        raise AssertionError("the heart-beats were not heard")
    except queue.Empty:
        pass
    subscribe(connection, listener, "/queue/alive")
    connection.send("/queue/alive", "alive")
    assert listener.messages.get(timeout=PATIENCE).body == "alive"
    connection.disconnect()


def errors(port):
    connection, listener = connect("1.2", port)
    connection.send("/queue/a/b", "x")
    frame = listener.errors.get(timeout=PATIENCE)
    assert frame.headers["message"] == "Invalid destination", frame.headers
    assert frame.body == "'/a/b' is not a valid queue destination\n", frame.body
    listener.ends.get(timeout=PATIENCE)


def goodbye(port):
    """Tells of the goodbye, and comes back."""
    connection, listener = connect("1.1", port)
    subscribe(connection, listener, "/queue/kept", ack="client")
    connection.send("/queue/kept", "unacknowledged")
    listener.messages.get(timeout=PATIENCE)
    print("consuming", flush=True)
    frame = listener.errors.get(timeout=PATIENCE)
    print("told", frame.headers["message"], flush=True)
    listener.ends.get(timeout=PATIENCE)
    for _ in range(100):
        try:
            connection, listener = connect("1.1", port)
            break
        except stomp.exception.ConnectFailedException:
            pass
    connection.subscribe("/queue/kept", id="1")
    frame = listener.messages.get(timeout=PATIENCE)
    print("came back", frame.headers["redelivered"], frame.body, flush=True)
    connection.disconnect()


SCENARIOS = {scenario.__name__: scenario for scenario in [versions, redelivery, durable, heartbeats, errors, goodbye]}
SCENARIOS[sys.argv[1]](int(sys.argv[2]))
print("ok", sys.argv[1])
