//! Lists: `{items, nextCursor}`, how many, and the cursors between pages.
//!
//! A cursor is the last item's place in the order, sealed for the list it came from and the filters it was asked with: one
//! that was made up, changed, or taken from another list or filter is refused. It grants nothing: each page is scoped anew.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use utoipa::{IntoParams, ToSchema};

use super::error::{ApiError, ApiResult};
use crate::secrets::{MasterKeys, Sealed};

/// The most items of a page.
pub const LIMIT_MAX: u32 = 200;
/// Items of a page where the caller does not say.
pub const LIMIT_DEFAULT: u32 = 50;
/// The longest cursor that is looked at.
const CURSOR_MAX: usize = 1024;

/// One page.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Gives the next page; null at the end.
    #[schema(required = true, example = "djEuN2Y4YTBjM2QuS2x3")]
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "describes the parameters; `Query` reads them")]
pub(super) struct PageParameters {
    /// `nextCursor` of the page before, with the same filters.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// How many items at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
}

/// A list with its filters: what a cursor is bound to.
#[derive(Debug, Clone)]
pub struct ListKey(String);

impl ListKey {
    /// The list `name` (with the ids in its path) under these filters, each a name and the value asked for.
    #[must_use]
    pub fn new(name: &str, filters: &[(&str, Option<&str>)]) -> Self {
        let mut hash = Sha256::new();
        for part in filters.iter().flat_map(|(key, value)| [Some(*key), *value]) {
            // Length and presence go in, so that no two lists of filters read alike.
            hash.update(part.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        Self(format!("cursor/{name}/{}", BASE64URL_NOPAD.encode(&hash.finalize()[..16])))
    }

    /// The place a cursor stands for.
    ///
    /// # Errors
    /// 422 naming `cursor`, if it is not one of this list's.
    pub fn open<P: DeserializeOwned>(&self, keys: &MasterKeys, cursor: &str) -> ApiResult<P> {
        self.try_open(keys, cursor).ok_or_else(|| {
            ApiError::invalid_field("cursor", "is none of this list with these filters: begin again without a cursor")
        })
    }

    fn try_open<P: DeserializeOwned>(&self, keys: &MasterKeys, cursor: &str) -> Option<P> {
        use secrecy::ExposeSecret;
        if cursor.len() > CURSOR_MAX {
            return None;
        }
        let sealed = String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok()?;
        let place = keys.open(&self.0, &Sealed::from(sealed)).ok()?;
        serde_json::from_str(place.expose_secret()).ok()
    }

    /// Makes a page of what was found when asking for one item more than `limit`: the further one only shows that the
    /// list goes on. `place` gives an item's place in the order, `show` what the page shows of it.
    ///
    /// # Errors
    /// 500, if the cursor cannot be sealed.
    pub fn page<T, U, P: Serialize>(
        &self,
        keys: &MasterKeys,
        mut found: Vec<T>,
        limit: u32,
        place: impl Fn(&T) -> P,
        show: impl FnMut(T) -> ApiResult<U>,
    ) -> ApiResult<Page<U>> {
        let limit = limit as usize;
        let goes_on = found.len() > limit;
        found.truncate(limit);
        let next_cursor = match found.last().filter(|_| goes_on) {
            Some(last) => {
                let place = serde_json::to_string(&place(last)).map_err(|_| ApiError::internal())?;
                Some(BASE64URL_NOPAD.encode(keys.seal(&self.0, &place)?.as_str().as_bytes()))
            }
            None => None,
        };
        Ok(Page { items: found.into_iter().map(show).collect::<ApiResult<_>>()?, next_cursor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> MasterKeys {
        MasterKeys::parse("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap()
    }

    fn cursor(list: &ListKey) -> String {
        list.page(&keys(), vec![1, 2, 3], 2, |n| *n, Ok).unwrap().next_cursor.unwrap()
    }

    #[test]
    fn a_page_is_cut_at_the_limit_and_its_cursor_is_the_last_items_place() {
        let list = ListKey::new("things", &[]);
        let page = list.page(&keys(), vec![1, 2, 3], 2, |n| *n, Ok).unwrap();
        assert_eq!(page.items, [1, 2]);
        assert_eq!(list.open::<i32>(&keys(), &page.next_cursor.unwrap()).unwrap(), 2);
        let last = list.page(&keys(), vec![1, 2], 2, |n| *n, Ok).unwrap();
        assert!(last.next_cursor.is_none());
    }

    #[test]
    fn a_cursor_opens_only_in_its_own_list_with_its_own_filters() {
        let list = ListKey::new("things", &[("status", Some("failed")), ("taskId", None)]);
        let text = cursor(&list);
        assert!(list.open::<i32>(&keys(), &text).is_ok());
        for other in [
            ListKey::new("others", &[("status", Some("failed")), ("taskId", None)]),
            ListKey::new("things", &[("status", Some("queued")), ("taskId", None)]),
            ListKey::new("things", &[("status", Some("failed")), ("taskId", Some(""))]),
            ListKey::new("things", &[("status", None), ("taskId", Some("failed"))]),
        ] {
            assert_eq!(other.open::<i32>(&keys(), &text).unwrap_err().status(), 422);
        }
    }

    #[test]
    fn a_forged_or_overlong_cursor_is_refused() {
        let list = ListKey::new("things", &[]);
        let mut changed = cursor(&list).into_bytes();
        let middle = changed.len() / 2;
        changed[middle] = if changed[middle] == b'A' { b'B' } else { b'A' };
        for bad in [String::from_utf8(changed).unwrap(), "MTIz".into(), "%%%".into(), "A".repeat(5000)] {
            assert_eq!(list.open::<i32>(&keys(), &bad).unwrap_err().status(), 422, "{bad}");
        }
    }
}
