//! Network namespaces: a hub with a bridge, and one namespace with its own address per node.
//!
//! All of it belongs to one run and is removed with it. It never touches the host's own network:
//! the program runs itself again inside the hub, so clients are in there too.

mod late;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::process::{Command, Stdio};
use std::time::Duration;

pub use late::Late;

/// The port for clients, the same on every node.
pub const HTTP_PORT: u16 = 8080;
/// The port for the other nodes, the same on every node.
pub const RAFT_PORT: u16 = 9080;

/// The address of the hub, from which clients send requests.
const HUB: &str = "10.77.0.254";

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
/// Its error output, when it fails or does not exist.
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
    /// The namespaces of the run with this number, whether they exist or not.
    #[must_use]
    pub const fn of(run: u32, nodes: usize) -> Self {
        Self { run, nodes }
    }

    /// Creates them.
    ///
    /// # Errors
    /// When permissions or tools are missing; whatever was created is removed again.
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
        inside(&["addr", "add", &format!("{HUB}/24"), "dev", "br0"])?;
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
            // Fails early when the kernel has no packet filter.
            self.filter(node, &["-L", "INPUT", "-n"])?;
        }
        Ok(())
    }

    /// Kills what still runs in the namespaces and removes them.
    pub fn remove(&self) {
        for name in (1..=self.nodes).map(|node| self.node(node)).chain([self.hub()]) {
            let _ = run("ip", &["netns", "del", &name]);
        }
    }

    /// Removes namespaces of runs that were killed.
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

    /// The namespace of the clients.
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
    /// Its message.
    pub fn filter(&self, node: usize, arguments: &[&str]) -> Result<String, String> {
        let name = self.node(node);
        let mut all = vec!["netns", "exec", name.as_str(), "iptables", "-w", "5"];
        all.extend(arguments);
        run("ip", &all)
    }

    /// Drops all packets from `from` to `to`.
    ///
    /// # Errors
    /// The message of `iptables`.
    pub fn cut(&self, from: usize, to: usize) -> Result<(), String> {
        let source = ip(from).to_string();
        self.filter(to, &["-A", "INPUT", "-s", &source, "-j", "DROP"]).map(drop)
    }

    /// Drops `percent` % of the packets to `node`, with `of_clients` those of clients too.
    ///
    /// # Errors
    /// The message of `iptables`.
    pub fn lose(&self, node: usize, percent: u32, of_clients: bool) -> Result<(), String> {
        let share = format!("{:.2}", f64::from(percent) / 100.0);
        let rule = ["-m", "statistic", "--mode", "random", "--probability", &share, "-j", "DROP"];
        self.heard(node, of_clients, &rule)
    }

    /// Answers `per_thousand` of a thousand TCP packets to `node` with a reset, which ends the
    /// connection at the other side. This side notices when it next sends something.
    ///
    /// # Errors
    /// The message of `iptables`.
    pub fn reset(&self, node: usize, per_thousand: u32) -> Result<(), String> {
        let share = format!("{:.3}", f64::from(per_thousand) / 1_000.0);
        let rule = ["-p", "tcp", "-m", "statistic", "--mode", "random", "--probability", &share];
        self.heard(
            node,
            true,
            &[&rule[..], &["-j", "REJECT", "--reject-with", "tcp-reset"]].concat(),
        )
    }

    /// Silently drops all packets of the connections that `node` has now, in both directions, while
    /// new connections work: what a restarted firewall does. `mark` distinguishes new ones; no
    /// earlier call may have used it.
    ///
    /// # Errors
    /// The message of `iptables`.
    pub fn forget(&self, node: usize, mark: u32) -> Result<(), String> {
        let mark = mark.to_string();
        for chain in ["INPUT", "OUTPUT"] {
            for rule in [
                &["--tcp-flags", "SYN", "SYN", "-j", "CONNMARK", "--set-mark", &mark][..],
                &["-m", "connmark", "!", "--mark", &mark, "-j", "DROP"][..],
            ] {
                self.filter(node, &[&["-A", chain, "-p", "tcp"], rule].concat())?;
            }
        }
        Ok(())
    }

    /// Delays every packet to `node` by a random time in `delay`, from `seed`, until the result is
    /// dropped. The rule stays until all is healed.
    ///
    /// # Errors
    /// The message of `iptables`, or when the kernel has no such queue.
    pub fn delay(&self, node: usize, delay: Range<Duration>, seed: u64) -> Result<Late, String> {
        let late = Late::begin(&self.node(node), delay, seed)?;
        let queue = late::QUEUE.to_string();
        self.heard(node, true, &["-j", "NFQUEUE", "--queue-num", &queue, "--queue-bypass"])?;
        Ok(late)
    }

    /// Lets a node send so many kilobits a second. What is more waits for up to two seconds, and is
    /// lost beyond that.
    ///
    /// # Errors
    /// The message of `tc`, also when the kernel has no such queue.
    pub fn slow_down(&self, node: usize, kbits: u32) -> Result<(), String> {
        let rate = format!("{kbits}kbit");
        let queue = ["tbf", "rate", &rate, "burst", "3kb", "latency", "2s"];
        self.queue(node, &[&["qdisc", "replace", "dev", "eth0", "root"], &queue[..]].concat())?;
        Ok(())
    }

    /// Ends [`Net::slow_down`]; returns how often a packet had to wait.
    ///
    /// # Errors
    /// The message of `tc`.
    pub fn speed_up(&self, node: usize) -> Result<u64, String> {
        let shown = self.queue(node, &["-s", "qdisc", "show", "dev", "eth0"])?;
        self.queue(node, &["qdisc", "del", "dev", "eth0", "root"])?;
        Ok(overlimits(&shown))
    }

    fn queue(&self, node: usize, arguments: &[&str]) -> Result<String, String> {
        let name = self.node(node);
        run("ip", &[&["netns", "exec", &name, "tc"], arguments].concat())
    }

    /// Adds a rule for what a node hears from others.
    fn heard(&self, node: usize, of_clients: bool, rule: &[&str]) -> Result<(), String> {
        let others: &[&str] = if of_clients { &["-i", "eth0"] } else { &["!", "-s", HUB] };
        self.filter(node, &[&["-A", "INPUT"], others, rule].concat()).map(drop)
    }

    /// How many packets rules have dropped, reset or delayed since they were made.
    #[must_use]
    pub fn touched(&self) -> u64 {
        (1..=self.nodes)
            .filter_map(|node| self.filter(node, &["-L", "-n", "-v", "-x"]).ok())
            .flat_map(|listed| listed.lines().filter_map(packets).collect::<Vec<_>>())
            .sum()
    }

    /// Removes all rules.
    ///
    /// # Errors
    /// The message of `iptables`.
    pub fn heal(&self) -> Result<(), String> {
        (1..=self.nodes).try_for_each(|node| self.filter(node, &["-F"]).map(drop))
    }
}

/// How many packets a rule has affected, from a line of the list of rules.
fn packets(line: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    let packets = words.next()?.parse().ok()?;
    let target = words.nth(1)?;
    matches!(target, "DROP" | "REJECT" | "NFQUEUE").then_some(packets)
}

/// How often a packet had to wait, from the statistics of a queue.
fn overlimits(shown: &str) -> u64 {
    let mut words = shown.split_whitespace();
    words.by_ref().find(|word| *word == "overlimits");
    words.next().and_then(|number| number.parse().ok()).unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affected_packets_are_read_from_the_list_of_rules() {
        let line = |target| format!("      17     2040 {target}  tcp  --  eth0  *  0.0.0.0/0  ...");
        assert_eq!(packets(&line("DROP")), Some(17));
        assert_eq!(packets(&line("REJECT")), Some(17));
        assert_eq!(packets(&line("NFQUEUE")), Some(17));
        assert_eq!(packets(&line("CONNMARK")), None);
        assert_eq!(packets("Chain INPUT (policy ACCEPT 21 packets, 3400 bytes)"), None);
        let shown =
            "qdisc tbf 8001: root\n Sent 9 bytes 1 pkt (dropped 2, overlimits 41 requeues 0)";
        assert_eq!((overlimits(shown), overlimits("")), (41, 0));
        assert_eq!(packets("    pkts      bytes target     prot opt in"), None);
    }
}
