/** Three real nodes on this machine. `HOLDFAST_BINARY` names the program. */

import { spawn } from "node:child_process";
import { mkdtempSync, openSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const SECRET = "whsec-of-the-client-tests";

/** Starts three nodes, and ends those that live. */
export class Cluster {
  data = mkdtempSync(join(tmpdir(), "holdfast-client-"));
  nodes = new Map();
  urls = [];

  async start() {
    const ports = await freePorts(6);
    this.urls = ports.slice(0, 3).map((port) => `http://127.0.0.1:${port}`);
    const peers = [1, 2, 3].flatMap((node) => [
      "--peer", `${node}=127.0.0.1:${ports[node + 2]},127.0.0.1:${ports[node - 1]}`,
    ]);
    for (const node of [1, 2, 3]) {
      const log = openSync(join(this.data, `${node}.log`), "w");
      const options = [
        "serve", "--id", String(node), "--data", join(this.data, String(node)), "--log-filter", "warn",
        "--http", `127.0.0.1:${ports[node - 1]}`, "--raft", `127.0.0.1:${ports[node + 2]}`, ...peers,
      ];
      const env = { ...process.env, HOLDFAST_WEBHOOK_SECRET: SECRET };
      this.nodes.set(node, spawn(process.env.HOLDFAST_BINARY, options, { env, stdio: ["ignore", log, log] }));
    }
  }

  /** Kills a node as a crash would. */
  async kill(node) {
    const child = this.nodes.get(node);
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  /** Kills all nodes and removes their data. */
  async end() {
    for (const node of this.nodes.keys()) await this.kill(node);
    rmSync(this.data, { recursive: true, force: true });
  }
}

/** Ports that were free a moment ago. A node whose port is taken meanwhile ends, and says so. */
async function freePorts(count) {
  const servers = [];
  for (let at = 0; at < count; at += 1) {
    const server = net.createServer();
    await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
    servers.push(server);
  }
  const ports = servers.map((server) => server.address().port);
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
  return ports;
}
