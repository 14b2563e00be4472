//! `--key value` options, with repeats allowed.
use std::{fmt::Debug, str::FromStr};

#[derive(Clone)]
pub struct Opts(Vec<(String, String)>);

impl Opts {
    pub fn parse(args: &[String]) -> Self {
        let mut v = Vec::new();
        let mut i = 0;
        while i < args.len() {
            let k =
                args[i].strip_prefix("--").unwrap_or_else(|| panic!("expected --option, got {}", args[i]));
            let has = args.get(i + 1).is_some_and(|n| !n.starts_with("--"));
            v.push((k.to_string(), if has { args[i + 1].clone() } else { "1".into() }));
            i += 1 + has as usize;
        }
        Opts(v)
    }

    pub fn all(&self, k: &str) -> Vec<&str> {
        self.0.iter().filter(|x| x.0 == k).map(|x| x.1.as_str()).collect()
    }

    pub fn s<'a>(&'a self, k: &str, d: &'a str) -> &'a str {
        self.all(k).last().copied().unwrap_or(d)
    }

    pub fn n<T: FromStr>(&self, k: &str, d: T) -> T
    where
        T::Err: Debug,
    {
        self.all(k).last().map(|v| v.parse().unwrap_or_else(|e| panic!("--{k} {v}: {e:?}"))).unwrap_or(d)
    }

    /// The same options with some of them overridden.
    pub fn with(&self, over: &[(&str, &str)]) -> Self {
        let mut v = self.0.clone();
        v.extend(over.iter().map(|(k, x)| (k.to_string(), x.to_string())));
        Opts(v)
    }

    pub fn pids(&self) -> Vec<u32> {
        self.s("pid", "").split(',').filter_map(|p| p.parse().ok()).collect()
    }
}
