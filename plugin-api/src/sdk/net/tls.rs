//! TLS as a listener's options declare it.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

use super::listener::refused;
use crate::abi::ApiError;

/// Reads certificate and key of `options` (`certificate`, `key`: paths of PEM files).
pub(super) fn acceptor(address: &str, options: &Value) -> Result<TlsAcceptor, ApiError> {
    let path = |name: &str| {
        let missing = || refused(address, &format!("`tls` has no `{name}`; name a PEM file"));
        options.get(name).and_then(Value::as_str).ok_or_else(missing)
    };
    let (certificate, key) = (path("certificate")?, path("key")?);
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect).map_err(|error| {
            refused(address, &format!("cannot read the certificate `{certificate}`: {error}"))
        })?;
    if chain.is_empty() {
        return Err(refused(address, &format!("`{certificate}` has no certificate in PEM form")));
    }
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| refused(address, &format!("cannot read the private key `{key}`: {error}")))?;
    let unfit = |error| refused(address, &format!("`{certificate}` and `{key}` do not do for TLS: {error}"));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unfit)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unfit)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
