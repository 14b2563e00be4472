//! Who may manage the server over REST: not the pages of other origins.
//!
//! A browser on an operator's machine reaches what listens on its loopback addresses, and runs the scripts of every page that
//! is open in it. The API lets all of them ask; what manages the server must not. Three things keep them out: no header
//! that lets another origin read or send, a check of the header `Origin`, and of `Host`, since a page may give its own
//! name the address of this machine.

use std::net::IpAddr;

use warp::http::header::{CONTENT_TYPE, HOST, ORIGIN};
use warp::http::{HeaderMap, Method};

use super::routes::BASE;

/// Header by which a script says that it is one; no page of another origin can send it without being allowed to.
const REQUESTED_WITH: &str = "x-requested-with";
/// Header in which browsers tell how a request's page and its target belong together.
const FETCH_SITE: &str = "sec-fetch-site";

/// Whether a path, without one slash at its end, is among those that manage the server.
pub(super) fn is_guarded(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let below =
        |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below("/_admin")
        || path.strip_prefix(BASE).is_some_and(|rest| {
            ["/_broker", "/_server"].iter().any(|root| {
                rest.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
}

/// Checks that a request comes from no page of another origin. `names` are the names of hosts by which operators reach
/// this server, besides `localhost` and addresses.
///
/// # Errors
///
/// Why it is refused, and what would not be.
pub(super) fn check(method: &Method, headers: &HeaderMap, names: &[String]) -> Result<(), String> {
    let text = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let host = text(HOST.as_str()).unwrap_or_default();
    if !is_own(&host, names) {
        return Err(format!(
            "the server is not managed under the name `{host}`; use `localhost` or its address, or add the name to \
             `rest.host_names`"
        ));
    }
    if let Some(origin) = text(ORIGIN.as_str())
        && origin.split_once("://").is_none_or(|(_, authority)| !authority.eq_ignore_ascii_case(&host))
    {
        return Err(format!("pages of `{origin}` may not manage the server; open its own page `/_admin`"));
    }
    if method.is_safe() {
        return Ok(());
    }
    if let Some(site) = text(FETCH_SITE).filter(|site| site != "same-origin" && site != "none") {
        return Err(format!("a page of another origin ({site}) may not manage the server"));
    }
    // All else that changes something is asked for beforehand by the browser, and not allowed.
    let is_script = headers.contains_key(CONTENT_TYPE) || headers.contains_key(REQUESTED_WITH);
    if *method == Method::POST && !is_script {
        return Err("what manages the server has to be sent with `Content-Type: application/json`".to_owned());
    }
    Ok(())
}

/// Whether the header `Host` names this machine by its address, as `localhost`, or by one of `names`.
fn is_own(host: &str, names: &[String]) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let name = name.trim_end_matches('.');
    let same = |other: &str| name.eq_ignore_ascii_case(other);
    // Programs of long ago send none; browsers always do.
    name.is_empty()
        || same("localhost")
        || name.parse::<IpAddr>().is_ok()
        || names.iter().any(|other| same(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn asked(method: Method, pairs: &[(&'static str, &str)]) -> Result<(), String> {
        check(&method, &headers(pairs), &["kuzzle.example.com".to_owned()])
    }

    #[test]
    fn what_manages_the_server_is_guarded() {
        for path in [
            "/_admin",
            "/_admin/admin.js",
            "/api/1.0/_broker",
            "/API/1.0/_Broker/queues",
            "/api/1.0/_server/x",
        ] {
            assert!(is_guarded(path), "{path}");
        }
        for path in [
            "/",
            "/_administrator",
            "/api/1.0",
            "/api/1.0/_brokers",
            "/api/1.0/i/_broker",
            "/api/_serverInfo",
        ] {
            assert!(!is_guarded(path), "{path}");
        }
    }

    #[test]
    fn programs_and_the_servers_own_page_are_let_in() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        assert_eq!(asked(Method::GET, &[]), Ok(()));
        for host in
            ["localhost:7511", "127.0.0.1:7511", "[::1]:7511", "LOCALHOST", "kuzzle.example.com", "10.0.0.1"]
        {
            assert_eq!(asked(Method::GET, &[("host", host)]), Ok(()), "{host}");
            let origin = format!("http://{host}");
            let own = [("host", host), ("origin", origin.as_str()), ("sec-fetch-site", "same-origin"), JSON];
            assert_eq!(asked(Method::POST, &own), Ok(()), "{host}");
        }
        assert_eq!(asked(Method::POST, &[("host", "localhost"), JSON]), Ok(()));
        assert_eq!(asked(Method::DELETE, &[("host", "localhost")]), Ok(()));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        const HOST: (&str, &str) = ("host", "localhost:7511");
        const JSON: (&str, &str) = ("content-type", "application/json");
        for origin in ["http://evil.example", "null", "http://localhost:8080", "https://localhost"] {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                let refused = asked(method, &[HOST, ("origin", origin), JSON]).unwrap_err();
                assert!(refused.contains(origin), "{refused}");
            }
        }
        // A page that gave its own name the address of this machine.
        let rebound = asked(Method::GET, &[("host", "evil.example:7511")]).unwrap_err();
        assert!(rebound.contains("rest.host_names"), "{rebound}");
        assert!(asked(Method::DELETE, &[HOST, ("sec-fetch-site", "cross-site")]).is_err());
        assert!(asked(Method::POST, &[HOST]).unwrap_err().contains("application/json"));
    }
}
