//! Network namespaces: a hub with a bridge, and one namespace with an own address for each node.
//!
//! All of it belongs to one run and is removed with it. Nothing of the host's own network is
//! touched: the program runs itself again inside the hub, so that clients are in there too.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

/// The port for clients and the one for the other nodes, the same on every node.
pub const HTTP_PORT: u16 = 8080;
/// See [`HTTP_PORT`].
pub const RAFT_PORT: u16 = 9080;

/// Prefix of all namespaces that this program makes.
const PREFIX: &str = "hfj";

/// The namespaces of one run.
#[derive(Debug, Clone)]
pub struct Net {
    run: u32,
    nodes: usize,
}

/// Runs a command to its end.
///
/// # Errors
/// What it wrote to its error output, when it fails or is not there.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let shown = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{}: {error}", shown()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{}: {}", shown(), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Net {
    /// The namespaces of the run with this number, whether they are there or not.
    #[must_use]
    pub const fn of(run: u32, nodes: usize) -> Self {
        Self { run, nodes }
    }

    /// Makes them.
    ///
    /// # Errors
    /// When the rights or the tools for it are missing; what was made is removed again.
    pub fn create(run: u32, nodes: usize) -> Result<Self, String> {
        Self::remove_left_over();
        let net = Self { run, nodes };
        let made = net.make();
        if made.is_err() {
            net.remove();
        }
        made.map(|()| net)
    }

    fn make(&self) -> Result<(), String> {
        let hub = self.hub();
        run("ip", &["netns", "add", &hub])?;
        let inside = |arguments: &[&str]| -> Result<String, String> {
            let mut all = vec!["-n", hub.as_str()];
            all.extend(arguments);
            run("ip", &all)
        };
        inside(&["link", "set", "lo", "up"])?;
        inside(&["link", "add", "br0", "type", "bridge"])?;
        inside(&["addr", "add", "10.77.0.254/24", "dev", "br0"])?;
        inside(&["link", "set", "br0", "up"])?;
        for node in 1..=self.nodes {
            let name = self.node(node);
            let port = format!("n{node}");
            let address = format!("{}/24", ip(node));
            run("ip", &["netns", "add", &name])?;
            inside(&[
                "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &name,
            ])?;
            inside(&["link", "set", &port, "master", "br0", "up"])?;
            run("ip", &["-n", &name, "link", "set", "lo", "up"])?;
            run("ip", &["-n", &name, "addr", "add", &address, "dev", "eth0"])?;
            run("ip", &["-n", &name, "link", "set", "eth0", "up"])?;
            // Refused early when the kernel has no packet filter.
            self.filter(node, &["-L", "INPUT", "-n"])?;
        }
        Ok(())
    }

    /// Ends what still runs in the namespaces and removes them.
    pub fn remove(&self) {
        for name in (1..=self.nodes).map(|node| self.node(node)).chain([self.hub()]) {
            let _ = run("ip", &["netns", "del", &name]);
        }
    }

    /// Removes namespaces of runs that were killed before they could do so.
    fn remove_left_over() {
        let listed = run("ip", &["netns", "list"]).unwrap_or_default();
        for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
            let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            let Some(owner) = owner.and_then(|owner| owner.parse::<u32>().ok()) else { continue };
            if !std::path::Path::new(&format!("/proc/{owner}")).exists() {
                let _ = run("ip", &["netns", "del", name]);
            }
        }
    }

    /// The namespace in which the clients are.
    #[must_use]
    pub fn hub(&self) -> String {
        format!("{PREFIX}{}-hub", self.run)
    }

    /// The namespace of a node, from 1.
    #[must_use]
    pub fn node(&self, node: usize) -> String {
        format!("{PREFIX}{}-{node}", self.run)
    }

    /// Runs `iptables` in the namespace of a node.
    ///
    /// # Errors
    /// What it complains of.
    pub fn filter(&self, node: usize, arguments: &[&str]) -> Result<String, String> {
        let name = self.node(node);
        let mut all = vec!["netns", "exec", name.as_str(), "iptables", "-w", "5"];
        all.extend(arguments);
        run("ip", &all)
    }

    /// Lets `to` hear nothing of `from` any more.
    ///
    /// # Errors
    /// What `iptables` complains of.
    pub fn cut(&self, from: usize, to: usize) -> Result<(), String> {
        let source = ip(from).to_string();
        self.filter(to, &["-A", "INPUT", "-s", &source, "-j", "DROP"]).map(drop)
    }

    /// Packets that cuts have swallowed since they were made.
    #[must_use]
    pub fn swallowed(&self) -> u64 {
        (1..=self.nodes)
            .filter_map(|node| self.filter(node, &["-L", "INPUT", "-n", "-v", "-x"]).ok())
            .flat_map(|listed| {
                let rows = listed.lines().filter(|line| line.contains("DROP"));
                rows.filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok())
                    .collect::<Vec<_>>()
            })
            .sum()
    }

    /// Undoes all cuts.
    ///
    /// # Errors
    /// What `iptables` complains of.
    pub fn heal(&self) -> Result<(), String> {
        (1..=self.nodes).try_for_each(|node| self.filter(node, &["-F", "INPUT"]).map(drop))
    }
}

/// The address of a node, from 1.
#[must_use]
pub fn ip(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, u8::try_from(node).unwrap_or(u8::MAX))
}

/// Where clients reach a node.
#[must_use]
pub fn http(node: usize) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip(node)), HTTP_PORT)
}
