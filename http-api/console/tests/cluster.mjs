// Three real nodes on loopback, with a small catalogue.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const BINARY = process.env.HOLDFAST_BINARY ?? 'target/debug/holdfast';
const WAIT_MS = 30_000;

/** Waits until `ask` gives something true. */
export async function until(what, ask) {
  const end = Date.now() + WAIT_MS;
  for (;;) {
    const found = await Promise.resolve().then(ask).catch(() => null);
    if (found) return found;
    if (Date.now() > end) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

const freePorts = (count) => Promise.all(Array.from({ length: count }, () => new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => done(server));
}))).then(async (servers) => {
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
});

export class Cluster {
  static async start() {
    const cluster = new Cluster();
    cluster.directory = mkdtempSync(join(tmpdir(), 'holdfast-console-'));
    cluster.ports = await freePorts(6);
    cluster.nodes = new Map();
    for (const id of [1, 2, 3]) cluster.run(id);
    await until('a leader', () => cluster.leader());
    for (const [name, price, stock] of [['Laptop Pro', '999.99', 50], ['Wireless Mouse', '29.99', 200], ['Limited Edition Headphones', '299.99', 1]]) {
      await cluster.post('/api/v1/products', { name, price, stock });
    }
    return cluster;
  }

  url(id) {
    return `http://127.0.0.1:${this.ports[id - 1]}`;
  }

  run(id) {
    const address = (port) => `127.0.0.1:${port}`;
    const peers = [1, 2, 3].flatMap((peer) =>
      ['--peer', `${peer}=${address(this.ports[peer + 2])},${address(this.ports[peer - 1])}`]);
    const node = spawn(BINARY, ['serve', '--id', id, '--data', join(this.directory, String(id)),
      '--http', address(this.ports[id - 1]), '--raft', address(this.ports[id + 2]),
      '--payment-gateway', 'simulated', '--payment-success-rate', '1', ...peers].map(String), { stdio: 'ignore' });
    this.nodes.set(id, node);
  }

  async kill(id) {
    const node = this.nodes.get(id);
    const ended = new Promise((done) => node.once('exit', done));
    node.kill('SIGKILL');
    await ended;
  }

  /** The leader that a majority can reach, as the first living node says. */
  async leader() {
    for (const id of this.nodes.keys()) {
      const answer = await fetch(`${this.url(id)}/api/v1/cluster`).catch(() => null);
      const { leader_id: leader, members } = answer ? (await answer.json()).data : {};
      if (leader && members.every((member) => member.healthy)) return leader;
    }
    return null;
  }

  async post(path, body, id = 1) {
    const answer = await fetch(this.url(id) + path, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).data;
  }

  async get(path, id = 1) {
    return (await (await fetch(this.url(id) + path)).json()).data;
  }

  async stop() {
    await Promise.all([...this.nodes].map(([id, node]) => node.exitCode === null && node.signalCode === null ? this.kill(id) : null));
    rmSync(this.directory, { recursive: true, force: true });
  }
}
