use super::*;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vector {
    name: String,
    secret: String,
    previous: Option<String>,
    id: String,
    timestamp: i64,
    body: String,
    x_signature: String,
    webhook_signature: String,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!("../../tests/vectors/signing.json")).unwrap()
}

fn key(secret: &str) -> SigningKey {
    SigningKey::new(&SecretString::from(secret)).unwrap()
}

fn signer(vector: &Vector) -> Signer {
    let signer = Signer::new(key(&vector.secret));
    match &vector.previous {
        Some(previous) => signer.with_previous(key(previous), None),
        None => signer,
    }
}

#[test]
fn signatures_are_those_that_another_implementation_computed() {
    let vectors = vectors();
    assert!(vectors.len() >= 6);
    for vector in vectors {
        let signed = signer(&vector).sign(&vector.id, vector.timestamp, vector.body.as_bytes());
        assert_eq!(signed.x_signature, vector.x_signature, "{}", vector.name);
        assert_eq!(signed.webhook_signature, vector.webhook_signature, "{}", vector.name);
    }
}

#[test]
fn the_standardwebhooks_crate_accepts_our_headers_with_the_new_and_the_previous_secret() {
    let now = chrono::Utc::now().timestamp();
    for vector in vectors() {
        let signed = signer(&vector).sign(&vector.id, now, vector.body.as_bytes());
        let mut headers = axum::http::HeaderMap::new();
        headers.insert("webhook-id", vector.id.parse().unwrap());
        headers.insert("webhook-timestamp", now.to_string().parse().unwrap());
        headers.insert("webhook-signature", signed.webhook_signature.parse().unwrap());
        for secret in std::iter::once(&vector.secret).chain(&vector.previous) {
            let independent = if secret.starts_with(STANDARD_PREFIX) {
                standardwebhooks::Webhook::new(secret).unwrap()
            } else {
                standardwebhooks::Webhook::from_bytes(secret.clone().into_bytes()).unwrap()
            };
            independent.verify(vector.body.as_bytes(), &headers).unwrap();
            assert!(independent.verify(b"{\"id\":\"other\"}", &headers).is_err());
        }
    }
}

#[test]
fn the_previous_secret_signs_only_until_its_rotation_expires() {
    let signer = Signer::new(key("new-secret-new-secret")).with_previous(key("old-secret-old-secret"), Some(100));
    let during = signer.sign("evt_1", 99, b"{}");
    assert_eq!(during.x_signature.split(',').count(), 2);
    assert_eq!(during.webhook_signature.split(' ').count(), 2);
    let after = signer.sign("evt_1", 100, b"{}");
    assert_eq!(after, Signer::new(key("new-secret-new-secret")).sign("evt_1", 100, b"{}"));
}

#[test]
fn a_whsec_secret_without_base64_is_refused() {
    for bad in ["whsec_", "whsec_not base64!", "whsec_abc"] {
        assert_eq!(SigningKey::new(&SecretString::from(bad)).unwrap_err(), SigningKeyError::BadBase64);
    }
}

#[test]
fn no_configured_header_replaces_ours_or_steers_the_connection() {
    for name in [
        "X-Signature",
        "webhook-id",
        "WEBHOOK-SIGNATURE",
        "Host",
        "transfer-encoding",
        "Proxy-Authorization",
        "X_Signature",
        "webhook_id",
    ] {
        assert!(is_reserved_header(name), "{name}");
    }
    for name in ["Authorization", "X-Api-Key", "X_Api_Key", "X-Signature-2", "Accept"] {
        assert!(!is_reserved_header(name), "{name}");
    }
}

#[test]
fn a_key_shows_nothing_of_itself() {
    assert_eq!(format!("{:?}", key("whsec_AAAA")), "SigningKey(..)");
}

#[test]
fn verification_tells_which_secret_signed() {
    let (new, old) = (key("new-secret-new-secret"), key("old-secret-old-secret"));
    let body = b"{\"a\":1}";
    let by_old = Signer::new(old.clone()).sign("x", 1000, body).x_signature;
    let both = Signer::new(new.clone()).with_previous(old.clone(), None).sign("x", 1000, body).x_signature;
    let keys = [new, old];
    assert_eq!(verify(&keys, 1300, "1000", &by_old, body), Ok(1));
    assert_eq!(verify(&keys, 700, "1000", &both, body), Ok(0));
    assert_eq!(verify(&keys[1..], 1000, "1000", &both, body), Ok(0));
    assert_eq!(verify(&keys, 1000, "1000", &by_old.to_uppercase().replace("SHA", "sha"), body), Ok(1));
}

#[test]
fn verification_refuses_skew_other_bytes_and_other_forms() {
    let keys = [key("a-secret-of-16-chars")];
    let good = Signer::new(keys[0].clone()).sign("x", 1000, b"body").x_signature;
    let check = |now, timestamp: &str, signature: &str, body: &[u8]| verify(&keys, now, timestamp, signature, body);
    assert_eq!(check(1301, "1000", &good, b"body"), Err(VerifyError::Skew));
    assert_eq!(check(699, "1000", &good, b"body"), Err(VerifyError::Skew));
    assert_eq!(check(1000, "1000", &good, b"bodY"), Err(VerifyError::Mismatch));
    assert_eq!(check(1000, "1001", &good, b"body"), Err(VerifyError::Mismatch));
    for bad in ["", "-1000", "+1000", "1000.0", " 1000", "99999999999999999999"] {
        assert_eq!(check(1000, bad, &good, b"body"), Err(VerifyError::BadTimestamp), "{bad}");
    }
    let many = [good.as_str(); 5].join(",");
    for bad in ["", "sha256=", &good[7..], &good[..good.len() - 2], "sha1=00", &many] {
        assert_eq!(check(1000, "1000", bad, b"body"), Err(VerifyError::BadForm), "{bad}");
    }
}
