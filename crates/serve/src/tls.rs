//! TLS: a certificate and its key, or no server.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::sync::Arc;

/// A certificate with its key. Equal to another one that was made of the same bytes; says nothing of the key when it is shown.
#[derive(Clone)]
pub struct Tls {
    certificate: Vec<u8>,
    key: Vec<u8>,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// Of PEM: the chain of certificates, the server's own one first, and its private key. TLS 1.2 and 1.3.
    ///
    /// # Errors
    /// A sentence that says what is wrong with them.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Tls, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| format!("the certificate is no PEM: {error}"))?;
        if chain.is_empty() {
            return Err(
                "the file of the certificate holds none: it begins with -----BEGIN CERTIFICATE-----".into()
            );
        }
        let private = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| format!("the key is no private key as PEM: {error}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
            .map_err(|error| format!("certificate and key do not serve: {error}"))?;
        Ok(Tls { certificate: certificate.to_vec(), key: key.to_vec(), config: Arc::new(config) })
    }

    /// The server's own certificate.
    pub(crate) fn own(&self) -> Option<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(&self.certificate).next()?.ok()
    }

    /// What connections are accepted with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl PartialEq for Tls {
    fn eq(&self, other: &Tls) -> bool {
        (&self.certificate, &self.key) == (&other.certificate, &other.key)
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}
