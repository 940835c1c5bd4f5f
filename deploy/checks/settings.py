"""Checks that every setting in deploy/ is a flag of this version of `holdfast serve`.

Looks at the keys of holdfast.toml, those in comments too, and at HOLDFAST_… in the files for Docker and
Kubernetes. A node must start with holdfast.toml, with each key in a comment as well, and with the
environments of containers. Needs root, for a network namespace.
"""

import os
import pathlib
import re
import signal
import subprocess
import tempfile

import yaml
from cluster import BINARY, ROOT, free_port

# Settings that need files or other nodes, so that a node alone cannot start with them.
NOT_ALONE = {"join", "replaces", "gateway-url", "gateway-secret-file"}


def flags():
    """The long flags of `holdfast serve`."""
    text = subprocess.run([BINARY, "serve", "--help"], check=True, capture_output=True, text=True)
    return set(re.findall(r"^ +(?:-\w, )?--([a-z-]+)", text.stdout, re.MULTILINE))


def listen(owner, command, environment):
    """Runs a node until it listens, and ends it."""
    node = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"]} | environment,
    )
    line = node.stdout.readline()
    node.send_signal(signal.SIGTERM)
    _, log = node.communicate(timeout=60)
    assert line.startswith("listening "), f"deploy/{owner}: {log}"


def start(text):
    """Starts a node with this configuration and waits until it listens."""
    with tempfile.TemporaryDirectory() as home:
        file = pathlib.Path(home) / "holdfast.toml"
        secret = pathlib.Path(home) / "webhook-secret"
        secret.write_text("whsec-of-the-settings-check-0123456789\n")
        secret.chmod(0o600)
        for made in (["create-ca", "--cluster", "holdfast"], ["create-node", "--id", "1"]):
            subprocess.run([BINARY, "certs", *made, "--dir", home], check=True, capture_output=True)
        text = text.replace("/etc/holdfast/", f"{home}/")
        http, raft = free_port(), free_port()
        file.write_text(text.replace(":8080", f":{http}").replace(":9080", f":{raft}"))
        command = [BINARY, "serve", "--config", file, "--data", f"{home}/data"]
        listen("holdfast.toml", command, {})


def of_image():
    """The environment that the image sets."""
    text = (ROOT / "deploy/Dockerfile").read_text()
    return dict(re.findall(r"\b(HOLDFAST_[A-Z_]+)=(\S+)", text))


def of_compose():
    """The environment of a node in compose.yaml."""
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    return of_image() | compose["services"]["holdfast-1"]["environment"]


def of_kubernetes():
    """The environment of the first pod of the StatefulSet."""
    documents = yaml.safe_load_all((ROOT / "deploy/kubernetes/holdfast.yaml").read_text())
    pods = next(one for one in documents if one["kind"] == "StatefulSet")["spec"]["template"]
    (container,) = pods["spec"]["containers"]
    known = {"POD_NAME": "holdfast-1", "POD_NAMESPACE": "default", "HOLDFAST_ID": "1"}
    for variable in container["env"]:
        if "value" in variable:
            text = variable["value"]
            for name in re.findall(r"\$\((\w+)\)", text):
                text = text.replace(f"$({name})", known[name])
            known[variable["name"]] = text
        assert variable["name"] in known, variable
    return of_image() | known


def start_exposed(owner, environment):
    """Starts a node on all addresses, as a container does, in a network that reaches nobody."""
    with tempfile.TemporaryDirectory() as home:
        secret = pathlib.Path(home) / "webhook-secret"
        secret.write_text("whsec-of-the-settings-check-0123456789\n")
        secret.chmod(0o600)
        environment = environment | {"HOLDFAST_DATA": f"{home}/data"}
        if "HOLDFAST_WEBHOOK_SECRET_FILE" in environment:
            environment["HOLDFAST_WEBHOOK_SECRET_FILE"] = str(secret)
        # The names of the other nodes mean nothing here, and need not: it only has to listen.
        listen(owner, ["unshare", "--net", BINARY, "serve"], environment)


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

    start_exposed("compose.yaml", of_compose())
    start_exposed("kubernetes/holdfast.yaml", of_kubernetes())

    for name in ("Dockerfile", "compose.yaml", "kubernetes/holdfast.yaml"):
        settings = re.findall(r"\bHOLDFAST_([A-Z_]+)\b", (ROOT / "deploy" / name).read_text())
        assert settings, name
        for setting in settings:
            # A comment of the manifests names a variable that Kubernetes would set.
            flag = setting.lower().replace("_", "-")
            assert flag in known or flag == "port", f"deploy/{name}: serve has no --{flag}"
    print("   every setting is a flag of serve, and nodes start with them")


if __name__ == "__main__":
    main()
