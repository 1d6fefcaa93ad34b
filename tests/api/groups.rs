//! Who is an admin.

use std::time::{Duration, Instant};

use bson::{Document, doc, oid::ObjectId};

use crate::harness::{Api, WEBHOOKS};

async fn group_of(api: &Api, user: ObjectId, members: Vec<Document>) -> u16 {
    let group = ObjectId::new();
    let groups = api.store.collection::<Document>("groups");
    groups.insert_one(doc! { "_id": group, "createdBy": user, "members": members }).await.unwrap();
    api.ask(user, "GET", &format!("{WEBHOOKS}?groupId={group}"), None).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_is_a_member_whose_own_role_is_admin_or_owner_in_any_case() {
    let api = Api::start().await;
    for role in ["Admin", "admin", "ADMIN", "Owner", "oWNER"] {
        let user = ObjectId::new();
        assert_eq!(group_of(&api, user, vec![doc! { "userId": user, "role": role }]).await, 200, "{role}");
    }
    for role in ["RegularUser", "Administrator", "NotAdmin", "Admin\n", "", "Ownership"] {
        let user = ObjectId::new();
        assert_eq!(group_of(&api, user, vec![doc! { "userId": user, "role": role }]).await, 403, "{role:?}");
    }
    let user = ObjectId::new();
    let beside =
        vec![doc! { "userId": ObjectId::new(), "role": "Admin" }, doc! { "userId": user, "role": "RegularUser" }];
    assert_eq!(group_of(&api, user, beside).await, 403, "another member's role");
    let user = ObjectId::new();
    assert_eq!(group_of(&api, user, vec![]).await, 403, "the creator alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_admin_is_one_no_longer_after_ten_seconds_at_most() {
    let api = Api::start().await;
    let path = api.webhook_path().await;
    assert_eq!(api.admin("GET", &path, None).await.status, 200);
    let demote = doc! { "$set": { "members.0.role": "RegularUser" } };
    let groups = api.store.collection::<Document>("groups");
    groups.update_one(doc! { "_id": api.group_a }, demote).await.unwrap();
    let demoted = Instant::now();
    while api.admin("GET", &path, None).await.status == 200 {
        assert!(demoted.elapsed() < Duration::from_secs(10), "still an admin");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(api.admin("GET", &path, None).await.status, 404);
}
