//! The API's description: served, shown, and kept by every answer that the tests get.

use axum::http::Method;
use serde_json::{Value, json};
use taskwire::http::openapi::document;

use crate::harness::{Answer, Api, request};

/// The operations of the document: method, path and what is described.
pub fn operations() -> impl Iterator<Item = (Method, &'static str, &'static Value)> {
    let paths = document()["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("an item");
        item.iter().map(|(method, operation)| {
            (Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"), path.as_str(), operation)
        })
    })
}

/// Whether this path, with or without a query, is one of the described `template`.
pub fn matches(template: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template
            .iter()
            .zip(&path)
            .all(|(wanted, part)| wanted == part || wanted.starts_with('{') && !part.is_empty())
}

/// Panics unless the answer is one that the document describes for this call: its status, its kind, its body.
pub fn assert_described(method: &Method, path: &str, answer: &Answer) {
    // A fixed path goes before one with a parameter.
    let found = operations().filter(|(is, template, _)| is == method && matches(template, path));
    let Some((_, template, operation)) = found.min_by_key(|(_, template, _)| template.matches('{').count()) else {
        return;
    };
    let what = format!("{method} {template}: {} {}", answer.status, answer.text);
    let described = &operation["responses"][answer.status.as_str()];
    assert!(described.is_object(), "the document does not describe this answer: {what}");
    let Some(content) = described["content"].as_object() else {
        return assert_eq!(answer.text, "", "the document describes no body: {what}");
    };
    let kind = answer.headers["content-type"].to_str().expect("text").to_owned();
    let media = content.get(kind.as_str()).unwrap_or_else(|| panic!("{kind} is not described: {what}"));
    if let Err(fault) = check(&media["schema"], &answer.json()) {
        panic!("{fault}: {what}");
    }
    for name in described["headers"].as_object().into_iter().flat_map(|all| all.keys()) {
        assert!(answer.headers.contains_key(name.as_str()), "no {name}: {what}");
    }
}

/// Whether `value` fits a schema of the document.
fn check(schema: &Value, value: &Value) -> Result<(), String> {
    let mut root = schema.clone();
    root["components"] = document()["components"].clone();
    let validator = jsonschema::options().should_validate_formats(true).build(&root).expect("a schema");
    validator.validate(value).map_err(|error| format!("{} at {}", error, error.instance_path()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_and_its_page_are_served_to_everybody_and_need_nothing_from_elsewhere() {
    let api = Api::start().await;
    let get = async |path: &str| api.send(request(None, "GET", path, None, &[])).await;
    let described = get("/api/openapi.json").await.expect(200);
    assert_eq!(&described, document());
    assert!(described["openapi"].as_str().unwrap().starts_with("3.1."));
    let page = get("/api/docs").await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    for path in ["/api/docs/page.js", "/api/docs/page.css"] {
        assert!(page.text.contains(path));
        let part = get(path).await;
        assert_eq!(part.status, 200);
        assert!(!part.text.contains("://") && !part.text.contains("innerHTML"), "{path}");
    }
}

#[test]
fn every_example_of_the_description_fits_its_schema() {
    for (method, path, operation) in operations() {
        let bodies = operation["responses"].as_object().unwrap().values().chain([&operation["requestBody"]]);
        for media in bodies.filter_map(|body| body["content"].as_object()).flat_map(|content| content.values()) {
            let checked = check(&media["schema"], &media["example"]);
            assert_eq!(checked, Ok(()), "{method} {path}: {}", media["example"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parameters_that_a_call_takes_are_those_that_the_description_names() {
    let api = Api::start().await;
    let webhook = api.webhook().await["id"].as_str().unwrap().to_owned();
    for (method, template, operation) in operations() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let queries = parameters.filter(|parameter| parameter["in"] == "query");
        let mut described: Vec<_> = queries.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        if described.is_empty() {
            continue;
        }
        let path = template.replace("{id}", &webhook);
        let body = operation["requestBody"].is_object().then(|| json!({}));
        let answer = api.admin(method.as_str(), &format!("{path}?nonsense=1"), body.as_ref()).await;
        let problem = answer.expect(422);
        let message = problem["errors"][0]["message"].as_str().unwrap();
        let mut taken: Vec<_> = message.split("there are: ").nth(1).unwrap().split(", ").collect();
        taken.sort_unstable();
        described.sort_unstable();
        assert_eq!(taken, described, "{method} {template}");
    }
}
