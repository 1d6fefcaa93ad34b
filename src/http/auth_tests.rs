use jsonwebtoken::{EncodingKey, Header, encode};
use p256::pkcs8::EncodePrivateKey;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a-secret-of-the-task-service-ümlaut";
const USER: &str = "65a0000000000000000000aa";

fn settings() -> JwtSettings {
    JwtSettings {
        secret: Some(SecretString::from(SECRET)),
        jwks_file: None,
        issuer: "TasksTrackerApi".into(),
        audience: "TasksTrackerClients".into(),
    }
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}

fn claims() -> Value {
    json!({"sub": USER, "iss": "TasksTrackerApi", "aud": "TasksTrackerClients", "exp": now() + 600})
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

fn signed(claims: &Value, algorithm: Algorithm, secret: &[u8]) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
}

fn hs256(claims: &Value) -> String {
    signed(claims, Algorithm::HS256, SECRET.as_bytes())
}

#[test]
fn a_token_as_the_task_service_issues_it_names_its_user() {
    let checker = TokenChecker::new(&settings()).unwrap();
    assert_eq!(checker.user_of(&hs256(&claims())).unwrap(), DocId::parse(USER));
    let several = with("aud", json!(["Others", "TasksTrackerClients"]));
    assert!(checker.user_of(&hs256(&several)).is_ok());
    assert!(checker.user_of(&hs256(&with("exp", json!(now() - 20)))).is_ok(), "clocks may differ a little");
}

/// Rightly signed, with this header.
fn with_header(header: &Value) -> String {
    let part = |value: &Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(&claims()));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn a_token_with_critical_extensions_is_refused() {
    let checker = TokenChecker::new(&settings()).unwrap();
    assert!(checker.user_of(&with_header(&json!({"alg": "HS256", "foo": 1}))).is_ok());
    for header in [
        json!({"alg": "HS256", "crit": ["foo"], "foo": 1}),
        json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        json!({"alg": "HS256", "crit": []}),
        json!({"alg": "HS256", "crit": "foo"}),
    ] {
        assert_eq!(checker.user_of(&with_header(&header)).unwrap_err(), ApiError::bad_token(), "{header}");
    }
}

#[test]
fn every_fault_of_a_token_is_the_same_401() {
    let checker = TokenChecker::new(&settings()).unwrap();
    let mut without_exp = claims();
    without_exp.as_object_mut().unwrap().remove("exp");
    let mut without_sub = claims();
    without_sub.as_object_mut().unwrap().remove("sub");
    let mut without_aud = claims();
    without_aud.as_object_mut().unwrap().remove("aud");
    let unsigned = |alg: &str| {
        let part = |value: Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        format!("{}.{}.", part(json!({"alg": alg, "typ": "JWT"})), part(claims()))
    };
    let mut cut = hs256(&claims());
    cut.pop();
    for bad in [
        String::new(),
        "x".into(),
        "a.b.c".into(),
        cut,
        unsigned("none"),
        unsigned("None"),
        unsigned("HS256"),
        signed(&claims(), Algorithm::HS256, b"another secret of some length"),
        signed(&claims(), Algorithm::HS384, SECRET.as_bytes()),
        signed(&claims(), Algorithm::HS512, SECRET.as_bytes()),
        hs256(&with("exp", json!(now() - 31))),
        hs256(&with("nbf", json!(now() + 60))),
        hs256(&with("iss", json!("Another"))),
        hs256(&with("aud", json!("Another"))),
        hs256(&with("sub", json!(""))),
        hs256(&with("sub", json!(7))),
        hs256(&without_exp),
        hs256(&without_sub),
        hs256(&without_aud),
        "x".repeat(100_000),
    ] {
        assert_eq!(checker.user_of(&bad).unwrap_err(), ApiError::bad_token(), "{}", &bad[..bad.len().min(80)]);
    }
}

/// An ES256 key for these tests alone: its number is seven, thirty-two times.
fn es256() -> EncodingKey {
    let key = p256::SecretKey::from_slice(&[7; 32]).unwrap();
    EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes())
}

fn jwks() -> String {
    let mut jwk = Jwk::from_encoding_key(&es256(), Algorithm::ES256).unwrap();
    jwk.common.key_id = Some("k1".into());
    serde_json::to_string(&JwkSet { keys: vec![jwk] }).unwrap()
}

fn checker_with_jwks(secret: bool) -> TokenChecker {
    let mut settings = settings();
    if !secret {
        settings.secret = None;
    }
    let mut checker = TokenChecker::new(&settings).unwrap();
    checker.keys.extend(read_jwks(&jwks()).unwrap());
    checker
}

#[test]
fn es256_tokens_are_checked_with_the_key_that_they_name() {
    let checker = checker_with_jwks(false);
    let key = es256();
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("k1".into());
    assert!(checker.user_of(&encode(&header, &claims(), &key).unwrap()).is_ok());
    header.kid = Some("k2".into());
    assert!(checker.user_of(&encode(&header, &claims(), &key).unwrap()).is_err());
}

#[test]
fn without_a_shared_secret_hs256_is_refused_even_when_signed_with_the_public_keys_text() {
    let checker = checker_with_jwks(false);
    assert!(checker.user_of(&hs256(&claims())).is_err());
    assert!(checker.user_of(&signed(&claims(), Algorithm::HS256, jwks().as_bytes())).is_err());
    assert!(checker_with_jwks(true).user_of(&hs256(&claims())).is_ok());
}

#[test]
fn a_jwks_without_a_usable_key_is_refused_by_name() {
    assert!(read_jwks("{").is_err_and(|why| why.contains("no JWKS")));
    let symmetric = r#"{"keys":[{"kty":"oct","k":"AAAA","alg":"HS256"}]}"#;
    assert!(read_jwks(symmetric).is_err_and(|why| why.contains("no RS256 or ES256")));
}
