//! The handshake and the frames of a WebSocket: what comes of them does not depend on how the bytes were cut, and is never
//! more than came.
#![no_main]

use kuzzle_plugin_api::sdk::websocket::{
    Answer, CONTROL_MAX_BYTES, Decoder, Door, End, HEAD_MAX_BYTES, Messages, Origins, WebSocket,
};
use libfuzzer_sys::fuzz_target;

fn decode(messages: Messages, bytes: &[u8], cut: usize) -> (Vec<u8>, Option<Vec<u8>>, Option<End>) {
    let mut decoder = Decoder::new(messages);
    let (mut payload, mut ping) = (Vec::new(), None);
    for piece in bytes.chunks(cut.max(1)) {
        let mut piece = piece.to_vec();
        let decoded = decoder.decode(&mut piece);
        payload.extend_from_slice(&piece[..decoded.payload]);
        ping = decoded.ping.or(ping);
        if decoded.end.is_some() {
            assert_eq!(
                decoder.decode(&mut [0x82, 0x80, 0, 0, 0, 0]).payload,
                0,
                "nothing comes after an end"
            );
            return (payload, ping, decoded.end);
        }
    }
    (payload, ping, None)
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else { return };
    let websocket = WebSocket::text().at(&["/", "/chat"]).speaking(&["v2.chat", "v1.chat"]);
    let door = Door::new(websocket, Vec::new(), Origins::OfThisMachine);
    let whole = door.answer(data);
    assert!(whole.is_some() || data.len() < HEAD_MAX_BYTES, "a limit is met");
    if let Some(Answer::Accepted { length, .. }) = &whole {
        assert!(*length <= data.len().min(HEAD_MAX_BYTES));
        assert_eq!(door.answer(&data[..*length]), whole, "what follows changes nothing");
        for end in 0..*length {
            assert_eq!(door.answer(&data[..end]), None, "a beginning is neither taken nor refused");
        }
    }

    let messages = if choice & 1 == 0 { Messages::Binary } else { Messages::Text };
    let decoded = decode(messages, data, data.len());
    assert!(
        decoded.0.len() <= data.len()
            && decoded.1.as_ref().is_none_or(|ping| ping.len() <= CONTROL_MAX_BYTES)
    );
    assert_eq!(decode(messages, data, usize::from(choice >> 1)), decoded);
    assert_eq!(decode(messages, data, 1), decoded);
});
