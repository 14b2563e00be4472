//! Which web pages may connect.

use hyper::header::HeaderValue;

/// The configured origins.
pub(crate) struct Origins {
    any: bool,
    listed: Vec<String>,
}

impl Origins {
    /// From the setting `origins`: origins as a browser sends them, or `*`.
    pub(crate) fn new(origins: &[String]) -> Origins {
        Origins {
            any: origins.iter().any(|origin| origin == "*"),
            listed: origins.iter().map(|origin| origin.trim_end_matches('/').to_owned()).collect(),
        }
    }

    /// Whether a page of this origin may connect. Scheme and host are compared without regard to case.
    pub(crate) fn allow(&self, origin: &HeaderValue) -> bool {
        let listed = |origin: &str| self.listed.iter().any(|listed| listed.eq_ignore_ascii_case(origin));
        self.any || origin.to_str().is_ok_and(listed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_origins_may_connect() {
        let origins = Origins::new(&["https://app.example.com/".into(), "http://localhost:8080".into()]);
        assert!(origins.allow(&HeaderValue::from_static("https://App.example.com")));
        assert!(origins.allow(&HeaderValue::from_static("http://localhost:8080")));
        assert!(!origins.allow(&HeaderValue::from_static("http://localhost")));
        assert!(!origins.allow(&HeaderValue::from_static("null")));
        assert!(Origins::new(&["*".into()]).allow(&HeaderValue::from_static("null")));
        assert!(!Origins::new(&[]).allow(&HeaderValue::from_static("http://localhost")));
    }
}
