"""Checks that every setting in deploy/ is a flag of this version of `holdfast serve`.

Looks at the keys of holdfast.toml, those in comments too, and at HOLDFAST_… in the files for Docker and
Kubernetes. A node must start with holdfast.toml, and with each key in a comment as well.
"""

import pathlib
import re
import signal
import subprocess
import tempfile

from cluster import BINARY, ROOT, free_port

# Settings that need files or other nodes, so that a node alone cannot start with them.
NOT_ALONE = {"join", "replaces"}


def flags():
    """The long flags of `holdfast serve`."""
    text = subprocess.run([BINARY, "serve", "--help"], check=True, capture_output=True, text=True)
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", text.stdout, re.MULTILINE))


def start(text):
    """Starts a node with this configuration and waits until it listens."""
    with tempfile.TemporaryDirectory() as home:
        file = pathlib.Path(home) / "holdfast.toml"
        secret = pathlib.Path(home) / "webhook-secret"
        secret.write_text("whsec-of-the-settings-check-0123456789\n")
        secret.chmod(0o600)
        text = text.replace("/etc/holdfast/webhook-secret", str(secret))
        http, raft = free_port(), free_port()
        file.write_text(text.replace(":8080", f":{http}").replace(":9080", f":{raft}"))
        command = [BINARY, "serve", "--config", file, "--data", f"{home}/data"]
        node = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = node.stdout.readline()
        node.send_signal(signal.SIGTERM)
        _, log = node.communicate(timeout=60)
        assert line.startswith("listening "), log


def main():
    known = flags()
    text = (ROOT / "deploy/holdfast.toml").read_text()
    keys = re.findall(r"^(?:# )?([a-z-]+) = ", text, re.MULTILINE)
    assert len(keys) > 20 and len(keys) == len(set(keys)), keys
    unknown = set(keys) - known
    assert not unknown, f"deploy/holdfast.toml has settings that serve does not know: {unknown}"
    start(text)
    # Comments with a setting become settings, but for those that need other nodes.
    commented = re.compile(r"^# ([a-z-]+)( = .*)$", re.MULTILINE)
    start(commented.sub(lambda m: m[0] if m[1] in NOT_ALONE else m[1] + m[2], text))

    for name in ("Dockerfile", "compose.yaml", "kubernetes/holdfast.yaml"):
        settings = re.findall(r"\bHOLDFAST_([A-Z_]+)\b", (ROOT / "deploy" / name).read_text())
        assert settings, name
        for setting in settings:
            # A comment of the manifests names a variable that Kubernetes would set.
            flag = setting.lower().replace("_", "-")
            assert flag in known or flag == "port", f"deploy/{name}: serve has no --{flag}"
    print("   every setting is a flag of serve, and a node starts with holdfast.toml")


if __name__ == "__main__":
    main()
