//! MQTT over WebSockets (MQTT 5.0, section 6).

use std::net::TcpStream;

use bytes::BytesMut;
use kuzzle_mqtt_proto::codec::{Decoder, Limits, Packet, QoS, Version};
use kuzzle_plugin_api::sdk::serde_json::json;
use kuzzle_plugin_testing::FakeHost;
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket, client::IntoClientRequest, protocol::frame::coding::CloseCode,
};

use super::{
    Running,
    client::{PATIENCE, connect, leave, publish},
};

struct Client {
    socket: WebSocket<TcpStream>,
    /// The sub-protocol that the server chose.
    chosen: Option<String>,
    decoder: Decoder,
    read: BytesMut,
}

impl Client {
    fn open(running: &Running, path: &str, offered: Option<&str>) -> Self {
        let address = running.host.address();
        let mut request = format!("ws://{address}{path}").into_client_request().expect("a request");
        if let Some(offered) = offered {
            let offered = offered.parse().expect("a header");
            request.headers_mut().insert("Sec-WebSocket-Protocol", offered);
        }
        let stream = TcpStream::connect(address).expect("it accepts");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let (socket, response) = tungstenite::client(request, stream).expect("it is let in");
        let chosen = response.headers().get("Sec-WebSocket-Protocol");
        let chosen = chosen.map(|chosen| chosen.to_str().expect("a text").to_owned());
        Self { socket, chosen, decoder: Decoder::with_version(Version::V5), read: BytesMut::new() }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.send(Message::Binary(bytes.to_vec().into())).expect("it is sent");
    }

    fn receive(&mut self) -> Packet {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.read, &Limits::default()).expect("a packet") {
                return packet;
            }
            match self.socket.read().expect("a message") {
                Message::Binary(bytes) => self.read.extend_from_slice(&bytes),
                other => panic!("{other:?} instead of a binary message [MQTT-6.0.0-1]"),
            }
        }
    }

    fn close_code(&mut self) -> CloseCode {
        match self.socket.read() {
            Ok(Message::Close(Some(close))) => close.code,
            other => panic!("{other:?} instead of a close frame"),
        }
    }
}

fn encode(packets: &[Packet]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for packet in packets {
        packet.encode(Version::V5, &mut bytes).expect("it can be encoded");
    }
    bytes
}

fn both_ways(test: impl Fn(&Running)) {
    for is_proxied in [false, true] {
        test(&Running::on(FakeHost::new().with_websocket_listener(json!({})).proxied(is_proxied)));
    }
}

#[test]
fn mqtt_6_0_0_2_packets_are_not_aligned_with_messages() {
    both_ways(|running| {
        let mut client = Client::open(running, "/mqtt", Some("mqtt"));
        let connected = encode(&[Packet::Connect(Box::new(connect(Version::V5, "cut")))]);
        for byte in connected {
            client.send(&[byte]);
        }
        assert!(matches!(client.receive(), Packet::ConnAck(answer) if answer.code == 0));
        // Several packets in one message, the last of them cut.
        let mut bytes = encode(&[
            Packet::PingReq,
            Packet::PingReq,
            Packet::Publish(publish("a/b", QoS::AtMostOnce, vec![b'x'; 1000])),
            Packet::PingReq,
        ]);
        let rest = bytes.split_off(bytes.len() - 500);
        client.send(&bytes);
        client.send(&rest);
        for _ in 0..3 {
            assert!(matches!(client.receive(), Packet::PingResp));
        }
        client.send(&encode(&[leave()]));
        assert_eq!(client.close_code(), CloseCode::Normal);
        running.wait_for_connections(0);
    });
}

#[test]
fn mqtt_6_0_0_1_text_closes_the_connection() {
    both_ways(|running| {
        let mut client = Client::open(running, "/", Some("mqtt"));
        client.send(&encode(&[Packet::Connect(Box::new(connect(Version::V5, "text")))]));
        client.receive();
        client.socket.send(Message::Text("text".into())).expect("it is sent");
        assert_eq!(client.close_code(), CloseCode::Unsupported);
        running.wait_for_connections(0);
    });
}

#[test]
fn mqtt_6_0_0_4_the_sub_protocol_is_told_back() {
    let running = Running::on(FakeHost::new().with_websocket_listener(json!({})));
    for (path, offered, chosen) in [
        ("/mqtt", Some("mqtt"), Some("mqtt")),
        ("/", Some("mqttv3.1, mqtt"), Some("mqttv3.1")),
        ("/mqtt?token=x", Some("other, mqtt"), Some("mqtt")),
        ("/", None, None),
    ] {
        assert_eq!(Client::open(&running, path, offered).chosen.as_deref(), chosen, "{offered:?}");
    }
}
