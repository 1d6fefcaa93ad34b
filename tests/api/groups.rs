//! Who is an admin.

use std::time::Duration;

use bson::{Document, doc, oid::ObjectId};
use serde_json::{Value, json};
use taskwire_tests::eventually;

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
    let status = eventually("an admin no longer", Duration::from_secs(10), async || {
        let status = api.admin("GET", &path, None).await.status;
        if status == 200 { Err("still an admin".to_owned()) } else { Ok(status) }
    });
    assert_eq!(status.await.unwrap(), 404);
}

const GROUPS: &str = "/api/integrations/groups";

/// Inserts a group of this name in which the user has this role, and gives its id.
async fn named_group(api: &Api, name: Document, user: ObjectId, role: &str) -> String {
    let id = ObjectId::new();
    let mut group = doc! { "_id": id, "createdBy": user, "members": [
        { "userId": ObjectId::new(), "role": "Admin" }, { "userId": user, "role": role },
    ] };
    group.extend(name);
    api.store.collection::<Document>("groups").insert_one(group).await.unwrap();
    id.to_hex()
}

async fn listed(api: &Api, user: ObjectId) -> Value {
    let answer = api.ask(user, "GET", GROUPS, None).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    answer.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_lists_their_groups_by_name_whichever_the_profile_and_a_plain_member_none() {
    for profile in ["tasks-tracker", "camel-case"] {
        let api = Api::start_with(&[("mapping", profile)]).await;
        let user = ObjectId::new();
        let html = "<b onclick=\"alert(1)\">Zoo</b> & 'co'";
        let add = async |name: Document, role: &str| named_group(&api, name, user, role).await;
        let zoo = add(doc! { "name": html }, "Owner").await;
        let nameless = add(doc! {}, "Admin").await;
        let number = add(doc! { "name": 5 }, "admin").await;
        let family = add(doc! { "name": "family" }, "Admin").await;
        let attic = add(doc! { "name": "Attic" }, "Owner").await;
        let hebrew = add(doc! { "name": "משפחה" }, "Admin").await;
        add(doc! { "name": "Others'" }, "RegularUser").await;
        assert_eq!(
            listed(&api, user).await,
            json!({ "items": [
                { "id": zoo, "name": html },
                { "id": attic, "name": "Attic" },
                { "id": family, "name": "family" },
                { "id": hebrew, "name": "משפחה" },
                { "id": nameless, "name": null },
                { "id": number, "name": null },
            ], "nextCursor": null }),
            "{profile}"
        );
        for nobody in [api.member_a, ObjectId::new()] {
            assert_eq!(listed(&api, nobody).await, json!({ "items": [], "nextCursor": null }), "{profile}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_name_stands_where_the_mapping_says_or_nowhere() {
    let profile = include_str!("../../src/mapping/profiles/tasks-tracker.toml");
    let line = "collection = \"groups\"\nname = \"name\"\n";
    for (read, name) in [("name = \"about.title\"\n", json!("Attic")), ("", json!(null))] {
        let text = profile.replacen(line, &format!("collection = \"groups\"\n{read}"), 1);
        assert_ne!(text, profile);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("mapping.toml");
        std::fs::write(&file, text).unwrap();
        let api = Api::start_with(&[("mapping", file.to_str().unwrap())]).await;
        let user = ObjectId::new();
        let id = named_group(&api, doc! { "name": "Other", "about": { "title": "Attic" } }, user, "Admin").await;
        assert_eq!(listed(&api, user).await["items"], json!([{ "id": id, "name": name }]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_groups_the_first_two_hundred_are_listed() {
    let api = Api::start().await;
    let user = ObjectId::new();
    // Stored from the last to the first.
    let groups = (0..203).rev().map(
        |n| doc! { "name": format!("{}{n:03}", if n % 2 == 0 { "g" } else { "G" }), "members": [{ "userId": user, "role": "Admin" }] },
    );
    api.store.collection::<Document>("groups").insert_many(groups).await.unwrap();
    let answer = listed(&api, user).await;
    let names: Vec<_> =
        answer["items"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 200);
    assert_eq!(names[..3], ["g000", "G001", "g002"]);
    assert_eq!(names[199], "G199");
}
