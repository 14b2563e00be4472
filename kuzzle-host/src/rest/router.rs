//! From a path to its route.
//!
//! The table says that the first declared route wins; the router prefers literals to parameters. The two agree once
//! the set of patterns is closed under intersection: for every two routes that some path matches both, the path's own
//! pattern is inserted with the route that was declared first.

use std::collections::HashMap;

use matchit::Router;
use percent_encoding::percent_decode_str;

use super::routes::{ROUTES, Route, Verb};

/// Finds routes.
pub(crate) struct Routes {
    verbs: [Router<usize>; Verb::ALL.len()],
    patterns: Vec<Vec<Segment>>,
}

/// A route and what its path's parameters are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The route.
    pub(crate) route: &'static Route,
    /// Names and percent-decoded values, in the order of the path.
    pub(crate) parameters: Vec<(&'static str, String)>,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Segment {
    /// A literal, in lower case.
    Literal(String),
    /// A literal beginning, in lower case and perhaps empty, and the name of what follows.
    Parameter(String, &'static str),
}

impl Routes {
    /// Builds the router from the table. Fails only for a table with a path that no router takes.
    pub(crate) fn new() -> Result<Self, String> {
        let patterns: Vec<Vec<Segment>> = ROUTES.iter().map(pattern_of).collect();
        let mut verbs: [Router<usize>; Verb::ALL.len()] = Default::default();
        for (verb, router) in Verb::ALL.into_iter().zip(&mut verbs) {
            for (segments, winner) in closed(verb, &patterns) {
                let path = router_path(&segments);
                router.insert(path.as_str(), winner).map_err(|error| format!("route `{path}`: {error}"))?;
            }
        }
        Ok(Self { verbs, patterns })
    }

    /// Finds the route of a path, which may have one trailing slash.
    pub(crate) fn find(&self, verb: Verb, path: &str) -> Option<Found> {
        let path = without_trailing_slash(path);
        let index = Verb::ALL.iter().position(|candidate| *candidate == verb)?;
        // Literals match whatever their case; lowering ASCII letters keeps every position.
        let lowered = path.to_ascii_lowercase();
        let winner = *self.verbs.get(index)?.at(&lowered).ok()?.value;
        let route = ROUTES.get(winner)?;
        let segments = path.strip_prefix('/')?.split('/');
        let parameters = segments
            .zip(self.patterns.get(winner)?)
            .filter_map(|(text, segment)| match segment {
                Segment::Literal(_) => None,
                Segment::Parameter(beginning, name) => Some((*name, decoded(text.get(beginning.len()..)?))),
            })
            .collect();
        Some(Found { route, parameters })
    }

    /// The verbs that have a route for a path, in alphabetical order.
    pub(crate) fn verbs(&self, path: &str) -> Vec<Verb> {
        Verb::ALL.into_iter().filter(|verb| self.find(*verb, path).is_some()).collect()
    }
}

/// The path without one slash at its end.
pub(crate) fn without_trailing_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some(shorter) if !shorter.is_empty() => shorter,
        _ => path,
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn pattern_of(route: &'static Route) -> Vec<Segment> {
    let base = if route.versioned { super::routes::BASE } else { "" };
    let segments = base.split('/').chain(route.path.split('/'));
    segments
        .filter(|segment| !segment.is_empty())
        .map(|segment| match segment.split_once(':') {
            Some((beginning, name)) => Segment::Parameter(beginning.to_ascii_lowercase(), name),
            None => Segment::Literal(segment.to_ascii_lowercase()),
        })
        .collect()
}

/// The patterns of a verb and all their intersections, each with the route that was declared first.
fn closed(verb: Verb, patterns: &[Vec<Segment>]) -> Vec<(Vec<Segment>, usize)> {
    let mut known: HashMap<Vec<Segment>, usize> = HashMap::new();
    let mut fresh: Vec<Vec<Segment>> = Vec::new();
    let learn = |known: &mut HashMap<Vec<Segment>, usize>, fresh: &mut Vec<_>, segments: Vec<Segment>, at| {
        let winner = known.entry(segments.clone()).or_insert_with(|| {
            fresh.push(segments);
            at
        });
        *winner = at.min(*winner);
    };
    for (at, segments) in
        patterns.iter().enumerate().filter(|(at, _)| ROUTES.get(*at).is_some_and(|r| r.verb == verb))
    {
        learn(&mut known, &mut fresh, anonymous(segments), at);
    }
    while let Some(one) = fresh.pop() {
        for (other, at) in known.clone() {
            if let Some(both) = intersection(&one, &other) {
                let first = known.get(&one).map_or(at, |own| at.min(*own));
                learn(&mut known, &mut fresh, both, first);
            }
        }
    }
    let mut all: Vec<_> = known.into_iter().collect();
    all.sort();
    all
}

/// The pattern with its parameters' names forgotten, so that equal patterns are equal.
fn anonymous(segments: &[Segment]) -> Vec<Segment> {
    segments
        .iter()
        .map(|segment| match segment {
            Segment::Parameter(beginning, _) => Segment::Parameter(beginning.clone(), ""),
            literal @ Segment::Literal(_) => literal.clone(),
        })
        .collect()
}

/// The pattern of the paths that match both.
fn intersection(one: &[Segment], other: &[Segment]) -> Option<Vec<Segment>> {
    use Segment::{Literal, Parameter};
    if one.len() != other.len() {
        return None;
    }
    let narrow = |one: &Segment, other: &Segment| match (one, other) {
        (Literal(a), Literal(b)) => (a == b).then(|| one.clone()),
        (Literal(a), Parameter(b, _)) => {
            (a.len() > b.len() && a.starts_with(b.as_str())).then(|| one.clone())
        }
        (Parameter(a, _), Literal(b)) => {
            (b.len() > a.len() && b.starts_with(a.as_str())).then(|| other.clone())
        }
        (Parameter(a, _), Parameter(b, _)) if a.starts_with(b.as_str()) => Some(one.clone()),
        (Parameter(a, _), Parameter(b, _)) if b.starts_with(a.as_str()) => Some(other.clone()),
        (Parameter(..), Parameter(..)) => None,
    };
    one.iter().zip(other).map(|(one, other)| narrow(one, other)).collect()
}

fn router_path(segments: &[Segment]) -> String {
    segments.iter().enumerate().fold(String::new(), |path, (at, segment)| match segment {
        Segment::Literal(text) => path + "/" + text,
        Segment::Parameter(beginning, _) => format!("{path}/{beginning}{{p{at}}}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn action(verb: Verb, path: &str) -> String {
        Routes::new().unwrap().find(verb, path).map_or_else(String::new, |found| {
            format!("{}.{} {:?}", found.route.controller, found.route.action, found.parameters)
        })
    }

    #[test]
    fn each_route_is_found_by_a_path_of_its_own() {
        let routes = Routes::new().unwrap();
        for route in ROUTES {
            let path: String = route.full_path().replace("_:action", "_create").replace(':', "X");
            let found = routes.find(route.verb, &path).unwrap_or_else(|| panic!("{path}"));
            let first = naive(route.verb, &path).unwrap();
            assert_eq!(ROUTES[first].action, found.route.action, "{path}");
        }
    }

    #[test]
    fn the_first_declared_wins_and_case_and_a_trailing_slash_do_not_matter() {
        assert_eq!(
            action(Verb::Get, "/api/1.0/users/_listCollections"),
            r#"read.listCollections [("index", "users")]"#
        );
        assert_eq!(action(Verb::Get, "/API/1.0/_NOW/"), "read.now []");
        assert_eq!(action(Verb::Get, "/api/1.0/users/Ada"), r#"security.getUser [("id", "Ada")]"#);
        assert_eq!(
            action(Verb::Get, "/api/1.0/users/c/%C3%A9%2F"),
            r#"read.get [("index", "users"), ("collection", "c"), ("id", "é/")]"#
        );
        assert_eq!(
            action(Verb::Put, "/api/1.0/i/c/1/_Replace"),
            r#"write.:action [("index", "i"), ("collection", "c"), ("id", "1"), ("action", "Replace")]"#
        );
        assert_eq!(action(Verb::Get, "/api/1.0/profiles/"), "");
        assert_eq!(action(Verb::Get, "/api/1.0/i//1"), "");
        assert_eq!(action(Verb::Get, "/api/1.0/ms/_info"), "ms.info []");
        assert_eq!(action(Verb::Put, "/api/1.0/i/c/1/_"), "");
    }

    /// The rule itself: the first route of the table that matches.
    fn naive(verb: Verb, path: &str) -> Option<usize> {
        let segments: Vec<&str> = without_trailing_slash(path).strip_prefix('/')?.split('/').collect();
        ROUTES.iter().position(|route| {
            let pattern = pattern_of(route);
            route.verb == verb
                && pattern.len() == segments.len()
                && pattern.iter().zip(&segments).all(|(pattern, text)| match pattern {
                    Segment::Literal(literal) => text.eq_ignore_ascii_case(literal),
                    Segment::Parameter(beginning, _) => {
                        text.len() > beginning.len()
                            && text.to_ascii_lowercase().starts_with(beginning.as_str())
                    }
                })
        })
    }

    fn words() -> Vec<String> {
        let mut words: Vec<String> = ROUTES
            .iter()
            .flat_map(|route| route.path.split('/'))
            .filter(|word| !word.is_empty() && !word.contains(':'))
            .map(str::to_owned)
            .collect();
        words.extend(["x", "_", "_x", "X1"].map(str::to_owned));
        words.sort();
        words.dedup();
        words
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_router_follows_the_order_of_the_table(
            verb in prop::sample::select(Verb::ALL.to_vec()),
            segments in prop::collection::vec(prop::sample::select(words()), 0..5),
        ) {
            thread_local!(static FINDER: Routes = Routes::new().unwrap());
            let path = segments.iter().fold("/api/1.0".to_owned(), |path, word| path + "/" + word);
            let found = FINDER.with(|routes| routes.find(verb, &path).map(|found| found.route));
            prop_assert_eq!(found, naive(verb, &path).map(|at| &ROUTES[at]), "{}", path);
        }

        #[test]
        fn no_path_makes_it_panic(path in "\\PC*") {
            thread_local!(static FINDER: Routes = Routes::new().unwrap());
            FINDER.with(|routes| { routes.find(Verb::Get, &path); routes.verbs(&path); });
        }
    }
}
