//! Addresses to listen on, as people write them.

use std::net::SocketAddr;

use super::{Problem, Scheme, closest};

/// Longest path at which a WebSocket may be, in bytes.
const PATH_MAX_BYTES: usize = 255;
/// Most paths of one address.
const PATHS_MAX: usize = 16;
/// What begins an address, how it is spoken to, and whether over TLS.
const SCHEMES: [(&str, Scheme, bool); 4] = [
    ("tcp", Scheme::Tcp, false),
    ("tls", Scheme::Tcp, true),
    ("ws", Scheme::Ws, false),
    ("wss", Scheme::Ws, true),
];

/// An address that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) socket: SocketAddr,
    pub(super) scheme: Scheme,
    /// Whether the scheme says that it is spoken to over TLS.
    pub(super) wants_tls: bool,
    /// Where WebSockets are; empty where nothing is said.
    pub(super) paths: Vec<String>,
}

/// What is wrong with an address and, where it can be guessed, what to write instead.
pub(super) struct Wrong {
    message: String,
    hint: Option<String>,
}

impl Wrong {
    /// The problem at its place.
    pub(super) fn at(self, span: Option<std::ops::Range<usize>>) -> Problem {
        Problem::at(span, self.message).hint(self.hint)
    }
}

/// Reads `[<scheme>://]<ip>:<port>`, with `[/<path>[,/<path>..]]` behind it where the scheme is `ws` or `wss`.
///
/// # Errors
///
/// With what is wrong.
pub(super) fn parse(text: &str) -> Result<Address, Wrong> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
    let Some((_, scheme, wants_tls)) = SCHEMES.into_iter().find(|(known, ..)| *known == scheme) else {
        let names = SCHEMES.map(|(known, ..)| known);
        return Err(Wrong {
            message: format!("`{text}` has the scheme `{scheme}`, expected one of {}", names.join(", ")),
            hint: closest(scheme, names, "scheme"),
        });
    };
    let (address, paths) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let socket = address.parse().map_err(|_| Wrong {
        message: format!(
            "`{text}` is not an address to listen on, expected an IP address and a port such as `127.0.0.1:7512`"
        ),
        hint: guess(address),
    })?;
    // A bare slash is what URLs end with.
    let paths: Vec<String> = match paths {
        "" | "/" => Vec::new(),
        paths => paths.split(',').map(str::to_owned).collect(),
    };
    if scheme == Scheme::Tcp && !paths.is_empty() {
        return Err(Wrong {
            message: format!("`{text}` has a path, expected an IP address and a port alone"),
            hint: Some("`ws://` and `wss://` addresses have paths".to_owned()),
        });
    }
    check_paths(paths.iter().map(String::as_str))?;
    Ok(Address { socket, scheme, wants_tls, paths })
}

/// Looks at the paths of an address for WebSockets.
///
/// # Errors
///
/// With the first that is none, or when there are too many.
pub(super) fn check_paths<'a>(paths: impl Iterator<Item = &'a str>) -> Result<(), Wrong> {
    for (number, path) in paths.enumerate() {
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"?#,".contains(&byte);
        if !path.starts_with('/') || !path.bytes().all(plain) || path.len() > PATH_MAX_BYTES {
            return Err(Wrong {
                message: format!(
                    "`{path}` is not the path of a WebSocket, expected up to {PATH_MAX_BYTES} plain characters \
                     such as `/chat`"
                ),
                hint: Some("`/*` is any path".to_owned()),
            });
        }
        if number == PATHS_MAX {
            let message = format!("more than {PATHS_MAX} paths of one address");
            return Err(Wrong { message, hint: Some("`/*` is any path".to_owned()) });
        }
    }
    Ok(())
}

fn guess(address: &str) -> Option<String> {
    if address.is_empty() {
        return None;
    }
    if let Ok(port) = address.trim_start_matches([':', '*']).parse::<u16>() {
        return Some(format!(
            "for this machine alone write `127.0.0.1:{port}`, for every address `0.0.0.0:{port}`"
        ));
    }
    let (host, port) = address.rsplit_once(':')?;
    let port: u16 = match port.parse() {
        Ok(port) => port,
        Err(_) => return Some("a port is a number from 0 to 65535".to_owned()),
    };
    if host.eq_ignore_ascii_case("localhost") {
        return Some(format!("write `127.0.0.1:{port}` and `[::1]:{port}`"));
    }
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some(format!("an IPv6 address stands in brackets: `[{host}]:{port}`"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (String, String) {
        match parse(text) {
            Err(Wrong { message, hint }) => (message, hint.unwrap_or_default()),
            Ok(address) => panic!("{text} was read as {address:?}"),
        }
    }

    #[test]
    fn addresses_with_and_without_scheme_are_read() {
        let read = |text: &str| match parse(text) {
            Ok(Address { socket, scheme, wants_tls, paths }) => {
                format!("{scheme} {socket} {wants_tls} {}", paths.join(" "))
            }
            Err(wrong) => panic!("{text}: {}", wrong.message),
        };
        assert_eq!(read("127.0.0.1:7512"), "tcp 127.0.0.1:7512 false ");
        assert_eq!(read("[::1]:7512"), "tcp [::1]:7512 false ");
        assert_eq!(read("tcp://[::1]:7512/"), "tcp [::1]:7512 false ");
        assert_eq!(read("tls://127.0.0.1:1"), "tcp 127.0.0.1:1 true ");
        assert_eq!(read("ws://0.0.0.0:0/"), "ws 0.0.0.0:0 false ");
        assert_eq!(read("wss://[::1]:80/a/b,/,/*"), "ws [::1]:80 true /a/b / /*");
    }

    #[test]
    fn what_is_no_address_gets_a_guess() {
        let guessed = |text: &str| wrong(text).1;
        assert_eq!(guessed("localhost:80"), "write `127.0.0.1:80` and `[::1]:80`");
        assert_eq!(guessed("ws://localhost:80/x"), "write `127.0.0.1:80` and `[::1]:80`");
        assert_eq!(guessed("::1:80"), "an IPv6 address stands in brackets: `[::1]:80`");
        assert_eq!(
            guessed("*:80"),
            "for this machine alone write `127.0.0.1:80`, for every address `0.0.0.0:80`"
        );
        assert_eq!(guessed("127.0.0.1:99999"), "a port is a number from 0 to 65535");
        assert_eq!(guessed("/run/x.sock"), "");
        assert_eq!(guessed("was://127.0.0.1:1"), "closest known scheme: `ws`");
        assert!(wrong("WS://127.0.0.1:1").0.contains("scheme `WS`"));
        assert!(wrong("127.0.0.1:1/chat").1.contains("`ws://`"));
        wrong("");
    }

    #[test]
    fn paths_are_plain() {
        for odd in ["x", "/a b", "/a?b", "/a#b", "/\u{e9}", ""] {
            assert!(check_paths([odd].into_iter()).is_err(), "{odd}");
        }
        assert!(wrong("ws://127.0.0.1:1/a,b").0.starts_with("`b` is not the path"));
        assert!(wrong("ws://127.0.0.1:1/a,").0.starts_with("`` is not the path"));
        let long = format!("/{}", "x".repeat(PATH_MAX_BYTES));
        assert!(check_paths([long.as_str()].into_iter()).is_err());
        assert!(check_paths(["/x"; PATHS_MAX].into_iter()).is_ok());
        assert!(check_paths(["/x"; PATHS_MAX + 1].into_iter()).is_err());
    }
}
