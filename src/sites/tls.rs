//! The TLS settings of a site as a client configuration of rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{Cause, Error, Result};
use crate::config::{Tls, TlsMode};

/// The configuration for `tls`; None where TLS is off. Read from the files each time, so that renewed certificates count.
pub fn client_config(site: &str, tls: &Tls) -> Result<Option<Arc<ClientConfig>>> {
    if tls.mode == TlsMode::Off {
        return Ok(None);
    }
    let refused = |message: String| Error::new(Cause::Tls, site, message);
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authorities(site, tls)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
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
        (Some(cert), Some(key_file)) => {
            let chain = certificates(site, cert)?;
            let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| {
                refused(format!("the key in {} can't be read: {error}", key_file.display())).advice("name a PEM file with a private key")
            })?;
            builder.with_client_auth_cert(chain, key).map_err(|error| {
                let text = format!("the certificate in {} and the key in {} don't fit: {error}", cert.display(), key_file.display());
                refused(text).advice("name the certificate together with its own key")
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Some(Arc::new(config)))
}

/// Whom the site's certificate may be signed by: those of `ca_file`, or the system's.
pub fn authorities(site: &str, tls: &Tls) -> Result<Vec<CertificateDer<'static>>> {
    let mut found = match &tls.ca_file {
        Some(file) => certificates(site, file)?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    found.retain(|certificate| RootCertStore::empty().add(certificate.clone()).is_ok());
    if found.is_empty() {
        let (text, advice) = match &tls.ca_file {
            Some(file) => {
                (format!("{} holds no certificate of an authority", file.display()), "name a PEM file with the authority's certificate")
            }
            None => ("this machine has no list of certificate authorities".into(), "set ca_file, or install ca-certificates"),
        };
        return Err(Error::new(Cause::Tls, site, text).advice(advice));
    }
    Ok(found)
}

fn certificates(site: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|error| {
        Error::new(Cause::Tls, site, format!("the certificates in {} can't be read: {error}", file.display())).advice("name a PEM file")
    })
}

/// What went wrong, and the next step.
pub fn explain(error: &rustls::Error) -> (String, &'static str) {
    use AlertDescription as Alert;
    match error {
        rustls::Error::InvalidCertificate(reason) => explain_certificate(reason),
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::UnsupportedCertificate,
        ) => (
            format!("the server does not take rosterd's certificate ({error})"),
            "check cert_file and key_file: an authority that the server knows must have signed the certificate",
        ),
        rustls::Error::AlertReceived(Alert::ProtocolVersion | Alert::HandshakeFailure) | rustls::Error::PeerIncompatible(_) => {
            (error.to_string(), "the server must permit TLS 1.2 or 1.3")
        }
        other => (other.to_string(), "check tls, ca_file, cert_file and key_file"),
    }
}

fn explain_certificate(reason: &CertificateError) -> (String, &'static str) {
    let text = rustls::Error::InvalidCertificate(reason.clone()).to_string();
    match reason {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => (
            format!("the server's certificate is not signed by an authority that is trusted here ({text})"),
            "set ca_file to the certificate of the authority that signed the server's",
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            (text, "connect by a name that is in the certificate (subjectAltName), or set tls = \"verify-ca\"")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => (text, "renew the server's certificate"),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            (text, "compare this machine's clock with the certificate")
        }
        CertificateError::Other(_) => (
            text,
            "an authority's own certificate can't be the server's: give the server one that the authority signed (MySQL's automatic ones lack a name too)",
        ),
        _ => (text, "check the server's certificate"),
    }
}

/// The TLS library's error inside of one that the system reports.
pub fn error_within(io: &std::io::Error) -> Option<&rustls::Error> {
    io.get_ref()?.downcast_ref()
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
