//! An endpoint: a row with its method, path, kind of body, handler and description.
//!
//! A resource lists its rows in [`endpoints!`], which makes a static table and a function that
//! calls the handler of a row. The function is a `match`, so the future of a handler is part of the
//! connection's future, without an allocation per request.

use std::sync::OnceLock;

use engine::auth::Scope;
use engine::state::State;
use hyper::Method;
use serde_json::Value;

use crate::auth::Access;
use crate::bodies::Share;
use crate::describe::operation::Operation;
use crate::origin::Exposure;

/// How the body of a request is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyKind {
    /// Not at all.
    None,
    /// As one JSON object, of at most `body_bytes_max` bytes. The handler decides whether it may be
    /// missing.
    Json,
    /// As many requests, in one JSON object or one per line, of at most `batch_bytes_max` bytes in
    /// total.
    Bulk,
}

/// Says whether an idempotency key has made something before.
pub(crate) type KnowsKey = fn(&State, &str) -> bool;

/// One row. The handler stands beside it, see [`endpoints!`].
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) method: Method,
    /// The path with its variable part in braces. A path below `/api/v1` is served below `/api`
    /// too. It is the endpoint's label in the metrics.
    pub(crate) path: &'static str,
    pub(crate) body: BodyKind,
    /// Describes the endpoint for the OpenAPI document.
    describe: fn() -> Operation,
    /// Whether it answers JSON, and so refuses callers that do not accept JSON.
    pub(crate) answers_json: bool,
    /// Whether a rate limit counts it.
    pub(crate) is_counted: bool,
    /// For requests with an idempotency key: whether the key is known. Retries with a known key are
    /// answered over the rate limit too.
    pub(crate) knows_key: Option<KnowsKey>,
    /// Whether requests may carry an idempotency key that the row they make does not keep.
    pub(crate) is_keyed_apart: bool,
    /// What a page of another origin could do with a request.
    pub(crate) exposure: Exposure,
    /// What it demands of its callers.
    pub(crate) access: Access,
    /// The names of its query parameters, taken from its description when first needed.
    parameters: OnceLock<Vec<String>>,
}

impl Endpoint {
    const fn new(
        method: Method,
        path: &'static str,
        body: BodyKind,
        describe: fn() -> Operation,
    ) -> Endpoint {
        let (answers_json, is_counted, knows_key) = (true, true, None);
        Endpoint {
            method,
            path,
            body,
            describe,
            answers_json,
            is_counted,
            knows_key,
            is_keyed_apart: false,
            exposure: Exposure::Usual,
            access: Access::Unset,
            parameters: OnceLock::new(),
        }
    }

    /// A `GET`, which also answers `HEAD`.
    pub(crate) const fn get(path: &'static str, describe: fn() -> Operation) -> Endpoint {
        Endpoint::new(Method::GET, path, BodyKind::None, describe)
    }

    /// A `POST`.
    pub(crate) const fn post(
        path: &'static str,
        body: BodyKind,
        describe: fn() -> Operation,
    ) -> Endpoint {
        Endpoint::new(Method::POST, path, body, describe)
    }

    /// A `PUT` of a JSON object.
    pub(crate) const fn put(path: &'static str, describe: fn() -> Operation) -> Endpoint {
        Endpoint::new(Method::PUT, path, BodyKind::Json, describe)
    }

    /// A `PATCH` with a JSON object.
    pub(crate) const fn patch(path: &'static str, describe: fn() -> Operation) -> Endpoint {
        Endpoint::new(Method::PATCH, path, BodyKind::Json, describe)
    }

    /// A `DELETE` without a body.
    pub(crate) const fn delete(path: &'static str, describe: fn() -> Operation) -> Endpoint {
        Endpoint::new(Method::DELETE, path, BodyKind::None, describe)
    }

    /// Requests may carry an idempotency key.
    pub(crate) const fn keyed(mut self, knows_key: KnowsKey) -> Endpoint {
        self.knows_key = Some(knows_key);
        self
    }

    /// Requests may carry an idempotency key, which no row keeps. The handler proposes one command
    /// that may be [`Keyed`](engine::command::Keyed), and knows nothing of keys.
    pub(crate) const fn keyed_apart(mut self) -> Endpoint {
        self.is_keyed_apart = true;
        self
    }

    /// Answers in its own format, whatever the caller accepts.
    pub(crate) const fn own_format(mut self) -> Endpoint {
        self.answers_json = false;
        self
    }

    /// Says what a page of another origin could do with a request.
    pub(crate) const fn exposes(mut self, exposure: Exposure) -> Endpoint {
        self.exposure = exposure;
        self
    }

    /// Demands a token with a scope, where credentials are asked for.
    pub(crate) const fn needs(self, scope: Scope) -> Endpoint {
        self.with_access(Access::Scope(scope))
    }

    /// Demands a token with a scope, or a signature, which its handler checks.
    pub(crate) const fn signed(self, scope: Scope) -> Endpoint {
        self.with_access(Access::Signed(scope))
    }

    /// Demands a token with a scope, or that applications sign each channel.
    pub(crate) const fn channels(self, scope: Scope) -> Endpoint {
        self.with_access(Access::Channels(scope))
    }

    /// Demands valid credentials, whatever they allow.
    pub(crate) const fn known(self) -> Endpoint {
        self.with_access(Access::Known)
    }

    /// Demands nothing of its callers.
    pub(crate) const fn open(self) -> Endpoint {
        self.with_access(Access::Open)
    }

    const fn with_access(mut self, access: Access) -> Endpoint {
        self.access = access;
        self
    }

    /// No rate limit counts it: monitors ask as often as they must.
    pub(crate) const fn uncounted(mut self) -> Endpoint {
        self.is_counted = false;
        self
    }

    /// Whether it is for operators: a server with a port for them has it nowhere else.
    pub(crate) fn is_admin(&self) -> bool {
        is_admin(self.path)
    }

    /// Whose share of the memory for bodies it uses.
    pub(crate) fn share(&self) -> Share {
        match self.access.scope() {
            Some(
                Scope::PaymentsAdmin
                | Scope::PaymentsWebhook
                | Scope::ClusterJoin
                | Scope::ClusterAdmin
                | Scope::AuthAdmin,
            ) => Share::Operators,
            _ if self.body == BodyKind::Bulk => Share::Batches,
            _ => Share::Clients,
        }
    }

    /// The query parameters that it takes; all others are refused. `None` for endpoints that ignore
    /// the query: monitors append parameters of their own, and a refused probe stops a node.
    pub(crate) fn query_parameters(&self) -> Option<&[String]> {
        let declared = || (self.describe)().query_parameters();
        self.is_counted.then(|| self.parameters.get_or_init(declared).as_slice())
    }

    /// The description, completed with what follows from the row.
    pub(crate) fn operation(&self) -> Operation {
        let mut operation = (self.describe)();
        if self.answers_json {
            operation = operation.answers_json();
        }
        if self.is_counted {
            operation = operation.counted();
        }
        if self.query_parameters().is_some() {
            operation = operation.checks_query();
        }
        if self.method != Method::GET || self.exposure != Exposure::Usual {
            operation = operation.refuses_pages();
        }
        if self.is_keyed_apart {
            operation = operation.keyed_apart();
        }
        if self.body != BodyKind::None {
            operation = operation.reads_body();
        }
        if self.access != Access::Open {
            operation = operation.demands(self.access);
        }
        operation
    }
}

/// Whether a path is for operators.
pub(crate) fn is_admin(path: &str) -> bool {
    let rest = path.strip_prefix("/api/v1").or_else(|| path.strip_prefix("/api"));
    let first = rest.unwrap_or(path).trim_start_matches('/').split('/').next();
    first.is_some_and(|first| ["cluster", "auth", "audit", "admin", "metrics"].contains(&first))
}

/// A group of endpoints about one thing: a tag of the OpenAPI document.
#[derive(Debug)]
pub(crate) struct Resource {
    /// The name of the tag.
    pub(crate) name: &'static str,
    /// What the tag is about.
    pub(crate) about: &'static str,
    /// The schemas of its bodies, by name.
    pub(crate) schemas: fn() -> Value,
}

/// Lists the endpoints of a resource, one row each:
/// `Name: Endpoint::get("/path", describe::name) => handle::name`.
///
/// It makes `enum Route` with a variant for each row, the table `ENDPOINTS`, and `answer`, which
/// calls the handler of a row: an `async fn(&Call<'_>) -> Result<Reply, Failure>`.
macro_rules! endpoints {
    ($($name:ident: $row:expr => $handler:path),+ $(,)?) => {
        /// The endpoints of this resource.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Route {
            $($name),+
        }

        /// The row of each endpoint.
        pub(crate) static ENDPOINTS: [(Route, $crate::endpoint::Endpoint); COUNT] =
            [$((Route::$name, $row)),+];

        const COUNT: usize = [$(Route::$name),+].len();

        /// Calls the handler of an endpoint.
        pub(crate) async fn answer(
            route: Route,
            call: &$crate::call::Call<'_>,
        ) -> Result<$crate::answer::reply::Reply, $crate::failure::Failure> {
            match route {
                $(Route::$name => $handler(call).await),+
            }
        }
    };
}

pub(crate) use endpoints;
