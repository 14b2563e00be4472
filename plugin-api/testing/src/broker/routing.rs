//! Which keys a binding lets through.

use kuzzle_plugin_api::abi::BIND_HIDES_DOLLAR;

/// Whether `key` matches `pattern` on an exchange of type `kind`.
pub(super) fn matches(kind: &str, pattern: &str, flags: u32, key: &str) -> bool {
    match kind {
        "fanout" => true,
        "topic" => {
            let is_hidden = flags & BIND_HIDES_DOLLAR != 0
                && key.starts_with('$')
                && (pattern.starts_with('#') || pattern.starts_with('*'));
            !is_hidden && topic(&words(pattern), &words(key))
        }
        _ => pattern == key,
    }
}

fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

fn topic(pattern: &[&str], key: &[&str]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((&"#", rest)) => {
            (0..=key.len()).any(|skipped| topic(rest, key.get(skipped..).unwrap_or_default()))
        }
        Some((word, rest)) => key
            .split_first()
            .is_some_and(|(first, key_rest)| (*word == "*" || word == first) && topic(rest, key_rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_patterns_match_words() {
        const KEYS: [&str; 10] = ["", "a", "b", "a.b", "a.b.c", "a.c", "a.", ".a", "a..c", "."];
        for (pattern, expected) in [
            ("a.*", "a.b a.c a."),
            ("a.#", "a a.b a.b.c a.c a. a..c"),
            ("*", "a b"),
            ("*.*", "a.b a.c a. .a ."),
            ("#.b", "b a.b"),
            ("a.#.c", "a.b.c a.c a..c"),
            ("a.*.#", "a.b a.b.c a.c a. a..c"),
            ("a.**", ""),
        ] {
            let found: Vec<_> = KEYS.into_iter().filter(|key| matches("topic", pattern, 0, key)).collect();
            assert_eq!(found.join(" "), expected, "{pattern}");
        }
        assert!(KEYS.into_iter().all(|key| matches("topic", "#", 0, key)));
        assert!(matches("topic", "#", 0, "$a") && !matches("topic", "#", BIND_HIDES_DOLLAR, "$a"));
        assert!(matches("topic", "$a.#", BIND_HIDES_DOLLAR, "$a"));
    }

    #[test]
    fn the_other_types_are_simple() {
        assert!(matches("direct", "a.*", 0, "a.*") && !matches("direct", "a.*", 0, "a.b"));
        assert!(matches("fanout", "a", 0, "b"));
    }
}
