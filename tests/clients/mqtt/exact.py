"""Numbers with QoS 2 to oneself, by paho, until a signal comes: `exact.py PORT`.

The client comes back as often as it is sent away. It has up to ten numbers under way, prints each that comes, and fails
when one does not come exactly once.
"""

import signal
import sys
import time

import paho.mqtt.client as mqtt

TOPIC = "numbers/exact"
WINDOW = 10


class Client(mqtt.Client):
    """Of two attempts to come back of which the first fails, the second of paho forgets that a PUBREL is due, and sends
    the whole message again as if it were new."""

    def _messages_reconnect_reset_out(self):
        resend = mqtt.mqtt_ms_resend_pubrel
        due = [message for message in self._out_messages.values() if message.state == resend]
        super()._messages_reconnect_reset_out()
        for message in due:
            message.state = resend


class Exact:
    def __init__(self):
        self.stopping = False
        self.sent = 0
        self.come = set()
        self.subscribed = False

    def on_connect(self, client, data, flags, reason, properties):
        print("attached", flush=True)
        if not self.subscribed:
            client.subscribe(TOPIC, 2)

    def on_subscribe(self, client, data, mid, reasons, properties):
        self.subscribed = True

    def on_message(self, client, data, message):
        number = int(message.payload)
        if number in self.come:
            sys.exit(f"disturbed: {number} came twice")
        if message.qos != 2:
            sys.exit(f"disturbed: {number} came with QoS {message.qos}")
        self.come.add(number)
        print(number, flush=True)

    def stop(self, *_):
        self.stopping = True

    def done(self):
        return self.stopping and len(self.come) == self.sent


exact = Exact()
signal.signal(signal.SIGTERM, exact.stop)
client = Client(mqtt.CallbackAPIVersion.VERSION2, client_id="exact", clean_session=False)
client.on_connect, client.on_subscribe, client.on_message = exact.on_connect, exact.on_subscribe, exact.on_message
client.connect("127.0.0.1", int(sys.argv[1]))
while not exact.done():
    while exact.subscribed and not exact.stopping and exact.sent < len(exact.come) + WINDOW:
        exact.sent += 1
        client.publish(TOPIC, str(exact.sent), 2)
    if client.loop(0.05) != mqtt.MQTT_ERR_SUCCESS:
        try:
            client.reconnect()
        except OSError:
            time.sleep(0.005)
assert exact.come == set(range(1, exact.sent + 1)), "a number was made up"
print(f"all {exact.sent}", flush=True)
