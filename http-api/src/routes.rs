//! Lists all resources, and finds the endpoint of a path and a method.
//!
//! Each resource lists its own endpoints; a new resource is one line here. `/api` is an alias of
//! `/api/v1`, and the task hook is served without a prefix too, as the system had it that it
//! replaces.

use hyper::Method;
use hyper::header::HeaderValue;

use crate::answer::reply::Reply;
use crate::call::Call;
use crate::endpoint::{Endpoint, Resource};
use crate::failure::Failure;
use crate::resources::{
    auth, cluster, documents, events, holds, monitoring, orders, payments, products, refunds, users,
};

/// Lists the resources, in the order of the OpenAPI document.
macro_rules! resources {
    ($($name:ident: $module:ident),+ $(,)?) => {
        /// Every endpoint of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Route {
            $($name($module::Route)),+
        }

        /// Every resource with its endpoints.
        pub(crate) fn resources() -> Vec<(&'static Resource, Vec<(Route, &'static Endpoint)>)> {
            vec![$((
                &$module::RESOURCE,
                $module::ENDPOINTS.iter().map(|(route, row)| (Route::$name(*route), row)).collect(),
            )),+]
        }

        /// Calls the handler of an endpoint.
        pub(crate) async fn answer(route: Route, call: &Call<'_>) -> Result<Reply, Failure> {
            match route {
                $(Route::$name(route) => $module::answer(route, call).await),+
            }
        }
    };
}

resources! {
    Orders: orders,
    Holds: holds,
    Payments: payments,
    Refunds: refunds,
    Products: products,
    Users: users,
    Events: events,
    Auth: auth,
    Cluster: cluster,
    Monitoring: monitoring,
    Documents: documents,
}

/// Every endpoint with its row.
pub(crate) fn endpoints() -> impl Iterator<Item = (Route, &'static Endpoint)> {
    resources().into_iter().flat_map(|(_, endpoints)| endpoints)
}

/// The label of requests that match no path.
pub(crate) const UNMATCHED: &str = "unmatched";

/// Paths that are served under their last part alone, too.
const BARE: [&str; 1] = ["/tasks/order-processed"];

/// All methods of the API, for the answer to `CONNECT`.
const ALLOW_ALL: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");

/// One path with its endpoints, one for each of its methods.
#[derive(Debug)]
struct Path {
    pattern: &'static str,
    endpoints: Vec<(Route, &'static Endpoint)>,
    allow: HeaderValue,
}

/// The result of a lookup.
#[derive(Debug)]
pub(crate) enum Found<'p> {
    /// An endpoint, with the only variable part of the path as it was sent.
    Endpoint { route: Route, endpoint: &'static Endpoint, argument: &'p str },
    /// The path has other methods.
    OtherMethod { pattern: &'static str, allow: HeaderValue },
    /// No such path.
    Nothing,
}

impl Found<'_> {
    /// The endpoint, if there is one.
    pub(crate) fn endpoint(&self) -> Option<&'static Endpoint> {
        match self {
            Found::Endpoint { endpoint, .. } => Some(endpoint),
            Found::OtherMethod { .. } | Found::Nothing => None,
        }
    }
}

/// The endpoints, by path.
#[derive(Debug)]
pub(crate) struct Router {
    tree: matchit::Router<usize>,
    paths: Vec<Path>,
}

impl Router {
    /// Compiles the paths of all endpoints.
    pub(crate) fn new() -> Router {
        let mut paths: Vec<Path> = Vec::new();
        for (route, endpoint) in endpoints() {
            match paths.iter_mut().find(|path| path.pattern == endpoint.path) {
                Some(path) => path.endpoints.push((route, endpoint)),
                None => paths.push(Path {
                    pattern: endpoint.path,
                    endpoints: vec![(route, endpoint)],
                    allow: HeaderValue::from_static(""),
                }),
            }
        }
        let mut tree = matchit::Router::new();
        let mut insert = |pattern: &str, place: usize| {
            tree.insert(pattern, place).expect("paths do not conflict");
        };
        for (place, path) in paths.iter_mut().enumerate() {
            path.allow = allow(&path.endpoints);
            insert(path.pattern, place);
            if let Some(rest) = path.pattern.strip_prefix("/api/v1") {
                insert(&format!("/api{rest}"), place);
                if BARE.contains(&rest) {
                    insert(rest, place);
                }
            }
        }
        Router { tree, paths }
    }

    /// Looks a request up.
    pub(crate) fn find<'p>(&self, method: &Method, path: &'p str) -> Found<'p> {
        let Ok(found) = self.tree.at(path) else {
            // `CONNECT` has a host instead of a path, so 404 would be wrong.
            return if *method == Method::CONNECT {
                Found::OtherMethod { pattern: UNMATCHED, allow: ALLOW_ALL }
            } else {
                Found::Nothing
            };
        };
        let Path { pattern, endpoints, allow } = &self.paths[*found.value];
        let asked = if *method == Method::HEAD { &Method::GET } else { method };
        match endpoints.iter().find(|(_, endpoint)| endpoint.method == *asked) {
            Some(&(route, endpoint)) => {
                let argument = found.params.iter().next().map_or("", |(_, value)| value);
                Found::Endpoint { route, endpoint, argument }
            }
            None => Found::OtherMethod { pattern, allow: allow.clone() },
        }
    }
}

/// The value of `Allow`. Every path that answers GET also answers HEAD.
fn allow(endpoints: &[(Route, &Endpoint)]) -> HeaderValue {
    let mut names = Vec::new();
    for (_, Endpoint { method, .. }) in endpoints {
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
    use engine::auth::Scope;

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
        for Path { pattern, endpoints, .. } in &router.paths {
            let concrete = pattern.replace("{id}", "17").replace("{key}", "a%2Fb");
            let concrete = concrete.replace("{file}", "app.js");
            let short = concrete.replace("/api/v1/", "/api/");
            for path in [concrete, short] {
                for method in METHODS {
                    let asked = if method == Method::HEAD { Method::GET } else { method.clone() };
                    let expected = endpoints.iter().find(|(_, row)| row.method == asked);
                    match (router.find(&method, &path), expected) {
                        (Found::Endpoint { route, endpoint, .. }, Some((expected, row))) => {
                            assert_eq!(route, *expected, "{method} {path}");
                            assert_eq!(endpoint.path, row.path, "{method} {path}");
                        }
                        (Found::OtherMethod { allow, .. }, None) => {
                            let allow = allow.to_str().unwrap();
                            for (_, row) in endpoints {
                                assert!(allow.contains(row.method.as_str()), "{method} {path}");
                            }
                        }
                        (found, _) => panic!("{method} {path}: {found:?}"),
                    }
                }
            }
        }
    }

    /// Writes without a key of their own, and why they need none.
    const KEYLESS: [(&str, &str); 12] = [
        ("/api/v1/orders/batch", "each order has its own; the header is refused"),
        ("/api/v1/orders/by-key/{key}/fence", "the key is in the path"),
        ("/api/v1/orders/{id}/settle", "an order ends once; another outcome is a conflict"),
        ("/api/v1/tasks/order-processed", "changes nothing"),
        ("/api/v1/auth/tokens", "the secret is shown once; the header is refused"),
        ("/api/v1/cluster/snapshot", "another snapshot does no harm"),
        ("/api/v1/cluster/level", "a level that is reached stays"),
        ("/api/v1/cluster/members", "a member is added once"),
        ("/api/v1/cluster/members/{id}", "a member is removed once"),
        ("/api/v1/cluster/transfer-leader", "the leader stays the one that was named"),
        ("/api/v1/cluster/accept-clock", "an accepted clock stays"),
        ("/api/v1/admin/log-filter", "the same filter again does no harm"),
    ];

    #[test]
    fn what_only_operators_may_do_is_on_their_port_alone() {
        for (_, endpoint) in endpoints() {
            let for_operators = matches!(
                endpoint.access.scope(),
                Some(
                    Scope::ClusterRead
                        | Scope::ClusterJoin
                        | Scope::ClusterAdmin
                        | Scope::Backup
                        | Scope::AuthAdmin
                        | Scope::MetricsRead
                )
            );
            let is_hidden = endpoint.is_admin();
            assert!(is_hidden || !for_operators, "{} {}", endpoint.method, endpoint.path);
        }
    }

    #[test]
    fn every_write_takes_a_key_or_needs_none() {
        let mut keyless = Vec::new();
        for (_, endpoint) in endpoints().filter(|(_, endpoint)| endpoint.method != Method::GET) {
            let takes_key = endpoint.knows_key.is_some() || endpoint.is_keyed_apart;
            let is_listed = KEYLESS.iter().any(|(path, _)| *path == endpoint.path);
            assert_ne!(takes_key, is_listed, "{} {}", endpoint.method, endpoint.path);
            keyless.extend(is_listed.then_some(endpoint.path));
        }
        assert_eq!(keyless.len(), KEYLESS.len(), "{keyless:?}");
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
            let Found::Endpoint { argument: found, .. } = router.find(&Method::GET, path) else {
                panic!("{path}")
            };
            assert_eq!(found, argument);
        }
        for rest in BARE {
            let Found::Endpoint { endpoint, .. } = router.find(&Method::POST, rest) else {
                panic!("{rest}")
            };
            assert_eq!(endpoint.path, format!("/api/v1{rest}"));
        }
    }

    #[test]
    fn unknown_paths_lead_nowhere() {
        let router = Router::new();
        for path in [
            "",
            "*",
            "/console",
            "/console/",
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
            let found = router.find(&Method::GET, path);
            assert!(matches!(found, Found::Nothing), "{path}: {found:?}");
        }
        assert!(matches!(router.find(&Method::CONNECT, ""), Found::OtherMethod { .. }));
        let made_up = Method::from_bytes(b"BREW").unwrap();
        assert!(matches!(router.find(&made_up, "/api/orders"), Found::OtherMethod { .. }));
    }
}
