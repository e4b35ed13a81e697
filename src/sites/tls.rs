//! The TLS settings of a site as a client configuration of rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Cause, Error, Result};
use crate::config::{Tls, TlsMode};

/// The configuration for `tls`; None where TLS is off. Read from the files each time, so that renewed certificates count.
pub fn client_config(site: &str, tls: &Tls) -> Result<Option<Arc<ClientConfig>>> {
    if tls.mode == TlsMode::Off {
        return Ok(None);
    }
    let refused = |message: String| Error::new(Cause::Tls, site, message);
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(roots(site, tls)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| refused(format!("the certificate authorities can't be used: {error}")))?;
    let verifier: Arc<dyn ServerCertVerifier> = match tls.mode {
        TlsMode::VerifyCa => Arc::new(AnyName(verifier)),
        TlsMode::VerifyFull | TlsMode::Off => verifier,
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| refused(format!("TLS can't be set up: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let config = match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => {
            let chain = certificates(site, cert)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| refused(format!("the key in {} can't be read: {error}", key.display())))?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| refused(format!("certificate and key of {} don't fit: {error}", cert.display())))?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Some(Arc::new(config)))
}

fn roots(site: &str, tls: &Tls) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    let found = match &tls.ca_file {
        Some(file) => certificates(site, file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    store.add_parsable_certificates(found);
    if store.is_empty() {
        return Err(Error::new(Cause::Tls, site, "no certificate authority is known").advice("set ca_file, or install ca-certificates"));
    }
    Ok(store)
}

fn certificates(site: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| Error::new(Cause::Tls, site, format!("the certificates in {} can't be read: {error}", file.display())))
}

/// Verifies the certificate and lets any name pass (`verify-ca`).
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.0.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The name is looked at last: everything else has been proven when it is found wrong.
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
