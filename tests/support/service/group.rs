//! Groups and the people in them, as the service stores them.

use anyhow::Result;
use bson::oid::ObjectId;
use bson::{Bson, DateTime, Document, doc};
use mongodb::Database;

/// A group: who may administer it and who may be given its tasks.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its id.
    pub id: ObjectId,
    /// A member with the role `Admin`.
    pub admin: ObjectId,
    /// Members with the role `RegularUser`.
    pub members: Vec<ObjectId>,
}

impl Group {
    /// Inserts a group with one admin and three regular members.
    ///
    /// # Errors
    /// The driver's.
    pub async fn create(database: &Database) -> Result<Self> {
        let group =
            Self { id: ObjectId::new(), admin: ObjectId::new(), members: (0..3).map(|_| ObjectId::new()).collect() };
        database.collection::<Document>("groups").insert_one(group.document()).await?;
        Ok(group)
    }

    /// The group's document.
    #[must_use]
    pub fn document(&self) -> Document {
        let now = DateTime::now();
        let member = |user: ObjectId, role: &str, invited_by: Bson| doc! { "userId": user, "role": role, "joinedAt": now, "invitedBy": invited_by };
        let mut members = vec![member(self.admin, "Admin", Bson::Null)];
        members.extend(self.members.iter().map(|user| member(*user, "RegularUser", Bson::ObjectId(self.admin))));
        doc! {
            "_id": self.id,
            "name": "Household",
            "createdBy": self.admin,
            "members": members,
            "taskCount": 0,
            "lastActivity": now,
            "createdAt": now,
            "updatedAt": now,
            "notifications": [],
        }
    }
}
