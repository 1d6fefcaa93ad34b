//! Sealing of secrets at rest: XChaCha20-Poly1305 under the master key, the record's id and field as associated data.
//!
//! The sealed text is `v1.<key id>.<base64 of nonce and ciphertext>`. The key id (first 8 hexadecimal digits of the key's
//! SHA-256) picks among several master keys: the list opens with any and seals with the first. 192-bit random nonces
//! need no counter (draft-irtf-cfrg-xchacha).

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use rand::RngCore;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// The sealed text; safe to store, of no use without the master key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Sealed {
    /// Takes any text: whether it is sealed shows when it is opened.
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Why a secret could not be opened, or a key not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The setting is not base64 of 32 bytes.
    #[error("each key must be the base64 of exactly 32 bytes (make one with: openssl rand -base64 32)")]
    BadKey,
    /// The stored text is not of the sealed form.
    #[error("the stored secret is not in sealed form")]
    BadForm,
    /// None of the configured keys sealed it.
    #[error("sealed with a master key that TASKWIRE_MASTER_KEY does not list")]
    UnknownKey,
    /// Wrong context or changed bytes.
    #[error("the stored secret does not open: it was changed or moved from another record")]
    Tampered,
}

struct MasterKey {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The master keys. Cheap to share behind an `Arc`.
pub struct MasterKeys(Vec<MasterKey>);

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl MasterKeys {
    /// Reads a comma-separated list of base64 keys of 32 bytes.
    ///
    /// # Errors
    /// [`SecretError::BadKey`] for an empty list or a key of another form.
    pub fn parse(list: &str) -> Result<Self, SecretError> {
        let keys = list.split(',').map(|text| Self::read_key(text.trim())).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(keys))
    }

    fn read_key(text: &str) -> Result<MasterKey, SecretError> {
        let bytes = BASE64.decode(text).map_err(|_| SecretError::BadKey)?;
        let cipher = XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| SecretError::BadKey)?;
        let digest = Sha256::digest(&bytes);
        Ok(MasterKey { id: data_encoding::HEXLOWER.encode(&digest[..4]), cipher })
    }

    /// Seals `plain` for the place named by `context`.
    ///
    /// # Errors
    /// [`SecretError::BadForm`] if the text is too long for the cipher (256 GiB).
    pub fn seal(&self, context: &str, plain: &str) -> Result<Sealed, SecretError> {
        let key = self.0.first().ok_or(SecretError::BadKey)?;
        let mut nonce = [0u8; 24];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: plain.as_bytes(), aad: context.as_bytes() };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::BadForm)?;
        Ok(Sealed(format!("v1.{}.{}", key.id, BASE64.encode([nonce.as_slice(), &sealed].concat()))))
    }

    /// Whether this was sealed with the first key.
    #[must_use]
    pub fn is_newest(&self, sealed: &Sealed) -> bool {
        self.0.first().is_some_and(|key| sealed.0.split('.').nth(1) == Some(key.id.as_str()))
    }

    /// Opens what was sealed for `context`.
    ///
    /// # Errors
    /// See [`SecretError`]; nothing in it tells about the secret.
    pub fn open(&self, context: &str, sealed: &Sealed) -> Result<SecretString, SecretError> {
        let mut parts = sealed.0.splitn(3, '.');
        let (Some("v1"), Some(id), Some(text)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(SecretError::BadForm);
        };
        let key = self.0.iter().find(|key| key.id == id).ok_or(SecretError::UnknownKey)?;
        let bytes = BASE64.decode(text).map_err(|_| SecretError::BadForm)?;
        let (nonce, cipher_text) = bytes.split_first_chunk::<24>().ok_or(SecretError::BadForm)?;
        let payload = Payload { msg: cipher_text, aad: context.as_bytes() };
        let plain = key.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SecretError::Tampered)?;
        String::from_utf8(plain).map(SecretString::from).map_err(|_| SecretError::Tampered)
    }
}

/// A new signing secret: `whsec_` and the base64 of 32 random bytes (Standard Webhooks' form).
#[must_use]
pub fn generate_signing_secret() -> SecretString {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    SecretString::from(format!("whsec_{}", BASE64.encode(bytes)))
}

/// The last four characters, for people to tell secrets apart.
#[must_use]
pub fn hint(secret: &SecretString) -> String {
    let text = secret.expose_secret();
    let start = text.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        BASE64.encode([byte; 32])
    }

    #[test]
    fn what_is_sealed_opens_only_in_its_place_and_hides_the_text() {
        let keys = MasterKeys::parse(&key(7)).unwrap();
        let sealed = keys.seal("a/1", "s3cret-text").unwrap();
        assert!(!sealed.0.contains("s3cret"));
        assert_eq!(keys.open("a/1", &sealed).unwrap().expose_secret(), "s3cret-text");
        assert_eq!(keys.open("a/2", &sealed).unwrap_err(), SecretError::Tampered);
        assert_ne!(keys.seal("a/1", "s3cret-text").unwrap(), sealed);
    }

    #[test]
    fn a_list_opens_with_any_key_and_seals_with_the_first() {
        let old = MasterKeys::parse(&key(1)).unwrap();
        let both = MasterKeys::parse(&format!("{}, {}", key(2), key(1))).unwrap();
        let new = MasterKeys::parse(&key(2)).unwrap();
        assert!(both.open("c", &old.seal("c", "x").unwrap()).is_ok());
        assert!(new.open("c", &both.seal("c", "x").unwrap()).is_ok());
        assert_eq!(new.open("c", &old.seal("c", "x").unwrap()).unwrap_err(), SecretError::UnknownKey);
        let newest = [&old, &both].map(|keys| both.is_newest(&keys.seal("c", "x").unwrap()));
        assert_eq!(newest, [false, true]);
    }

    #[test]
    fn keys_are_shown_by_their_ids_alone() {
        let shown = format!("{:?}", MasterKeys::parse(&key(7)).unwrap());
        let id = data_encoding::HEXLOWER.encode(&Sha256::digest([7u8; 32])[..4]);
        assert_eq!(shown, format!("[{id:?}]"));
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        for bad in ["", "AAAA", "not base64!", &BASE64.encode([0u8; 31]), &format!("{},", key(1))] {
            assert_eq!(MasterKeys::parse(bad).unwrap_err(), SecretError::BadKey);
        }
    }

    #[test]
    fn a_generated_secret_has_the_standard_form() {
        let secret = generate_signing_secret();
        let text = secret.expose_secret();
        assert_eq!(BASE64.decode(text.strip_prefix("whsec_").unwrap()).unwrap().len(), 32);
        assert_eq!(hint(&secret), text[text.len() - 4..]);
    }
}
