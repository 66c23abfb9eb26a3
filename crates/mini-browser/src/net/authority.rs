//! A certificate authority for loopback, made anew at every start.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::connect::PROTOCOLS;

/// A certificate authority whose key never leaves memory, and that signs certificates for the
/// servers of one run.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Why a certificate was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The names, or the key, do not make a certificate.
    #[error("no certificate for {hosts:?} ({reason})")]
    Certificate {
        /// For which hosts.
        hosts: Vec<String>,
        /// What is wrong.
        reason: String,
    },
    /// rustls refuses the certificate or its own provider.
    #[error("rustls refuses the certificate ({0})")]
    Tls(#[from] rustls::Error),
}

impl Authority {
    /// A new authority with a new key.
    ///
    /// # Errors
    /// [`AuthorityError::Certificate`], if there is no randomness to make a key of.
    pub fn new() -> Result<Self, AuthorityError> {
        Self::self_signed().map_err(|error| certificate_error(&[], &error))
    }

    fn self_signed() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "Saving Throw, this run only");
        CertifiedIssuer::self_signed(params, KeyPair::generate()?).map(Self)
    }

    /// The authority's own certificate, for [`NetworkConfig::extra_ca`](super::NetworkConfig).
    #[must_use]
    pub fn certificate(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// What a server needs to be all of `hosts` (names or addresses), over HTTP/2 or HTTP/1.1, whichever
    /// its client prefers of those that it leaves in `alpn_protocols`.
    ///
    /// # Errors
    /// [`AuthorityError`], if a host is neither a name that a certificate may have nor an address.
    pub fn leaf(&self, hosts: &[&str]) -> Result<ServerConfig, AuthorityError> {
        let (certificate, key) = self
            .sign(hosts)
            .map_err(|error| certificate_error(hosts, &error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(config)
    }

    fn sign(
        &self,
        hosts: &[&str],
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
        let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(names)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?.der().clone();
        Ok((
            certificate,
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        ))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

fn certificate_error(hosts: &[&str], error: &rcgen::Error) -> AuthorityError {
    AuthorityError::Certificate {
        hosts: hosts.iter().map(ToString::to_string).collect(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_certificate_may_have_is_an_error() {
        let authority = Authority::new().unwrap();
        assert!(authority.leaf(&["fonts.example", "127.0.0.1"]).is_ok());
        let error = authority.leaf(&["字.example"]).unwrap_err();
        assert!(error.to_string().contains("字.example"), "{error}");
    }
}
