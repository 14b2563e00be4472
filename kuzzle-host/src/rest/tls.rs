//! The certificate of the REST host.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;

/// Why a certificate cannot be used.
#[derive(Debug)]
pub struct TlsError {
    file: PathBuf,
    reason: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use `{}` for TLS: {}", self.file.display(), self.reason)
    }
}

impl std::error::Error for TlsError {}

/// Reads a certificate chain and its key, both PEM files, into the configuration of a TLS server for HTTP/1.1.
///
/// # Errors
///
/// When a file cannot be read, has no certificate or key in it, or the two do not belong together.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let fail = |file: &Path| {
        let file = file.to_owned();
        move |reason: String| TlsError { file, reason }
    };
    let open = |file: &Path| {
        File::open(file).map(BufReader::new).map_err(|error: io::Error| fail(file)(error.to_string()))
    };
    let chain: Vec<_> = rustls_pemfile::certs(&mut open(certificate)?)
        .collect::<Result<_, _>>()
        .map_err(|error| fail(certificate)(error.to_string()))?;
    if chain.is_empty() {
        return Err(fail(certificate)("there is no certificate in it; it should be a PEM file".to_owned()));
    }
    let private = rustls_pemfile::private_key(&mut open(key)?)
        .map_err(|error| fail(key)(error.to_string()))?
        .ok_or_else(|| fail(key)("there is no private key in it; it should be a PEM file".to_owned()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fail(certificate)(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| fail(certificate)(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
