"""Three real nodes on this machine. `HOLDFAST_BINARY` names the program."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
from typing import Callable, Dict, List

SECRET = "whsec-of-the-client-tests"


class Cluster:
    """Starts three nodes, and ends those that live."""

    def __init__(self) -> None:
        # Ports that were free a moment ago. A node whose port is taken meanwhile ends, and says so.
        sockets = [socket.socket() for _ in range(6)]
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        ports = [sock.getsockname()[1] for sock in sockets]
        for sock in sockets:
            sock.close()
        self.data = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-client-"))
        self.urls = [f"http://127.0.0.1:{port}" for port in ports[:3]]
        peers: List[str] = []
        for node in (1, 2, 3):
            peers += ["--peer", f"{node}=127.0.0.1:{ports[node + 2]},127.0.0.1:{ports[node - 1]}"]
        self.nodes: Dict[int, subprocess.Popen[bytes]] = {}
        for node in (1, 2, 3):
            with open(self.data / f"{node}.log", "wb") as log:
                self.nodes[node] = subprocess.Popen(
                    [
                        os.environ["HOLDFAST_BINARY"], "serve", "--id", str(node),
                        "--data", str(self.data / str(node)),
                        "--http", f"127.0.0.1:{ports[node - 1]}", "--raft", f"127.0.0.1:{ports[node + 2]}",
                        *peers, "--log-filter", "warn",
                    ],
                    stdout=log, stderr=log, env={**os.environ, "HOLDFAST_WEBHOOK_SECRET": SECRET},
                )

    def kill(self, node: int) -> None:
        """Kills a node as a crash would."""
        self.nodes[node].kill()
        self.nodes[node].wait()

    def logs(self) -> str:
        """What the nodes have logged."""
        return "\n".join(path.read_text() for path in sorted(self.data.glob("*.log")))

    def end(self) -> None:
        """Kills all nodes and removes their data."""
        for node in self.nodes.values():
            node.kill()
            node.wait()
        shutil.rmtree(self.data, ignore_errors=True)


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits until a function returns true."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(0.05)
