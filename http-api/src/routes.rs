//! Which path and method lead to which handler.
//!
//! One table names every path with its methods. `/api/v1` and `/api` are two names of the same
//! paths; what monitors read stands without a prefix too.

use hyper::Method;
use hyper::header::HeaderValue;

/// Every operation of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    CreateOrder,
    ListOrders,
    Purchase,
    PlaceBatch,
    GetOrder,
    CancelOrder,
    OrderEvents,
    OrderByKey,
    FenceKey,
    CreateHold,
    GetHold,
    ReleaseHold,
    ExtendHold,
    PaymentWebhook,
    ListProducts,
    CreateProduct,
    GetProduct,
    ReplaceProduct,
    PatchProduct,
    ArchiveProduct,
    AdjustStock,
    Ledger,
    CreateUser,
    GetUser,
    OrderProcessed,
    Events,
    Socket,
    Cluster,
    AddMember,
    RemoveMember,
    TransferLeader,
    TakeSnapshot,
    Backup,
    SetPayments,
    Health,
    Live,
    Ready,
    Metrics,
    Test,
    OpenApi,
    Docs,
}

impl Route {
    /// Whether the body of a request is read.
    pub(crate) fn reads_body(self) -> bool {
        match self {
            Route::CreateOrder
            | Route::Purchase
            | Route::PlaceBatch
            | Route::CancelOrder
            | Route::CreateHold
            | Route::ExtendHold
            | Route::PaymentWebhook
            | Route::CreateProduct
            | Route::ReplaceProduct
            | Route::PatchProduct
            | Route::AdjustStock
            | Route::CreateUser
            | Route::OrderProcessed
            | Route::AddMember
            | Route::TransferLeader
            | Route::SetPayments => true,
            Route::ListOrders
            | Route::GetOrder
            | Route::OrderEvents
            | Route::OrderByKey
            | Route::FenceKey
            | Route::GetHold
            | Route::ReleaseHold
            | Route::ListProducts
            | Route::GetProduct
            | Route::ArchiveProduct
            | Route::Ledger
            | Route::GetUser
            | Route::Events
            | Route::Socket
            | Route::Cluster
            | Route::TakeSnapshot
            | Route::Backup
            | Route::RemoveMember
            | Route::Health
            | Route::Live
            | Route::Ready
            | Route::Metrics
            | Route::Test
            | Route::OpenApi
            | Route::Docs => false,
        }
    }

    /// Whether it answers JSON, so that a caller who takes none is refused. Documents and metrics
    /// go out in their own formats, whatever a browser or a monitor says it takes.
    pub(crate) fn answers_json(self) -> bool {
        let own_format =
            matches!(self, Route::Metrics | Route::OpenApi | Route::Docs | Route::Backup);
        !own_format && !matches!(self, Route::Events | Route::Socket)
    }

    /// Whether a request may carry an idempotency key.
    pub(crate) fn takes_key(self) -> bool {
        matches!(
            self,
            Route::CreateOrder
                | Route::Purchase
                | Route::CreateHold
                | Route::AdjustStock
                | Route::PaymentWebhook
        )
    }

    /// Whether a body holds many requests: it may be larger, and one of them a line.
    pub(crate) fn is_bulk(self) -> bool {
        matches!(self, Route::PlaceBatch)
    }

    /// Whether a rate limit counts it. Monitors ask however often they must.
    pub(crate) fn is_counted(self) -> bool {
        !matches!(self, Route::Health | Route::Live | Route::Ready | Route::Metrics)
    }
}

pub(crate) type Methods = &'static [(Method, Route)];

/// Paths below `/api/v1` and `/api`.
const PREFIXED: &[(&str, Methods)] = &[
    ("/api/v1/orders", &[(Method::GET, Route::ListOrders), (Method::POST, Route::CreateOrder)]),
    ("/api/v1/orders/purchase", &[(Method::POST, Route::Purchase)]),
    ("/api/v1/orders/batch", &[(Method::POST, Route::PlaceBatch)]),
    ("/api/v1/orders/by-key/{key}", &[(Method::GET, Route::OrderByKey)]),
    ("/api/v1/orders/by-key/{key}/fence", &[(Method::POST, Route::FenceKey)]),
    ("/api/v1/orders/{id}", &[(Method::GET, Route::GetOrder)]),
    ("/api/v1/orders/{id}/cancel", &[(Method::POST, Route::CancelOrder)]),
    ("/api/v1/orders/{id}/events", &[(Method::GET, Route::OrderEvents)]),
    ("/api/v1/holds", &[(Method::POST, Route::CreateHold)]),
    ("/api/v1/holds/{id}", &[(Method::GET, Route::GetHold), (Method::DELETE, Route::ReleaseHold)]),
    ("/api/v1/holds/{id}/extend", &[(Method::POST, Route::ExtendHold)]),
    ("/api/v1/payments/webhook", &[(Method::POST, Route::PaymentWebhook)]),
    (
        "/api/v1/products",
        &[(Method::GET, Route::ListProducts), (Method::POST, Route::CreateProduct)],
    ),
    (
        "/api/v1/products/{id}",
        &[
            (Method::GET, Route::GetProduct),
            (Method::PUT, Route::ReplaceProduct),
            (Method::PATCH, Route::PatchProduct),
            (Method::DELETE, Route::ArchiveProduct),
        ],
    ),
    ("/api/v1/products/{id}/adjustments", &[(Method::POST, Route::AdjustStock)]),
    ("/api/v1/products/{id}/ledger", &[(Method::GET, Route::Ledger)]),
    ("/api/v1/users", &[(Method::POST, Route::CreateUser)]),
    ("/api/v1/users/{id}", &[(Method::GET, Route::GetUser)]),
    ("/api/v1/tasks/order-processed", &[(Method::POST, Route::OrderProcessed)]),
    ("/api/v1/events", &[(Method::GET, Route::Events)]),
    ("/api/v1/ws", &[(Method::GET, Route::Socket)]),
    ("/api/v1/cluster", &[(Method::GET, Route::Cluster)]),
    ("/api/v1/cluster/snapshot", &[(Method::POST, Route::TakeSnapshot)]),
    ("/api/v1/cluster/backup", &[(Method::GET, Route::Backup)]),
    ("/api/v1/cluster/payments", &[(Method::POST, Route::SetPayments)]),
    ("/api/v1/cluster/members", &[(Method::POST, Route::AddMember)]),
    ("/api/v1/cluster/members/{id}", &[(Method::DELETE, Route::RemoveMember)]),
    ("/api/v1/cluster/transfer-leader", &[(Method::POST, Route::TransferLeader)]),
    ("/api/v1/health", &[(Method::GET, Route::Health)]),
    ("/api/v1/test", &[(Method::GET, Route::Test)]),
];

/// Paths without a prefix.
const BARE: &[(&str, Methods)] = &[
    ("/health", &[(Method::GET, Route::Health)]),
    ("/livez", &[(Method::GET, Route::Live)]),
    ("/readyz", &[(Method::GET, Route::Ready)]),
    ("/metrics", &[(Method::GET, Route::Metrics)]),
    ("/openapi.json", &[(Method::GET, Route::OpenApi)]),
    ("/docs", &[(Method::GET, Route::Docs)]),
];

/// The table: every path with its methods, those below `/api/v1` first.
pub(crate) fn table() -> impl Iterator<Item = (&'static str, Methods)> {
    PREFIXED.iter().chain(BARE).copied()
}

/// The label of requests that match no path.
pub(crate) const UNMATCHED: &str = "unmatched";

/// Every method that some path knows, for the answer to methods that no path can know.
const ALLOW_ALL: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");

/// One path with its methods.
#[derive(Debug)]
struct Path {
    pattern: &'static str,
    methods: Methods,
    allow: HeaderValue,
}

/// What a path and a method lead to.
#[derive(Debug, PartialEq)]
pub(crate) enum Found<'p> {
    /// A handler, with the only variable part of the path as it was sent.
    Route { route: Route, pattern: &'static str, argument: &'p str },
    /// The path exists for other methods.
    OtherMethod { pattern: &'static str, allow: HeaderValue },
    /// No such path.
    Nothing,
}

impl Found<'_> {
    /// The route, if there is one.
    pub(crate) fn route(&self) -> Option<Route> {
        match self {
            Found::Route { route, .. } => Some(*route),
            Found::OtherMethod { .. } | Found::Nothing => None,
        }
    }
}

/// The table, compiled.
#[derive(Debug)]
pub(crate) struct Router {
    tree: matchit::Router<usize>,
    paths: Vec<Path>,
}

impl Router {
    /// Compiles the table.
    pub(crate) fn new() -> Router {
        let mut router = Router { tree: matchit::Router::new(), paths: Vec::new() };
        for (pattern, methods) in table() {
            let place = router.paths.len();
            router.paths.push(Path { pattern, methods, allow: allow(methods) });
            router.insert(pattern, place);
            if let Some(rest) = pattern.strip_prefix("/api/v1") {
                router.insert(&format!("/api{rest}"), place);
            }
        }
        router
    }

    fn insert(&mut self, pattern: &str, place: usize) {
        self.tree.insert(pattern, place).expect("the patterns of the table do not collide");
    }

    /// Looks a request up.
    pub(crate) fn find<'p>(&self, method: &Method, path: &'p str) -> Found<'p> {
        let Ok(found) = self.tree.at(path) else {
            // CONNECT names a host instead of a path, so there is no path to blame.
            return if *method == Method::CONNECT {
                Found::OtherMethod { pattern: UNMATCHED, allow: ALLOW_ALL }
            } else {
                Found::Nothing
            };
        };
        let Path { pattern, methods, allow } = &self.paths[*found.value];
        let asked = if *method == Method::HEAD { &Method::GET } else { method };
        match methods.iter().find(|(known, _)| known == asked) {
            Some(&(_, route)) => {
                let argument = found.params.iter().next().map_or("", |(_, value)| value);
                Found::Route { route, pattern, argument }
            }
            None => Found::OtherMethod { pattern, allow: allow.clone() },
        }
    }
}

/// The value of `Allow`. Whatever answers GET answers HEAD too.
fn allow(methods: Methods) -> HeaderValue {
    let mut names = Vec::new();
    for (method, _) in methods {
        names.push(method.as_str());
        if *method == Method::GET {
            names.push("HEAD");
        }
    }
    HeaderValue::try_from(names.join(", ")).expect("names of methods")
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];

    #[test]
    fn every_path_answers_its_methods_and_refuses_the_others() {
        let router = Router::new();
        for (pattern, methods) in table() {
            let concrete = pattern.replace("{id}", "17").replace("{key}", "a%2Fb");
            let short = concrete.replace("/api/v1/", "/api/");
            for path in [concrete, short] {
                for method in METHODS {
                    let asked = if method == Method::HEAD { Method::GET } else { method.clone() };
                    let expected = methods.iter().find(|(known, _)| *known == asked);
                    match (router.find(&method, &path), expected) {
                        (Found::Route { route, pattern: label, .. }, Some((_, expected))) => {
                            assert_eq!((route, label), (*expected, pattern), "{method} {path}");
                        }
                        (Found::OtherMethod { allow, .. }, None) => {
                            let allow = allow.to_str().unwrap();
                            for (known, _) in methods {
                                assert!(allow.contains(known.as_str()), "{method} {path}");
                            }
                        }
                        (found, _) => panic!("{method} {path}: {found:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn arguments_come_as_they_were_sent() {
        let router = Router::new();
        for (path, argument) in [
            ("/api/orders/7", "7"),
            ("/api/v1/orders/%00", "%00"),
            ("/api/orders/7/events", "7"),
            ("/api/v1/orders/by-key/a%2Fb", "a%2Fb"),
        ] {
            let Found::Route { argument: found, .. } = router.find(&Method::GET, path) else {
                panic!("{path}")
            };
            assert_eq!(found, argument);
        }
    }

    #[test]
    fn unknown_paths_lead_nowhere() {
        let router = Router::new();
        for path in [
            "",
            "/",
            "*",
            "/api",
            "/api/v1",
            "/orders",
            "/api/v2/orders",
            "/api/orders/",
            "/api/orders/7/",
            "/api/orders/7/pay",
            "/api/orders/by-key/a/b",
            "/api/orders/../metrics",
            "//api/orders",
            "/api/livez",
        ] {
            assert_eq!(router.find(&Method::GET, path), Found::Nothing, "{path}");
        }
        assert!(matches!(router.find(&Method::CONNECT, ""), Found::OtherMethod { .. }));
        let made_up = Method::from_bytes(b"BREW").unwrap();
        assert!(matches!(router.find(&made_up, "/api/orders"), Found::OtherMethod { .. }));
    }
}
