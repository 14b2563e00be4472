"""paho-mqtt: `paho_client.py versions|window|websockets PORT`."""

import json
import queue
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 30


class Client:
    """A client that keeps what it gets."""

    transport = "tcp"
    path = None

    def __init__(self, port, protocol, client_id, clean=True, receive_maximum=None):
        self.got = queue.Queue()
        self.connected = queue.Queue()
        self.subscribed = queue.Queue()
        is_5 = protocol == mqtt.MQTTv5
        more = {} if is_5 else {"clean_session": clean}
        more["manual_ack"] = receive_maximum is not None
        more["transport"] = self.transport
        self.mqtt = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, **more)
        if self.path:
            self.mqtt.ws_set_options(path=self.path)
        self.mqtt.on_connect = lambda client, data, flags, reason, properties: self.connected.put((flags, reason))
        self.mqtt.on_subscribe = lambda client, data, mid, reasons, properties: self.subscribed.put(reasons)
        self.mqtt.on_message = lambda client, data, message: self.got.put(message)
        more = {}
        if is_5:
            more["clean_start"] = clean
            more["properties"] = Properties(PacketTypes.CONNECT)
            more["properties"].SessionExpiryInterval = 0 if clean else 600
            if receive_maximum is not None:
                more["properties"].ReceiveMaximum = receive_maximum
        self.mqtt.connect("127.0.0.1", port, **more)
        self.mqtt.loop_start()
        self.flags, reason = self.connected.get(timeout=PATIENCE)
        assert not reason.is_failure, reason

    def subscribe(self, topic, qos):
        self.mqtt.subscribe(topic, qos)
        reasons = self.subscribed.get(timeout=PATIENCE)
        assert [reason.value for reason in reasons] == [qos], reasons

    def publish(self, topic, payload, qos, **more):
        info = self.mqtt.publish(topic, payload, qos, **more)
        info.wait_for_publish(PATIENCE)
        assert info.is_published(), f"{topic} with QoS {qos} was not acknowledged"

    def next(self):
        return self.got.get(timeout=PATIENCE)

    def leave(self):
        self.mqtt.disconnect()
        self.mqtt.loop_stop()


def check(port, protocol):
    subscriber = Client(port, protocol, "paho-subscriber")
    publisher = Client(port, protocol, "paho-publisher")
    subscriber.subscribe("paho/+", 2)
    for qos in (0, 1, 2):
        for number in range(20):
            publisher.publish("paho/x", f"{qos} {number}", qos)
        for number in range(20):
            message = subscriber.next()
            found = (message.topic, message.payload.decode(), message.qos)
            assert found == ("paho/x", f"{qos} {number}", qos), found

    publisher.publish("paho/kept", "kept", 1, retain=True)
    assert subscriber.next().payload == b"kept"
    late = Client(port, protocol, "paho-late")
    late.subscribe("paho/#", 1)
    message = late.next()
    assert message.retain and message.payload == b"kept"
    publisher.publish("paho/kept", b"", 1, retain=True)
    assert late.next().payload == b"" and subscriber.next().payload == b""

    lasting = Client(port, protocol, "paho-lasting", clean=False)
    lasting.subscribe("paho/offline", 2)
    lasting.leave()
    publisher.publish("paho/offline", "missed", 2)
    lasting = Client(port, protocol, "paho-lasting", clean=False)
    assert protocol == mqtt.MQTTv31 or lasting.flags.session_present
    message = lasting.next()
    assert (message.payload, message.qos) == (b"missed", 2), message
    lasting.leave()
    Client(port, protocol, "paho-lasting").leave()

    subscriber.subscribe("mqtt/paho-publisher", 1)
    publisher.publish("kuzzle", json.dumps({"controller": "read", "action": "now"}), 1)
    answers = [subscriber.next() for _ in range(2)]
    answer = next(answer for answer in answers if answer.topic == "mqtt/paho-publisher")
    assert json.loads(answer.payload)["status"] == 200, answer.payload
    for client in (subscriber, publisher, late):
        client.leave()


def versions(port):
    for protocol in (mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5):
        check(port, protocol)


def websockets(port):
    Client.transport = "websockets"
    # Without a path it asks for `/mqtt`.
    for Client.path in (None, "/"):
        versions(port)


def window(port):
    slow = Client(port, mqtt.MQTTv5, "paho-slow", receive_maximum=2)
    slow.subscribe("window", 2)
    publisher = Client(port, mqtt.MQTTv5, "paho-fast")
    for text in "abcd":
        publisher.publish("window", text, 1)
    first, second = slow.next(), slow.next()
    assert (first.payload, second.payload) == (b"a", b"b")
    time.sleep(0.3)
    assert slow.got.empty(), "no more than two without an acknowledgement"
    slow.mqtt.ack(second.mid, second.qos)
    assert slow.next().payload == b"c"
    time.sleep(0.3)
    assert slow.got.empty(), "one for each acknowledgement"
    slow.mqtt.ack(first.mid, first.qos)
    assert slow.next().payload == b"d"
    for client in (slow, publisher):
        client.leave()


{"versions": versions, "window": window, "websockets": websockets}[sys.argv[1]](int(sys.argv[2]))
print("ok")
