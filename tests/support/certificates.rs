//! An authority of the test's own, and the certificates that it signs.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// PEM, for `ca_file`.
    pub certificate: String,
}

/// PEM texts of a certificate and its key.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = named(name, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.self_signed(&key).expect("it can be signed").pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// For a server that is reached by these names or addresses.
    pub fn server(&self, names: &[&str]) -> Identity {
        self.sign(named("a server of the tests", names))
    }

    pub fn expired_server(&self, names: &[&str]) -> Identity {
        let mut params = named("an old server of the tests", names);
        params.not_after = date_time_ymd(2021, 1, 1);
        self.sign(params)
    }

    /// For the account of that name.
    pub fn client(&self, account: &str) -> Identity {
        self.sign(named(account, &[]))
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("it can be signed").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

fn named(common_name: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let mut params = CertificateParams::new(names).expect("names that certificates can have");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}
