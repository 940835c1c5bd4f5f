//! Kills the leader while many clients send requests.

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::cluster::Cluster;

/// One kill of the leader during other work, and the check that it took effect.
#[derive(Debug)]
pub struct Killing {
    killed: watch::Sender<bool>,
    leader: u64,
    term: u64,
}

impl Killing {
    /// Finds the leader.
    pub async fn plan(cluster: &Cluster) -> Self {
        let leader = cluster.leader().await;
        let term = crate::shop::count(&cluster.view(leader).await, "term");
        Self { killed: watch::Sender::new(false), leader, term }
    }

    /// Runs `task` for each client: even ones at once, odd ones after the kill.
    ///
    /// # Panics
    /// When the test ends without a kill.
    pub fn start<T, F>(&self, clients: u64, task: impl Fn(u64) -> F) -> JoinSet<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut tasks = JoinSet::new();
        for client in 0..clients {
            let work = task(client);
            let mut killed = self.killed.subscribe();
            tasks.spawn(async move {
                if client % 2 == 1 {
                    killed.wait_for(|killed| *killed).await.expect("the test kills");
                }
                work.await
            });
        }
        tasks
    }

    /// Kills the leader as soon as the first clients have their answers, waits for the rest, and
    /// brings the node back.
    ///
    /// # Panics
    /// When a client did, or the kill forced no election.
    pub async fn strike<T: 'static>(self, cluster: &mut Cluster, mut tasks: JoinSet<T>) -> Vec<T> {
        let mut results = Vec::new();
        let first = tasks.join_next().await.expect("there are clients");
        results.push(first.expect("no client panics"));
        cluster.kill(self.leader);
        self.killed.send_replace(true);
        while let Some(result) = tasks.join_next().await {
            results.push(result.expect("no client panics"));
        }
        let next = cluster.leader().await;
        let term = crate::shop::count(&cluster.view(next).await, "term");
        assert!(term > self.term && next != self.leader, "the kill forced an election");
        cluster.restart(self.leader);
        cluster.wait_ready().await;
        results
    }
}
