//! The two repairs that 1.x clients need on long-polling.
//!
//! Their parser encodes each packet in UTF-8 *before* the HTTP body is encoded in UTF-8 again, and undoes both on the
//! way in. Clients from 2.0 on encode once, and announce themselves with the same `EIO=3`.

/// Writes every character outside ASCII as a JSON escape (`\u00e9`, a surrogate pair beyond the basic plane).
///
/// Packets carry such characters inside JSON strings alone, where the escape means the same. Once and twice encoded
/// ASCII are equal, so clients of both kinds read the result alike.
pub(crate) fn push_escaped(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut units = [0u16; 2];
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                out.push(char::from(HEX[usize::from((*unit >> shift) & 0xF)]));
            }
        }
    }
}

/// Whether `text`, read as one byte per character, is UTF-8 with a character outside ASCII: the mark of a twice encoded
/// packet. Returns the packet encoded once.
pub(crate) fn undo_second_encoding(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bytes = text.chars().map(u8::try_from).collect::<Result<Vec<u8>, _>>().ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        let mut out = String::new();
        push_escaped(&mut out, text);
        out
    }

    #[test]
    fn escapes_only_what_is_outside_ascii() {
        assert_eq!(escaped(r#"42["a",{"t":"h\u00e9"}]"#), r#"42["a",{"t":"h\u00e9"}]"#);
        assert_eq!(escaped("[\"é\"]"), "[\"\\u00e9\"]");
        assert_eq!(escaped("[\"😀\"]"), "[\"\\ud83d\\ude00\"]");
    }

    #[test]
    fn a_second_encoding_is_undone() {
        let twice: String = "hé😀".bytes().map(char::from).collect();
        assert_eq!(undo_second_encoding(&twice).as_deref(), Some("hé😀"));
        assert_eq!(undo_second_encoding("hé"), None);
        assert_eq!(undo_second_encoding("plain"), None);
        assert_eq!(undo_second_encoding("Ω"), None);
    }

    proptest! {
        #[test]
        fn an_escaped_json_string_means_the_same(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let out = escaped(&json);
            prop_assert!(out.is_ascii());
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }

        #[test]
        fn whatever_was_encoded_twice_comes_back(text in any::<String>()) {
            let twice: String = text.bytes().map(char::from).collect();
            let back = undo_second_encoding(&twice);
            if text.is_ascii() {
                prop_assert_eq!(back, None);
            } else {
                prop_assert_eq!(back, Some(text));
            }
        }
    }
}
