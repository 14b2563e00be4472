//! HTTP/1.1 keep-alive client: the payload is the whole request.
use super::{Codec, Ev, find};

#[derive(Default)]
pub struct Http;

impl Codec for Http {
    fn publish(&mut self, out: &mut Vec<u8>, p: &[u8]) {
        out.extend(p);
    }

    fn parse(&mut self, buf: &[u8], _: &mut Vec<u8>, ev: &mut dyn FnMut(Ev)) -> usize {
        let mut at = 0;
        while let Some((n, ok)) = response(&buf[at..]) {
            let line = buf[at..at + n].split(|c| *c == b'\r').next().unwrap_or(b"");
            ev(Ev::Reply(ok, line));
            at += n;
        }
        at
    }
}

fn response(b: &[u8]) -> Option<(usize, bool)> {
    let head = find(b, b"\r\n\r\n")? + 4;
    let ok = b.get(9) == Some(&b'2');
    let mut len = None;
    let mut chunked = false;
    for l in b[..head].split(|c| *c == b'\n').skip(1) {
        let Some(c) = l.iter().position(|c| *c == b':') else { continue };
        let v = || std::str::from_utf8(&l[c + 1..]).unwrap_or("").trim();
        if l[..c].eq_ignore_ascii_case(b"content-length") {
            len = v().parse::<usize>().ok();
        } else if l[..c].eq_ignore_ascii_case(b"transfer-encoding") {
            chunked = v().eq_ignore_ascii_case("chunked");
        }
    }
    if !chunked {
        let end = head + len.unwrap_or(0);
        return (b.len() >= end).then_some((end, ok));
    }
    let mut at = head;
    loop {
        let l = find(&b[at..], b"\r\n")?;
        let n = usize::from_str_radix(std::str::from_utf8(&b[at..at + l]).ok()?.trim(), 16).ok()?;
        at += l + 2 + n + 2;
        if b.len() < at {
            return None;
        }
        if n == 0 {
            return Some((at, ok));
        }
    }
}

/// `METHOD PATH [BODY]` as a request template.
pub fn request(spec: &str, size: usize) -> super::Template {
    let mut p = spec.splitn(3, ' ');
    let (m, path, body) = (p.next().unwrap_or("GET"), p.next().unwrap_or("/"), p.next());
    // The body is sized first, so that Content-Length is right; markers keep their width.
    let body = body.map(|b| {
        let b = b.replace("{T}", "@T0000000000000000@").replace("{i}", "@I000000@");
        let pad = size.saturating_sub(b.len().saturating_sub(5));
        b.replace("{pad}", &"x".repeat(pad))
    });
    let mut r = format!("{m} {path} HTTP/1.1\r\nHost: localhost\r\n");
    if let Some(b) = &body {
        r += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", b.len());
    }
    r += "\r\n";
    r += body.as_deref().unwrap_or("");
    super::Template::new(&r, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses() {
        assert_eq!(response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), Some((40, true)));
        assert_eq!(response(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi"), None);
        let c = b"HTTP/1.1 404 N\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
        assert_eq!(response(c), Some((c.len(), false)));
        let r = b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(response(r), Some((r.len(), false)));
    }
}
