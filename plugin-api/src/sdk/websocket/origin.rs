//! Which web pages may connect.
//!
//! A browser lets every page open a WebSocket to every address that it reaches, and says in the header `Origin` which page
//! it is. Without looking at it, any page that somebody visits could speak to a server on their own machine, which takes
//! clients of that machine for its owner's.

use std::net::IpAddr;

/// The pages that may connect. Clients that are no browsers name no origin, and are not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Every page.
    Any,
    /// Pages that this machine serves: of `localhost`, a name below it, or a loopback address, at any port.
    OfThisMachine,
    /// These, such as `https://app.example.com`; `null` is that of pages without one, as files are.
    Listed(Vec<String>),
}

impl Origins {
    /// Those of a list that people have written: `*` in it is every page.
    #[must_use]
    pub fn listed(origins: Vec<String>) -> Self {
        if origins.iter().any(|origin| origin == "*") { Self::Any } else { Self::Listed(origins) }
    }

    /// Whether a page of this origin may connect. Letters are compared without regard to case.
    #[must_use]
    pub fn allow(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::OfThisMachine => host(origin).is_some_and(is_this_machine),
            Self::Listed(origins) => {
                origins.iter().any(|listed| listed.trim_end_matches('/').eq_ignore_ascii_case(origin))
            }
        }
    }
}

/// The host of an origin, without its port.
fn host(origin: &str) -> Option<&str> {
    let (_scheme, authority) = origin.split_once("://")?;
    match authority.strip_prefix('[') {
        Some(address) => address.split_once(']').map(|(address, _port)| address),
        None => authority.split(':').next(),
    }
}

fn is_this_machine(host: &str) -> bool {
    const LOCALHOST: &str = "localhost";
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        // Browsers resolve names below it to the loopback interface by themselves (RFC 6761, section 6.3).
        Err(_) => host.rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case(LOCALHOST)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_machine_are_told_from_others() {
        let allow = |origin: &str| Origins::OfThisMachine.allow(origin);
        for ours in [
            "http://localhost",
            "http://LOCALHOST:8080",
            "https://app.localhost:3000",
            "http://127.0.0.1:80",
            "http://127.1.2.3",
            "http://[::1]:8080",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(allow(ours), "{ours}");
        }
        for other in [
            "null",
            "",
            "http://",
            "https://example.com",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1",
            "http://[fe80::1]",
            "http://[::1",
            "localhost",
            "file://",
        ] {
            assert!(!allow(other), "{other}");
        }
    }

    #[test]
    fn listed_origins_are_taken_as_they_stand_there() {
        let origins =
            Origins::listed(vec!["https://app.example.com/".into(), "http://localhost:8080".into()]);
        assert!(origins.allow("https://App.example.com"));
        assert!(origins.allow("http://localhost:8080"));
        assert!(!origins.allow("http://localhost"));
        assert!(!origins.allow("null"));
        assert!(Origins::listed(vec!["null".into()]).allow("null"));
        assert_eq!(Origins::listed(vec!["https://a".into(), "*".into()]), Origins::Any);
        assert!(Origins::Any.allow("null"));
    }
}
