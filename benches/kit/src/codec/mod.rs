//! Wire formats: just enough of each protocol to drive a server hard.
mod amqp;
mod http;
mod mqtt;
mod sio;
mod stomp;
mod tcp;

pub use http::request;

use crate::opts::Opts;
use std::io;
use tokio::{io::AsyncReadExt, net::TcpStream};

pub enum Ev<'a> {
    /// A delivered payload; the send time is found in it.
    Msg(&'a [u8]),
    /// The server took the oldest `n` unacknowledged publishes.
    Ack(u64),
    /// Answer to the oldest outstanding request; false when it was an error, which the text explains.
    Reply(bool, &'a [u8]),
}

/// What one connection is for.
#[derive(Clone, Default)]
pub struct Role {
    /// Unique to the connection; stands for `{c}` in destinations and requests.
    pub name: String,
    pub publish: Option<String>,
    pub subscribe: Option<String>,
    /// Request to send first; what the channel named in its answer delivers is then received
    /// in place of `subscribe`.
    pub join: Option<String>,
    /// AMQP responder: answers each message on its reply-to queue.
    pub respond: bool,
}

pub trait Codec {
    fn publish(&mut self, out: &mut Vec<u8>, payload: &[u8]);
    /// Consumes whole frames from `buf`; writes what must be answered to `out`.
    fn parse(&mut self, buf: &[u8], out: &mut Vec<u8>, ev: &mut dyn FnMut(Ev)) -> usize;
}

pub async fn open(proto: &str, s: &mut TcpStream, o: &Opts, role: &Role) -> io::Result<Box<dyn Codec>> {
    Ok(match proto {
        "tcp" => Box::new(tcp::Tcp),
        "http" => Box::new(http::Http::default()),
        "mqtt" => Box::new(mqtt::open(s, o, role).await?),
        "amqp" => Box::new(amqp::open(s, o, role).await?),
        "sio" => Box::new(sio::open(s, o, role).await?),
        "stomp" => Box::new(stomp::open(s, o, role).await?),
        _ => return Err(bad(format!("unknown protocol {proto}"))),
    })
}

pub fn bad(m: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, m.into())
}

pub fn find(b: &[u8], m: &[u8]) -> Option<usize> {
    b.windows(m.len()).position(|w| w == m)
}

/// The first member `key` of a JSON text that is a string without escapes.
pub fn json_str<'a>(b: &'a [u8], key: &str) -> Option<&'a str> {
    let key = format!("\"{key}\"");
    let v = &b[find(b, key.as_bytes())? + key.len()..];
    let v = v.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    std::str::from_utf8(v.split(|c| *c == b'"').next()?).ok()
}

/// `result.channel` in the answer to a subscription request.
pub fn channel(answer: &[u8]) -> io::Result<&str> {
    json_str(answer, "channel")
        .ok_or_else(|| bad(format!("no channel in the answer: {}", String::from_utf8_lossy(answer))))
}

/// Buffered reader for handshakes: reads until `f` accepts a prefix of the bytes.
pub struct Reader<'a> {
    pub s: &'a mut TcpStream,
    buf: Vec<u8>,
}

impl<'a> Reader<'a> {
    pub fn new(s: &'a mut TcpStream) -> Self {
        Reader { s, buf: Vec::new() }
    }

    pub async fn until<T>(&mut self, mut f: impl FnMut(&[u8]) -> Option<(usize, T)>) -> io::Result<T> {
        loop {
            if let Some((n, v)) = f(&self.buf) {
                self.buf.drain(..n);
                return Ok(v);
            }
            if self.s.read_buf(&mut self.buf).await? == 0 {
                return Err(bad(format!(
                    "closed during handshake: {:?}",
                    String::from_utf8_lossy(&self.buf)
                )));
            }
        }
    }
}

/// Payload with a send-time marker `@T<16 hex>@` and an 8-digit counter patched in place.
#[derive(Clone)]
pub struct Template {
    bytes: Vec<u8>,
    time: Vec<usize>,
    count: Vec<usize>,
}

impl Template {
    /// `{T}` becomes the marker, `{i}` the counter; `{pad}` fills up to `size` bytes.
    pub fn new(text: &str, size: usize) -> Self {
        let text = text.replace("{T}", "@T0000000000000000@").replace("{i}", "@I000000@");
        let pad = size.saturating_sub(text.len() - if text.contains("{pad}") { 5 } else { 0 });
        let mut bytes = text.replace("{pad}", &"x".repeat(pad)).into_bytes();
        let find =
            |b: &[u8], m: &[u8]| -> Vec<usize> { (0..b.len()).filter(|i| b[*i..].starts_with(m)).collect() };
        let time = find(&bytes, b"@T").into_iter().map(|p| p + 2).collect();
        let count = find(&bytes, b"@I000000@");
        for p in &count {
            bytes[*p..*p + 9].copy_from_slice(b"k00000000");
        }
        Template { bytes, time, count }
    }

    pub fn fill(&mut self, ns: u64, i: u64) -> &[u8] {
        for p in &self.time {
            for k in 0..16 {
                let d = (ns >> (60 - 4 * k)) as u8 & 15;
                self.bytes[p + k] = if d < 10 { b'0' + d } else { b'a' + d - 10 };
            }
        }
        for p in &self.count {
            let mut v = i;
            for k in (1..9).rev() {
                self.bytes[p + k] = b'0' + (v % 10) as u8;
                v /= 10;
            }
        }
        &self.bytes
    }
}

/// The send time in a delivered payload.
pub fn sent_at(p: &[u8]) -> Option<u64> {
    let mut i = 0;
    while i + 18 < p.len() {
        if p[i] == b'@' && p[i + 1] == b'T' && p[i + 18] == b'@' {
            return p[i + 2..i + 18]
                .iter()
                .try_fold(0u64, |a, c| Some(a << 4 | (*c as char).to_digit(16)? as u64));
        }
        i += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_round_trip() {
        let mut t = Template::new(r#"{"t":"{T}","id":"{i}","p":"{pad}"}"#, 200);
        let p = t.fill(0x0123_4567_89ab_cdef, 42).to_vec();
        assert_eq!(p.len(), 200);
        assert_eq!(sent_at(&p), Some(0x0123_4567_89ab_cdef));
        assert!(String::from_utf8(p).unwrap().contains("\"id\":\"k00000042\""));
        assert_eq!(sent_at(b"nothing here at all, not a marker"), None);
    }

    #[test]
    fn channel_of_an_answer() {
        let a = br#"["r1",{"error":null,"result":{"channel": "ab-cd","roomId":"ab"},"status":200}]"#;
        assert_eq!(channel(a).unwrap(), "ab-cd");
        assert!(channel(br#"{"error":{"message":"no"},"result":null,"status":400}"#).is_err());
        assert!(channel(br#"{"channel":null}"#).is_err());
    }
}
