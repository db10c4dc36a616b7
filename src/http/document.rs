//! The OpenAPI document: what the routes say of themselves, and what is true of all of them.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::router::OpenApiRouter;

use super::{HttpState, api};

/// The names that may stand in the query of a route: by method and path.
pub type Parameters = BTreeMap<(String, String), BTreeSet<String>>;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Chenlian", description = "The curtain agreement: register, checks, alerts, visits, devices."),
    modifiers(&SignIn),
    security(("cookie" = []), ("bearer" = []))
)]
struct Document;

struct SignIn;

impl Modify for SignIn {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let cookie = SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new("__Host-chenlian")));
        components.add_security_scheme("cookie", cookie);
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// All routes with their document.
pub fn documented() -> OpenApiRouter<HttpState> {
    let mut router = OpenApiRouter::with_openapi(Document::openapi()).merge(api::routes());
    for (path, item) in &mut router.get_openapi_mut().paths.paths {
        for (method, operation) in operations(item) {
            complete(&method, path, operation);
        }
    }
    router
}

/// What a query may hold, as the document says.
pub fn parameters(document: &OpenApi) -> Parameters {
    let mut parameters = Parameters::new();
    for (path, item) in &document.paths.paths {
        for (method, operation) in operations(&mut item.clone()) {
            let names = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => Some(parameter.name.clone()),
                _ => None,
            });
            parameters.insert((method.to_string(), path.clone()), names.collect());
        }
    }
    parameters
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| operation.as_mut().map(|operation| (method, operation)))
}

/// A name of its own, the key that every POST takes, and the refusals that every route knows.
fn complete(method: &Method, path: &str, operation: &mut Operation) {
    operation.operation_id = Some(name_of(method, path));
    if *method == Method::POST {
        operation.parameters.get_or_insert_default().push(RefOr::T(idempotency_key()));
    }
    for (status, why) in [("401", "Not signed in"), ("429", "Too many requests; Retry-After says when")] {
        let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let response = ResponseBuilder::new().description(why).content("application/problem+json", problem).build();
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(response));
    }
}

/// `post_alerts_by_id_claim`: method and path are one of a kind.
fn name_of(method: &Method, path: &str) -> String {
    let words = path.trim_start_matches("/api/v1/").split('/').map(|segment| {
        let name = segment.trim_matches(['{', '}']);
        if name.len() == segment.len() { name.replace('-', "_") } else { format!("by_{name}") }
    });
    let words: Vec<String> = words.collect();
    format!("{}_{}", method.as_str().to_lowercase(), words.join("_"))
}

fn idempotency_key() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("8 to 128 characters; instead of the `id` of the body."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()))
        .build()
}
