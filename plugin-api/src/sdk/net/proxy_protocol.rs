//! The PROXY protocol, versions 1 and 2: what a load balancer says about the client before the client's own bytes.
//!
//! Source: "The PROXY protocol", HAProxy, section 2. Bytes in, header out; it opens no socket and reads no clock.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest version 1 header, with its CRLF, in bytes (section 2.1).
pub const V1_MAX_BYTES: usize = 107;

/// Longest version 2 header that is taken, in bytes: room for the addresses and for what balancers add about TLS.
pub const V2_MAX_BYTES: usize = 4_096;

const V2_SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;

/// A header that was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Address of the client and the one that it connected to. None when the balancer speaks for itself (a health
    /// check) or does not know: then the connection's own addresses hold.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// Bytes that the header takes; what follows is the client's.
    pub length: usize,
}

/// Why bytes are not a header that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// They begin like neither version.
    Signature,
    /// A version 1 line that is not as the specification wants it.
    Line,
    /// A version 1 line that is longer than [`V1_MAX_BYTES`].
    LineTooLong,
    /// A version 2 header of a version that does not exist: the byte of version and command.
    Version(u8),
    /// A version 2 header longer than [`V2_MAX_BYTES`]: its length in bytes.
    TooLong(usize),
    /// A version 2 header too short for the addresses that it announces.
    TooShort,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => {
                f.write_str("no PROXY protocol header; is the listener's `proxy_protocol` meant to be on?")
            }
            Self::Line => f.write_str("malformed PROXY protocol line"),
            Self::LineTooLong => write!(f, "PROXY protocol line longer than {V1_MAX_BYTES} bytes"),
            Self::Version(found) => {
                write!(f, "PROXY protocol version and command {found:#04x}, expected 0x20 or 0x21")
            }
            Self::TooLong(found) => {
                write!(f, "PROXY protocol header of {found} bytes, at most {V2_MAX_BYTES} are taken")
            }
            Self::TooShort => f.write_str("PROXY protocol header too short for its addresses"),
        }
    }
}

impl std::error::Error for ProxyError {}

/// Reads a header from the beginning of what a connection has sent so far. None while more bytes are needed.
///
/// The answer does not depend on how the bytes were cut: it is none for every proper beginning of a header.
///
/// # Errors
///
/// As soon as the bytes can no longer become a header.
pub fn parse_proxy_header(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    const V1_BEGIN: &[u8] = b"PROXY ";
    let begins_as = |signature: &[u8]| {
        let compared = bytes.len().min(signature.len());
        bytes.get(..compared) == signature.get(..compared)
    };
    if begins_as(&V2_SIGNATURE) {
        return if bytes.len() < V2_FIXED_BYTES { Ok(None) } else { parse_v2(bytes) };
    }
    if begins_as(V1_BEGIN) {
        return parse_v1(bytes);
    }
    Err(ProxyError::Signature)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let window = bytes.get(..V1_MAX_BYTES).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() >= V1_MAX_BYTES { Err(ProxyError::LineTooLong) } else { Ok(None) };
    };
    let line = window.get(..end).and_then(|line| std::str::from_utf8(line).ok()).ok_or(ProxyError::Line)?;
    let mut words = line.split(' ').skip(1);
    let mut word = || words.next().ok_or(ProxyError::Line);
    let addresses = match word()? {
        // The rest of an UNKNOWN line is to be ignored.
        "UNKNOWN" => None,
        family @ ("TCP4" | "TCP6") => {
            let (source, destination) = (address(word()?, family)?, address(word()?, family)?);
            let (source_port, destination_port) = (port(word()?)?, port(word()?)?);
            if words.next().is_some() {
                return Err(ProxyError::Line);
            }
            Some((SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port)))
        }
        _ => return Err(ProxyError::Line),
    };
    Ok(Some(ProxyHeader { addresses, length: end + 2 }))
}

fn address(text: &str, family: &str) -> Result<IpAddr, ProxyError> {
    let address = match family {
        "TCP4" => text.parse().map(IpAddr::V4),
        _ => text.parse().map(IpAddr::V6),
    };
    address.map_err(|_| ProxyError::Line)
}

fn port(text: &str) -> Result<u16, ProxyError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(ProxyError::Line)
}

fn parse_v2(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    let [command, family, high, low] = fixed::<4>(bytes, V2_SIGNATURE.len())?;
    if command != LOCAL && command != PROXY {
        return Err(ProxyError::Version(command));
    }
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > V2_MAX_BYTES {
        return Err(ProxyError::TooLong(length));
    }
    let Some(body) = bytes.get(V2_FIXED_BYTES..length) else { return Ok(None) };
    // A family or transport that is not known is to be taken as unspecified.
    let addresses = match (command, family) {
        (PROXY, 0x11) => {
            let pair = (Ipv4Addr::from(fixed::<4>(body, 0)?), Ipv4Addr::from(fixed::<4>(body, 4)?));
            Some(with_ports(pair.0.into(), pair.1.into(), fixed(body, 8)?))
        }
        (PROXY, 0x21) => {
            let pair = (Ipv6Addr::from(fixed::<16>(body, 0)?), Ipv6Addr::from(fixed::<16>(body, 16)?));
            Some(with_ports(pair.0.into(), pair.1.into(), fixed(body, 32)?))
        }
        _ => None,
    };
    Ok(Some(ProxyHeader { addresses, length }))
}

fn with_ports(source: IpAddr, destination: IpAddr, ports: [u8; 4]) -> (SocketAddr, SocketAddr) {
    let [a, b, c, d] = ports;
    (
        SocketAddr::new(source, u16::from_be_bytes([a, b])),
        SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    )
}

fn fixed<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ProxyError> {
    bytes.get(at..at + N).and_then(|part| part.try_into().ok()).ok_or(ProxyError::TooShort)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
        let (a, b) = (source.ip(), destination.ip());
        format!("PROXY {family} {a} {b} {} {}\r\n", source.port(), destination.port()).into_bytes()
    }

    fn v2(source: SocketAddr, destination: SocketAddr, extra: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        let family = match (source.ip(), destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                body.extend(source.octets().into_iter().chain(destination.octets()));
                0x11
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                body.extend(source.octets().into_iter().chain(destination.octets()));
                0x21
            }
            _ => unreachable!("the families are the same"),
        };
        body.extend(source.port().to_be_bytes().into_iter().chain(destination.port().to_be_bytes()));
        body.extend(extra);
        [&V2_SIGNATURE[..], &[0x21, family], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body]
            .concat()
    }

    #[test]
    fn lines_of_the_specification() {
        let parse = |line: &str| parse_proxy_header(line.as_bytes());
        let header =
            parse("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\nGET / HTTP/1.1").unwrap().unwrap();
        assert_eq!(header.length, 47);
        assert_eq!(
            header.addresses,
            Some(("192.168.0.1:56324".parse().unwrap(), "192.168.0.11:443".parse().unwrap()))
        );
        for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"] {
            assert_eq!(parse(unknown), Ok(Some(ProxyHeader { addresses: None, length: unknown.len() })));
        }
        for bad in [
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
            "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
            "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
            "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(parse(bad), Err(ProxyError::Line), "{bad}");
        }
        assert_eq!(parse("GET / HTTP/1.1\r\n"), Err(ProxyError::Signature));
        assert_eq!(parse(&format!("PROXY UNKNOWN {}", "x".repeat(200))), Err(ProxyError::LineTooLong));
        assert_eq!(parse(""), Ok(None));
    }

    #[test]
    fn headers_of_version_2() {
        let head = |command: u8, family: u8, length: u16| {
            [&V2_SIGNATURE[..], &[command, family], &length.to_be_bytes()].concat()
        };
        let none = |length| Ok(Some(ProxyHeader { addresses: None, length }));
        assert_eq!(parse_proxy_header(&head(0x20, 0x00, 0)), none(16), "a health check");
        assert_eq!(
            parse_proxy_header(&[head(0x21, 0x31, 2), vec![0; 2]].concat()),
            none(18),
            "a Unix socket"
        );
        assert_eq!(parse_proxy_header(&head(0x11, 0x11, 12)), Err(ProxyError::Version(0x11)));
        assert_eq!(parse_proxy_header(&head(0x21, 0x11, 65_535)), Err(ProxyError::TooLong(65_551)));
        assert_eq!(
            parse_proxy_header(&[head(0x21, 0x11, 11), vec![0; 11]].concat()),
            Err(ProxyError::TooShort)
        );
    }

    fn pair() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
        prop_oneof![
            any::<([u8; 4], u16, [u8; 4], u16)>()
                .prop_map(|(a, p, b, q)| (SocketAddr::from((a, p)), SocketAddr::from((b, q)))),
            any::<([u16; 8], u16, [u16; 8], u16)>()
                .prop_map(|(a, p, b, q)| (SocketAddr::from((a, p)), SocketAddr::from((b, q)))),
        ]
    }

    proptest! {
        #[test]
        fn a_header_is_read_however_it_is_cut(
            (source, destination) in pair(),
            extra in prop::collection::vec(any::<u8>(), 0..64),
            after in prop::collection::vec(any::<u8>(), 0..32),
        ) {
            for header in [v1(source, destination), v2(source, destination, &extra)] {
                for cut in 0..header.len() {
                    prop_assert_eq!(parse_proxy_header(&header[..cut]), Ok(None));
                }
                let expected = ProxyHeader { addresses: Some((source, destination)), length: header.len() };
                let whole = [&header[..], &after].concat();
                prop_assert_eq!(parse_proxy_header(&whole), Ok(Some(expected)));
            }
        }

        #[test]
        fn any_bytes_are_decided_within_the_limits(
            begin in prop_oneof![Just(V2_SIGNATURE.to_vec()), Just(b"PROXY ".to_vec()), Just(Vec::new())],
            rest in prop::collection::vec(any::<u8>(), V2_MAX_BYTES..V2_MAX_BYTES + 10),
        ) {
            let bytes = [begin, rest].concat();
            match parse_proxy_header(&bytes) {
                Ok(Some(header)) => prop_assert!(header.length <= V2_MAX_BYTES),
                Ok(None) => prop_assert!(false, "still undecided after {} bytes", bytes.len()),
                Err(_) => {}
            }
        }
    }
}
