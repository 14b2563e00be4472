//! Keeps panics on the side where they happen.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `body`, and gives `failure` the text of the panic when there is one.
///
/// Every function that the other side can call runs inside such a guard: unwinding out of an `extern "C"` function
/// aborts the process. State that `body` touches must stay sound when it is left half way, as behind a lock that does
/// not poison.
pub fn guard<T>(body: impl FnOnce() -> T, failure: impl FnOnce(String) -> T) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(value) => value,
        Err(payload) => {
            let text = panic_text(payload.as_ref());
            // A payload's destructor may panic in turn; leaking the few bytes is the safe choice.
            std::mem::forget(payload);
            match catch_unwind(AssertUnwindSafe(|| failure(text))) {
                Ok(value) => value,
                Err(second) => {
                    std::mem::forget(second);
                    // The failure path makes plain values only; if even that unwinds there is no answer left to give.
                    std::process::abort()
                }
            }
        }
    }
}

/// The message of a panic, as far as it is text.
#[must_use]
pub fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_the_failure_value() {
        assert_eq!(guard(|| 1, |_| 2), 1);
        assert_eq!(guard(|| panic!("boom {}", 7), |text| text), "boom 7");
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_contained() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("again");
            }
        }
        let text = guard(|| std::panic::panic_any(Bomb), |text: String| text);
        assert_eq!(text, "a panic without a message");
    }
}
