//! The OpenAPI document is what programs are written from: names are one of a kind, and what every route knows is said.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

fn operations() -> Vec<(String, Value)> {
    let document = serde_json::to_value(chenlian::http::openapi()).expect("the document is plain data");
    let paths = document["paths"].as_object().expect("paths").clone();
    let named = |(path, methods): (String, Value)| {
        let methods = methods.as_object().cloned().unwrap_or_default();
        methods.into_iter().map(move |(method, operation)| (format!("{method} {path}"), operation)).collect::<Vec<_>>()
    };
    paths.into_iter().flat_map(named).collect()
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for (what, operation) in operations() {
        let name = operation["operationId"].as_str().expect("an operation has a name").to_owned();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        if let Some(other) = names.insert(name.clone(), what.clone()) {
            panic!("{name} is {other} and {what}");
        }
    }
}

#[test]
fn every_route_says_that_it_wants_a_sign_in_and_every_post_that_it_takes_a_key() {
    for (what, operation) in operations() {
        assert!(operation["responses"]["401"].is_object() && operation["responses"]["429"].is_object(), "{what}");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let takes_key = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key" && parameter["in"] == "header");
        assert_eq!(takes_key, what.starts_with("post "), "{what}");
    }
}

/// The names under which the types of a folder stand in the document, each with its files.
fn schema_names(folder: &Path, found: &mut BTreeMap<String, Vec<String>>) {
    for entry in std::fs::read_dir(folder).expect("the sources are here").flatten() {
        let path = entry.path();
        if path.is_dir() {
            schema_names(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("sources are text");
        let mut lines = text.lines().filter(|line| !line.starts_with("//"));
        while let Some(line) = lines.next() {
            if !(line.starts_with("#[derive(") && line.contains("ToSchema")) {
                continue;
            }
            let mut renamed = None;
            for line in lines.by_ref() {
                renamed = line.strip_prefix("#[schema(as = ").and_then(|rest| rest.strip_suffix(")]")).or(renamed);
                let named = line.split_once("struct ").or_else(|| line.split_once("enum "));
                if let Some((_, rest)) = named.filter(|_| !line.starts_with('#')) {
                    let own = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
                    found.entry(renamed.unwrap_or(own).to_owned()).or_default().push(path.display().to_string());
                    break;
                }
            }
        }
    }
}

#[test]
fn no_two_types_share_a_name_in_the_document() {
    let mut found = BTreeMap::new();
    schema_names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50, "the types are found: {}", found.len());
    found.retain(|_, files| files.len() > 1);
    assert!(found.is_empty(), "each describes the other: {found:?}");
}
