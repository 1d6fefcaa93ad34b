//! A small client of the admin API, and tokens as the task service issues them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use bson::oid::ObjectId;
use jsonwebtoken::{EncodingKey, Header};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// The HS256 key of tests, demo and benchmark.
pub const JWT_SECRET: &str = "taskwire-test-signing-key-of-the-task-service";

/// The claims that the task service puts into a token for this user, valid for `lifetime`.
#[must_use]
pub fn claims(user: &str, lifetime: Duration) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    json!({
        "sub": user,
        "iss": "TasksTrackerApi",
        "aud": "TasksTrackerClients",
        "iat": now,
        "nbf": now,
        "exp": now + lifetime.as_secs(),
    })
}

/// A token with these claims, signed with this secret.
///
/// # Errors
/// The library's.
pub fn token_with(claims: &Value, secret: &str) -> Result<String> {
    Ok(jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes()))?)
}

/// A token for this user as the task service would issue it, valid for twelve hours, under [`JWT_SECRET`].
///
/// # Errors
/// The library's.
pub fn token(user: ObjectId) -> Result<String> {
    token_with(&claims(&user.to_hex(), Duration::from_secs(12 * 3600)), JWT_SECRET)
}

/// An answer of the API.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as JSON; null if it is empty, a text if it is no JSON.
    pub body: Value,
}

impl Reply {
    /// The body if the status is this one.
    ///
    /// # Errors
    /// With the status and the body that came instead.
    pub fn expect(self, status: u16) -> Result<Value> {
        if self.status.as_u16() != status {
            bail!("expected {status}, got {}: {}", self.status, self.body);
        }
        Ok(self.body)
    }
}

/// A client that carries one user's token.
#[derive(Debug, Clone)]
pub struct AdminApi {
    base: String,
    token: Option<String>,
    client: reqwest::Client,
}

impl AdminApi {
    /// A client of the API at this base URL, as this user.
    ///
    /// # Errors
    /// When the token or the client cannot be made.
    pub fn new(base: &str, user: ObjectId) -> Result<Self> {
        Self::with_token(base, Some(token(user)?))
    }

    /// A client with any token, or none.
    ///
    /// # Errors
    /// When the client cannot be made.
    pub fn with_token(base: &str, token: Option<String>) -> Result<Self> {
        crate::init();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?;
        Ok(Self { base: base.to_owned(), token, client })
    }

    /// One call. `path` begins with `/`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Reply> {
        self.call_with(method, path, body, &[]).await
    }

    /// One call with further headers, such as `If-Match`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Reply> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await.with_context(|| format!("{method} {path}"))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        };
        Ok(Reply { status, headers, body })
    }

    /// `GET`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.call(Method::GET, path, None).await
    }

    /// `POST`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Reply> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `PUT`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Reply> {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn delete(&self, path: &str) -> Result<Reply> {
        self.call(Method::DELETE, path, None).await
    }

    /// Creates a webhook; the answer holds its `id` and `secret`.
    ///
    /// # Errors
    /// When the answer is not 201.
    pub async fn create_webhook(&self, webhook: &Value) -> Result<Value> {
        let created = self.post("/api/integrations/webhooks", webhook).await?;
        created.expect(201).context("creating a webhook")
    }

    /// The deliveries of a webhook, newest first, through all pages.
    ///
    /// # Errors
    /// When an answer is not 200.
    pub async fn deliveries(&self, webhook: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/integrations/webhooks/{webhook}/deliveries?limit=200{cursor}");
            let mut page = self.get(&path).await?.expect(200).context("listing deliveries")?;
            let found = page.get_mut("items").map(Value::take);
            items.extend(found.and_then(|found| found.as_array().cloned()).context("the list has no items")?);
            match page.get("nextCursor").and_then(Value::as_str) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }
}

/// A webhook of this group for this target that wants all events, every field but those optional.
#[must_use]
pub fn webhook_for_all_events(group: ObjectId, target_url: &str) -> Value {
    json!({
        "groupId": group.to_hex(),
        "name": "Everything",
        "targetUrl": target_url,
        "enabled": true,
        "events": {
            "taskCreated": true, "taskUpdated": true, "taskCompleted": true,
            "taskApproved": true, "taskRejected": true, "taskSwapped": true,
        },
        "headers": {},
        "retryPolicy": { "maxAttempts": 14, "backoffSeconds": 30 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};

    #[test]
    fn a_token_carries_what_the_task_service_puts_into_one() {
        let user = ObjectId::new();
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_issuer(&["TasksTrackerApi"]);
        rules.set_audience(&["TasksTrackerClients"]);
        let key = DecodingKey::from_secret(JWT_SECRET.as_bytes());
        let read = jsonwebtoken::decode::<Value>(token(user).unwrap(), &key, &rules).unwrap();
        assert_eq!(read.claims["sub"], user.to_hex());
    }
}
