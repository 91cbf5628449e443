//! Private keys and certificate requests. Keys are ECDSA P-256.

use std::fmt;

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, DistinguishedName, KeyPair,
    PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

/// Largest request that is looked at, in bytes. Ours are near 400.
const REQUEST_LIMIT: usize = 8 * 1024;

/// A key or a request can't be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system's random numbers or the key maths failed.
    #[error("can't make a private key")]
    Generate(#[source] rcgen::Error),
    /// There is no PKCS#8 key in the text.
    #[error("the text holds no private key in PKCS#8 PEM form (BEGIN PRIVATE KEY)")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// The key is of another kind or damaged.
    #[error("the private key is damaged or not an ECDSA P-256 key")]
    Key(#[source] rcgen::Error),
    /// The request can't be written.
    #[error("can't make a certificate request")]
    Request(#[source] rcgen::Error),
}

/// An ECDSA P-256 private key. Its bytes are wiped when it is dropped and never
/// printed.
#[derive(Clone)]
pub struct PrivateKey {
    pkcs8: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(<redacted>)")
    }
}

impl PrivateKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`KeyError::Generate`] if the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut pair =
            KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::Generate)?;
        let key = Self { pkcs8: Zeroizing::new(pair.serialized_der().to_vec()) };
        pair.zeroize();
        Ok(key)
    }

    /// Reads a key from PKCS#8 PEM and checks it.
    ///
    /// # Errors
    /// [`KeyError::Pem`] or [`KeyError::Key`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(KeyError::Pem)?;
        let key = Self { pkcs8: Zeroizing::new(der.secret_pkcs8_der().to_vec()) };
        key.with_pair(|_| ()).map_err(KeyError::Key)?;
        Ok(key)
    }

    /// The key as PKCS#8 PEM, wiped when dropped.
    ///
    /// # Errors
    /// [`KeyError::Key`] if the key is damaged, which no constructor lets pass.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        self.with_pair(|pair| Zeroizing::new(pair.serialize_pem())).map_err(KeyError::Key)
    }

    /// A certificate request (PKCS#10, PEM) for this key. It names nobody: the
    /// CA takes only the public key from a request.
    ///
    /// # Errors
    /// [`KeyError::Request`].
    pub fn request(&self) -> Result<String, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        self.with_pair(|pair| params.serialize_request(pair)?.pem())
            .and_then(|pem| pem)
            .map_err(KeyError::Request)
    }

    /// The point of the public key, uncompressed.
    pub(crate) fn public(&self) -> Result<Vec<u8>, KeyError> {
        self.with_pair(|pair| pair.public_key_raw().to_vec()).map_err(KeyError::Key)
    }

    /// For rustls.
    pub(crate) fn der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8.to_vec()))
    }

    /// Lends the key as a signer and wipes the signer's copy afterwards.
    pub(crate) fn with_pair<T>(&self, work: impl FnOnce(&KeyPair) -> T) -> Result<T, rcgen::Error> {
        let der = PrivatePkcs8KeyDer::from(self.pkcs8.as_slice());
        let mut pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)?;
        let out = work(&pair);
        pair.zeroize();
        Ok(out)
    }
}

/// Why a certificate request is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Longer than any honest request.
    #[error("the certificate request has {length} bytes, at most {REQUEST_LIMIT} are allowed")]
    TooLong {
        /// Bytes in the request.
        length: usize,
    },
    /// Not PKCS#10, or its signature does not fit its key.
    #[error("the certificate request can't be read or its signature is wrong")]
    Parse(#[source] rcgen::Error),
    /// Another kind of key.
    #[error("the certificate request is not for an ECDSA P-256 key")]
    Algorithm,
}

/// The public key of a certificate request whose signature was checked: its
/// sender holds the private key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RequestedKey(rcgen::PublicKey);

impl RequestedKey {
    /// Takes the public key out of a request (PKCS#10, PEM). All else in the
    /// request is ignored.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn from_pem(pem: &str) -> Result<Self, RequestError> {
        if pem.len() > REQUEST_LIMIT {
            return Err(RequestError::TooLong { length: pem.len() });
        }
        let request =
            CertificateSigningRequestParams::from_pem(pem).map_err(RequestError::Parse)?;
        if *request.public_key.algorithm() != PKCS_ECDSA_P256_SHA256 {
            return Err(RequestError::Algorithm);
        }
        Ok(Self(request.public_key))
    }

    pub(crate) fn key(&self) -> &(impl PublicKeyData + use<>) {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_pem_and_is_never_printed() {
        let key = PrivateKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        let again = PrivateKey::from_pem(&pem).unwrap();
        assert_eq!(key.public().unwrap(), again.public().unwrap());
        assert_eq!(format!("{key:?}"), "PrivateKey(<redacted>)");
    }

    #[test]
    fn a_request_gives_its_key_and_a_changed_one_is_refused() {
        let key = PrivateKey::generate().unwrap();
        let request = key.request().unwrap();
        let requested = RequestedKey::from_pem(&request).unwrap();
        assert_eq!(requested.key().der_bytes(), key.public().unwrap());

        let other = PrivateKey::generate().unwrap().request().unwrap();
        let lines: Vec<&str> = request.lines().collect();
        let foreign: Vec<&str> = other.lines().collect();
        let mut mixed = lines.clone();
        let last = mixed.len() - 2;
        mixed[last] = foreign[foreign.len() - 2];
        assert!(matches!(RequestedKey::from_pem(&mixed.join("\n")), Err(RequestError::Parse(_))));
        assert!(matches!(
            RequestedKey::from_pem(&" ".repeat(REQUEST_LIMIT + 1)),
            Err(RequestError::TooLong { .. })
        ));
        assert!(matches!(RequestedKey::from_pem(""), Err(RequestError::Parse(_))));
    }

    #[test]
    fn a_text_without_a_key_says_so() {
        let error = PrivateKey::from_pem("hello").unwrap_err();
        assert!(error.to_string().contains("BEGIN PRIVATE KEY"));
    }
}
