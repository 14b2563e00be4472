//! Requests, responses, notifications and the registry of errors: plain data.
