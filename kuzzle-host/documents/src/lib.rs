//! Indexes, collections and documents on an embedded store.
