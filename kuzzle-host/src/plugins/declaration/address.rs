//! Addresses to listen on, as people write them.

use std::net::SocketAddr;

/// What a listener without a scheme speaks.
const DEFAULT_SCHEME: &str = "tcp";

/// Reads `[<scheme>://]<ip>:<port>`.
///
/// # Errors
///
/// With what is wrong and, where it can be guessed, what to write instead.
pub(crate) fn parse(text: &str) -> Result<(String, SocketAddr), (String, Option<String>)> {
    let (scheme, address) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme, rest.strip_suffix('/').unwrap_or(rest)),
        None => (DEFAULT_SCHEME, text),
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'+' || byte == b'-';
    if scheme.is_empty() || scheme.len() > 16 || !scheme.bytes().all(plain) {
        return Err((
            format!("`{text}` has the scheme `{scheme}`, expected a short word in lower case"),
            None,
        ));
    }
    match address.parse() {
        Ok(address) => Ok((scheme.to_owned(), address)),
        Err(_) => Err((
            format!(
                "`{text}` is not an address to listen on, expected an IP address and a port such as `127.0.0.1:7512`"
            ),
            guess(address),
        )),
    }
}

fn guess(address: &str) -> Option<String> {
    if address.starts_with('/') {
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

    #[test]
    fn addresses_with_and_without_scheme_are_read() {
        let read = |text: &str| parse(text).map(|(scheme, address)| format!("{scheme} {address}"));
        assert_eq!(read("127.0.0.1:7512").unwrap(), "tcp 127.0.0.1:7512");
        assert_eq!(read("[::1]:7512").unwrap(), "tcp [::1]:7512");
        assert_eq!(read("ws://0.0.0.0:0/").unwrap(), "ws 0.0.0.0:0");
    }

    #[test]
    fn what_is_no_address_gets_a_guess() {
        let guessed = |text: &str| parse(text).unwrap_err().1.unwrap_or_default();
        assert_eq!(guessed("localhost:80"), "write `127.0.0.1:80` and `[::1]:80`");
        assert_eq!(guessed("::1:80"), "an IPv6 address stands in brackets: `[::1]:80`");
        assert_eq!(
            guessed("*:80"),
            "for this machine alone write `127.0.0.1:80`, for every address `0.0.0.0:80`"
        );
        assert_eq!(guessed("127.0.0.1:99999"), "a port is a number from 0 to 65535");
        assert_eq!(guessed("/run/x.sock"), "");
        assert!(parse("WS://127.0.0.1:1").unwrap_err().0.contains("scheme `WS`"));
        assert!(parse("").is_err());
    }
}
