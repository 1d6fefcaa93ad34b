//! Giving up an old master key.

use bson::{Document, doc};
use serde_json::json;
use taskwire::rekey::{RekeyError, rekey};
use taskwire::secrets::MasterKeys;
use taskwire::store::names;

use crate::harness::{Api, MASTER_KEY, WEBHOOKS, request, token};

const NEW_KEY: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_sealed_anew_also_after_being_stopped_and_opens_with_the_new_key_alone() {
    let api = Api::start().await;
    let mut paths = Vec::new();
    for n in 0..5 {
        let mut body = api.body();
        body["secret"] = json!(format!("PRIVATE-SECRET-{n}"));
        let headers = [("idempotency-key", "k")];
        let made = api
            .send(request(Some(&token(api.admin_a)), "POST", WEBHOOKS, Some(&body), &headers[..usize::from(n == 0)]))
            .await;
        paths.push(format!("{WEBHOOKS}/{}", made.expect(201)["id"].as_str().unwrap()));
    }
    api.admin("PUT", &paths[0], Some(&json!({"rotateSecret": true}))).await.expect(200);
    let inbound = format!("/api/integrations/inbound?groupId={}", api.group_a.to_hex());
    let partner =
        api.admin("PUT", &inbound, Some(&json!({"enabled": true, "scopes": ["tasks:write"]}))).await.expect(200);
    let partners_secret = partner["secret"].as_str().unwrap();
    let both = MasterKeys::parse(&format!("{NEW_KEY},{MASTER_KEY}")).unwrap();
    let new = MasterKeys::parse(NEW_KEY).unwrap();

    // Stopped halfway: some are sealed anew, others not.
    let half = api.store.collection::<Document>(names::WEBHOOKS);
    let all: Vec<Document> = futures::TryStreamExt::try_collect(half.find(doc! {}).await.unwrap()).await.unwrap();
    let first = rekey(&api.store, &both, |_| {}).await.unwrap();
    assert_eq!((first.sealed, first.passed_over), (7, 0));
    half.replace_one(doc! { "_id": all[2].get_object_id("_id").unwrap() }, &all[2]).await.unwrap();
    assert!(matches!(rekey(&api.store, &new, |_| {}).await, Err(RekeyError::Secret { .. })));
    let second = rekey(&api.store, &both, |_| {}).await.unwrap();
    assert_eq!((second.sealed, second.passed_over), (1, 6));

    let dump = api.everything().await;
    let old_id =
        MasterKeys::parse(MASTER_KEY).unwrap().seal("x", "x").unwrap().as_str().split('.').nth(1).unwrap().to_owned();
    assert!(!dump.contains(&format!("v1.{old_id}.")), "something is sealed with the old key still");
    for private in ["PRIVATE-SECRET", "PRIVATE-HEADER", partners_secret] {
        assert!(!dump.contains(private), "{private} stands in the open");
    }
    let with_new = api.with_master_key(NEW_KEY).await;
    for path in &paths {
        let shown = with_new.admin("GET", path, None).await;
        assert_eq!(shown.headers["etag"], if path == &paths[0] { "\"3\"" } else { "\"2\"" });
        assert_eq!(shown.expect(200)["headers"]["X-Api-Key"], "PRIVATE-HEADER");
    }
    // Who read it before and writes it back now would bring the old seals back.
    let late = |etag: &str| {
        request(Some(&token(api.admin_a)), "PUT", &paths[1], Some(&json!({"name": "Late"})), &[("if-match", etag)])
    };
    with_new.send(late("\"1\"")).await.expect(412);
    with_new.send(late("\"2\"")).await.expect(200);
}
