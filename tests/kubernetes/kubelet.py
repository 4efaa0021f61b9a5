"""A stand-in for the kubelet, the network and the DNS of a Kubernetes node.

The API server and the controllers are real (scripts/kube); this runs the pods that they make, as
processes of this machine with what a pod promises:

* a network namespace with an address on a bridge, a PID namespace, a root of its own (an overlay
  over this machine's), which is read-only if the pod asks for it, the pod's volumes, user 9999
  without capabilities;
* the service account's token only where it is mounted, projected as the kubelet does;
* probes over HTTP, restarts, termination with SIGTERM and the grace period;
* names of services in /etc/hosts, with the addresses of the pods that are ready.

What it is not: a container runtime (the image is this checkout), a scheduler, a CNI plug-in
(network policies are not enforced), a storage provisioner (a claim is a folder).

Needs root, and `ip`, `unshare`, `setpriv`, `mount`.
"""

import base64
import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USER = 9999
TOOLS = ("ip", "unshare", "setpriv", "mount", "umount", "chroot")
NODE = "stand-in"

_ENTER = r"""
set -e
mount -t overlay overlay -o lowerdir=/,upperdir=$DIR/upper,workdir=$DIR/work $DIR/root
mount --bind /dev $DIR/root/dev
mkdir -p $DIR/root/dev/shm
mount -t tmpfs tmpfs $DIR/root/dev/shm
mount -t proc proc $DIR/root/proc
chmod 755 $DIR/root/root
mount --bind $KERNELS $DIR/root$KERNELS
while read -r source target mode; do
    target=$(chroot "$DIR/root" realpath -m "$target")  # /var/run is a link, which leads out of it
    if [ -d "$source" ]; then mkdir -p "$DIR/root$target"
    else mkdir -p "$(dirname "$DIR/root$target")"; touch "$DIR/root$target"; fi
    mount --bind "$source" "$DIR/root$target"
    if [ "$mode" = ro ]; then mount -o remount,bind,ro "$DIR/root$target"; fi
done <$DIR/mounts
if [ "$READONLY" = 1 ]; then mount -o remount,ro $DIR/root; fi
cd $DIR/root
exec chroot $DIR/root setpriv --reuid=9999 --regid=9999 --groups=9999 --no-new-privs \
    --inh-caps=-all --bounding-set=-all env -i -C /tmp "$@"
"""


def is_missing():
    """Why it cannot run here; empty: it can."""
    if os.geteuid() != 0:
        return "needs root, for namespaces and mounts"
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        return f"needs {', '.join(missing)}: apt-get install iproute2 util-linux"
    return ""


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)


class Bridge:
    """The node's network: 10.x.y.0/24 on a bridge of its own."""

    def __init__(self):
        self.name = f"lk{secrets.token_hex(3)}"
        self._prefix = f"10.{secrets.randbelow(60) + 190}.{secrets.randbelow(250)}"
        self._next, self._names, self._lock = 1, [], threading.Lock()
        self.address = f"{self._prefix}.1"

    def __enter__(self):
        run("ip", "link", "add", self.name, "type", "bridge")
        run("ip", "addr", "add", f"{self.address}/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up")
        if shutil.which("iptables"):  # Docker, where it runs, forwards nothing but its own
            run("iptables", "-I", "FORWARD", "-i", self.name, "-o", self.name, "-j", "ACCEPT")
        return self

    def __exit__(self, *_):
        if shutil.which("iptables"):
            run("iptables", "-D", "FORWARD", "-i", self.name, "-o", self.name, "-j", "ACCEPT")
        for name in list(self._names):
            self.leave(name)
        run("ip", "link", "del", self.name)

    def join(self):
        """(name of a network namespace, its address)."""
        with self._lock:
            self._next += 1
            number = self._next
        name, address = f"{self.name}-{number}", f"{self._prefix}.{number}"
        run("ip", "netns", "add", name)
        self._names.append(name)
        outer, inner = f"{self.name}v{number}"[:15], "eth0"
        run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        run("ip", "link", "set", outer, "master", self.name, "up")
        run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", inner)
        run("ip", "-n", name, "link", "set", inner, "up")
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name, address

    def leave(self, name):
        if name in self._names:
            self._names.remove(name)
            run("ip", "netns", "del", name)


class Container:
    """One container of a pod: a process, its log, its restarts."""

    def __init__(self, pod, spec, *, init):
        self.pod, self.spec, self.init = pod, spec, init
        self.process, self.restarts, self.ended, self.message = None, 0, None, ""
        self.started_at, self.ready, self.failures, self.next_start = 0.0, False, 0, 0.0
        self.passed_startup = False
        self.log = pod.dir / f"{spec['name']}.log"

    def start(self):
        pod, name = self.pod, f"{self.spec['name']}-{self.restarts}"
        folder = pod.dir / name
        for part in ("upper", "work", "root"):
            (folder / part).mkdir(parents=True)
        mounts = [
            (pod.volume(mount["name"], mount.get("subPath", "")), mount["mountPath"],
             "ro" if mount.get("readOnly") else "rw")
            for mount in self.spec.get("volumeMounts", ())
        ]  # fmt: skip
        mounts.append((pod.kubelet.hosts, "/etc/hosts", "ro"))
        lines = [" ".join(map(str, mount)) for mount in mounts]
        (folder / "mounts").write_text("".join(f"{line}\n" for line in lines))
        read_only = self.spec.get("securityContext", {}).get("readOnlyRootFilesystem", False)
        environment = {
            "PATH": os.environ["PATH"], "DIR": str(folder), "READONLY": "1" if read_only else "0",
            "KERNELS": str(pod.kubelet.kernels),
        }  # fmt: skip
        inside = [f"{key}={value}" for key, value in self.environment().items()]
        command = self.spec.get("command") or [str(ROOT / ".venv/bin/lesto")]
        if command[0] == "python":
            command = [str(ROOT / ".venv/bin/python"), *command[1:]]
        command = [*command, *map(self.expand, self.spec.get("args", ()))]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["ip", "netns", "exec", pod.namespace,
                 "unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                 "--kill-child=SIGKILL", "sh", "-c", _ENTER, "sh", *inside, *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                start_new_session=True,
            )  # fmt: skip
        self.started_at, self.ready, self.failures, self.ended = time.monotonic(), False, 0, None
        self.passed_startup = "startupProbe" not in self.spec

    def environment(self):
        found = {
            "PATH": f"{ROOT}/.venv/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp",
            "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1",
            "NUMBA_CACHE_DIR": str(self.pod.kubelet.kernels),
            "KUBERNETES_SERVICE_HOST": self.pod.kubelet.api_host,
            "KUBERNETES_SERVICE_PORT": str(self.pod.kubelet.api_port),
        }  # fmt: skip
        for source in self.spec.get("envFrom", ()):
            secret = self.pod.kubelet.get(
                f"/api/v1/namespaces/{self.pod.where}/secrets/{source['secretRef']['name']}"
            )
            for key, value in (secret.get("data") or {}).items():
                found[key] = base64.b64decode(value).decode()
        for item in self.spec.get("env", ()):
            found[item["name"]] = self.value_of(item, found)
        return found

    def value_of(self, item, found):
        source = item.get("valueFrom")
        if not source:
            return self.expand(item.get("value", ""), found)
        if "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "status.podIP"
            return self.pod.address
        wanted = source["secretKeyRef"]
        secret = self.pod.kubelet.get(
            f"/api/v1/namespaces/{self.pod.where}/secrets/{wanted['name']}"
        )
        return base64.b64decode(secret["data"][wanted["key"]]).decode()

    def expand(self, text, known=None):
        known = {"POD_IP": self.pod.address} if known is None else known
        return re.sub(r"\$\((\w+)\)", lambda match: known.get(match[1], match[0]), text)

    def main_pid(self):
        """Of the process that is the container's first."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            found = children.read_text().split()
        except OSError:
            return None
        return int(found[0]) if found else None

    def signal(self, number):
        pid = self.main_pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def poll(self):
        """Whether it has ended; takes note of it."""
        if self.process is None or self.ended is not None:
            return self.ended is not None
        code = self.process.poll()
        if code is None:
            return False
        self.ended, self.ready = code, False
        if code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            self.message = self.log.read_bytes()[-2048:].decode(errors="replace")
        return True

    def probe(self):
        """One look: startup, then readiness and liveness."""
        if self.process is None or self.ended is not None:
            return
        if not self.passed_startup:
            self.passed_startup = self.ask(self.spec["startupProbe"])
            return
        readiness, liveness = self.spec.get("readinessProbe"), self.spec.get("livenessProbe")
        self.ready = self.ask(readiness) if readiness else True
        if liveness and not self.ask(liveness):
            self.failures += 1
            if self.failures >= 5 * liveness.get("failureThreshold", 3):
                self.signal(signal.SIGKILL)
        else:
            self.failures = 0

    def ask(self, probe):
        get = probe["httpGet"]
        port = next(p["containerPort"] for p in self.spec["ports"] if p["name"] == get["port"])
        connection = http.client.HTTPConnection(self.pod.address, port, timeout=2)
        try:
            connection.request("GET", get["path"])
            return 200 <= connection.getresponse().status < 400
        except OSError:
            return False
        finally:
            connection.close()

    def status(self):
        if self.process is None:
            state = {"waiting": {"reason": "PodInitializing"}}
        elif self.ended is None:
            state = {"running": {}}
        else:
            reason = "Completed" if self.ended == 0 else "Error"
            ended = {"exitCode": self.ended % 256, "reason": reason, "message": self.message}
            state = {"terminated": ended}
        return {
            "name": self.spec["name"], "image": self.spec["image"], "imageID": "",
            "ready": self.ready or (self.init and self.ended == 0),
            "restartCount": self.restarts, "state": state, "started": self.passed_startup,
        }  # fmt: skip


class Pod:
    """A pod on this node."""

    def __init__(self, kubelet, found):
        self.kubelet, self.found = kubelet, found
        self.name, self.where = found["metadata"]["name"], found["metadata"]["namespace"]
        self.uid, self.spec = found["metadata"]["uid"], found["spec"]
        self.dir = kubelet.dir / "pods" / self.uid
        self.dir.mkdir(parents=True)
        self.namespace, self.address = kubelet.bridge.join()
        self._volumes = {}
        self.inits = [Container(self, c, init=True) for c in self.spec.get("initContainers", ())]
        self.containers = [Container(self, c, init=False) for c in self.spec["containers"]]
        self.shown, self.terminating_since, self.gone = None, None, False

    def volume(self, name, sub_path):
        if name not in self._volumes:
            spec = next(v for v in self.spec["volumes"] if v["name"] == name)
            self._volumes[name] = self._make_volume(name, spec)
        return self._volumes[name] / sub_path if sub_path else self._volumes[name]

    def _make_volume(self, name, spec):
        folder = self.dir / "volumes" / name
        if "persistentVolumeClaim" in spec:
            folder = self.kubelet.dir / "claims" / spec["persistentVolumeClaim"]["claimName"]
        folder.mkdir(parents=True, exist_ok=True)
        os.chown(folder, USER, USER)
        if "configMap" in spec:
            self._write_config(folder, spec["configMap"]["name"])
        if "secret" in spec:
            secret = self.kubelet.get(
                f"/api/v1/namespaces/{self.where}/secrets/{spec['secret']['secretName']}"
            )
            for key, value in secret["data"].items():
                (folder / key).write_bytes(base64.b64decode(value))
        for source in spec.get("projected", {}).get("sources", ()):
            self._project(folder, source)
        return folder

    def _write_config(self, folder, name):
        found = self.kubelet.get(f"/api/v1/namespaces/{self.where}/configmaps/{name}")
        for key, value in found["data"].items():
            (folder / key).write_text(value)

    def _project(self, folder, source):
        if "serviceAccountToken" in source:
            account = self.spec["serviceAccountName"]
            path = f"/api/v1/namespaces/{self.where}/serviceaccounts/{account}/token"
            reference = {"kind": "Pod", "apiVersion": "v1", "name": self.name, "uid": self.uid}
            body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                    "spec": {"expirationSeconds": 3607, "boundObjectRef": reference}}  # fmt: skip
            made = self.kubelet.call("POST", path, body)
            target = folder / source["serviceAccountToken"]["path"]
            target.write_text(made["status"]["token"])
        if "configMap" in source:
            self._write_config(folder, source["configMap"]["name"])
        if "downwardAPI" in source:
            (folder / "namespace").write_text(self.where)

    def step(self):
        """Start, watch, end."""
        if self.terminating_since is not None:
            self._terminate()
            return
        for container in self.inits:
            if container.process is None:
                container.start()
                break
            if not container.poll():
                break
            if container.ended != 0:
                self._again(container)
                break
        else:
            for container in self.containers:
                if container.process is None:
                    container.start()
                if container.poll():
                    self._again(container)
                container.probe()

    def _again(self, container):
        policy = self.spec.get("restartPolicy", "Always")
        if policy == "Never" or (policy == "OnFailure" and container.ended == 0):
            return
        if not container.next_start:
            container.next_start = time.monotonic() + min(0.5 * 2**container.restarts, 10)
        elif time.monotonic() >= container.next_start:
            container.restarts, container.next_start = container.restarts + 1, 0.0
            container.start()

    def terminate(self):
        if self.terminating_since is None:
            self.terminating_since = time.monotonic()
            for container in (*self.inits, *self.containers):
                if container.process is not None and not container.poll():
                    container.signal(signal.SIGTERM)

    def _terminate(self):
        waited = time.monotonic() - self.terminating_since
        alive = [c for c in (*self.inits, *self.containers) if c.process and not c.poll()]
        if alive and waited > self.spec.get("terminationGracePeriodSeconds", 30):
            for container in alive:
                container.kill = container.signal(signal.SIGKILL)
        if not alive:
            self.kubelet.bridge.leave(self.namespace)
            self.gone = True

    def kill(self):
        """At once, as when memory runs out: the kubelet sees it and starts them again."""
        for container in (*self.inits, *self.containers):
            if container.process is not None and container.process.poll() is None:
                container.signal(signal.SIGKILL)

    def status(self):
        policy = self.spec.get("restartPolicy", "Always")
        every = [*self.inits, *self.containers]
        phase = "Running" if any(c.process for c in every) else "Pending"
        ended = [c.ended for c in self.containers]
        if policy == "Never" and any(c.ended for c in every):
            phase = "Failed"
        elif policy != "Always" and all(code == 0 for code in ended):
            phase = "Succeeded"
        ready = phase == "Running" and all(c.ready for c in self.containers)
        value = "True" if ready else "False"
        return {
            "phase": phase, "podIP": self.address, "podIPs": [{"ip": self.address}],
            "hostIP": self.kubelet.bridge.address,
            "conditions": [
                {"type": kind, "status": value} for kind in ("Ready", "ContainersReady")
            ],
            "containerStatuses": [c.status() for c in self.containers],
            "initContainerStatuses": [c.status() for c in self.inits],
        }  # fmt: skip

    @property
    def ready(self):
        return self.terminating_since is None and all(c.ready for c in self.containers)


class Kubelet:
    """Runs the pods of all namespaces until it is left.

    Args:
        api: a connection as administrator (lesto.client.operator.http.JsonHttp).
        folder: for pods, claims and logs.
        bridge: the network.
        kernels: compiled kernels of the image, writable.
    """

    def __init__(self, api, folder, bridge, kernels):
        self.api, self.dir, self.bridge, self.kernels = api, Path(folder), bridge, Path(kernels)
        self.api_host, _, self.api_port = api.base.removeprefix("https://").rpartition(":")
        self.hosts = self.dir / "hosts"
        self.pods, self.errors = {}, []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kubelet")

    def __enter__(self):
        self.dir.mkdir(parents=True, exist_ok=True)
        (self.dir / "claims").mkdir()
        for folder in (self.dir, *self.dir.parents):
            if folder.stat().st_mode & 0o005 != 0o005 and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o055)
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.kernels.mkdir(parents=True, exist_ok=True)
        os.chown(self.kernels, USER, USER)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        for pod in self.pods.values():
            pod.kill()
        for pod in self.pods.values():
            for container in (*pod.inits, *pod.containers):
                if container.process is not None:
                    container.process.wait(20)

    def call(self, method, path, body=None, kind="application/json"):
        answer = self.api.call(method, path, body, kind)
        assert 200 <= answer.status < 300, (method, path, answer)
        return answer.body

    def get(self, path):
        return self.call("GET", path)

    def _run(self):
        while not self._stop.is_set():
            try:
                self._turn()
            except Exception as error:  # shown by the test that fails of it
                self.errors.append(repr(error))
            self._stop.wait(0.2)

    def _turn(self):
        seen = set()
        for found in self.get("/api/v1/pods")["items"]:
            uid = found["metadata"]["uid"]
            seen.add(uid)
            if found["status"].get("phase") in {"Succeeded", "Failed"}:
                if uid in self.pods and found["metadata"].get("deletionTimestamp"):
                    self.pods[uid].terminate()
                elif found["metadata"].get("deletionTimestamp"):
                    self._delete(found)
            if uid not in self.pods:
                if found["metadata"].get("deletionTimestamp"):
                    self._delete(found)
                    continue
                self._bind(found)
                self.pods[uid] = Pod(self, found)
            if found["metadata"].get("deletionTimestamp"):
                self.pods[uid].terminate()
        for uid, pod in list(self.pods.items()):
            if uid not in seen:
                pod.terminate()
            pod.step()
            if pod.gone:
                del self.pods[uid]
                if uid in seen:
                    self._delete(pod.found)
                continue
            self._tell(pod)
        self._write_hosts()

    def _bind(self, found):
        meta = found["metadata"]
        if found["spec"].get("nodeName"):
            return
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}}  # fmt: skip
        self.call(
            "POST", f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding", body
        )

    def _delete(self, found):
        meta = found["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self.api.call("DELETE", path, {"gracePeriodSeconds": 0})

    def _tell(self, pod):
        status = pod.status()
        text = json.dumps(status, sort_keys=True)
        if text == pod.shown:
            return
        path = f"/api/v1/namespaces/{pod.where}/pods/{pod.name}/status"
        answer = self.api.call("PATCH", path, {"status": status}, "application/merge-patch+json")
        if answer.status == 200:
            pod.shown = text

    def _write_hosts(self):
        lines = ["127.0.0.1 localhost"]
        for service in self.get("/api/v1/services")["items"]:
            wanted = (service["spec"].get("selector") or {}).items()
            for pod in self.pods.values():
                labels = pod.found["metadata"].get("labels") or {}
                if wanted and wanted <= labels.items() and pod.ready:
                    lines.append(f"{pod.address} {service['metadata']['name']}")
        text = "".join(f"{line}\n" for line in lines)
        if self.hosts.read_text() != text:
            with self.hosts.open("r+") as file:  # in place: it is mounted in pods
                file.write(text)
                file.truncate()
