//! Generated identifiers. Ids of documents are made by the store, which knows what order serves it.

use uuid::Uuid;

/// Returns a new request id: a random UUID (version 4) in its 36-character lower-case form.
pub fn request_id() -> String {
    Uuid::new_v4().hyphenated().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_version_4_uuids() {
        let id = request_id();
        assert_eq!(id.len(), 36);
        assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        assert_ne!(id, request_id());
    }
}
