//! Black-box tests of the built server through real clients.
