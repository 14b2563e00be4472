//! Names that the broker makes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 22 characters of URL-safe base64 that nobody can guess.
pub(crate) fn random() -> String {
    URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes())
}

/// A name for a queue whose declaration names none: `amq.gen-<22 characters>`.
pub(crate) fn queue() -> String {
    format!("amq.gen-{}", random())
}
