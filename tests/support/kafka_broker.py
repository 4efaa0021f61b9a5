"""A real Kafka broker for tests: one KRaft node under the machine's Java, on loopback.

``scripts/kafka`` fetches the jars. A broker can be killed, paused and started again on its data.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
START_SECONDS_MAX = 60  # it takes about one and a half, on a machine with nothing else to do
STOP_SECONDS_MAX = 20
JVM = ["-Xms96m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]


def missing():
    """What to install for a broker, or None when there is all that it needs."""
    if shutil.which("java") is None:
        return "Kafka needs Java 17: apt-get install openjdk-17-jre-headless"
    done = subprocess.run(
        [ROOT / "scripts" / "kafka"], capture_output=True, text=True, timeout=300, check=False
    )
    return None if done.returncode == 0 else f"scripts/kafka failed: {done.stderr[-500:]}"


def _jars():
    (version,) = sorted((ROOT / "build" / "kafka").glob("*/lib/.complete"))[-1:]
    return sorted(str(jar) for jar in version.parent.glob("*.jar"))


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


def _cluster_id():
    """One that does not begin like an option of a command line."""
    while (text := urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return text


class KafkaBroker:
    """Context manager; ``address`` is what clients bootstrap from.

    Args:
        folder: for data and log; None: a temporary one.
        properties: more of the broker's.
        advertised: ``host:port`` that clients are sent to (a proxy); None: the broker itself.
    """

    def __init__(self, folder=None, *, properties=None, advertised=None):
        self._temporary = None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="lesto-kafka-")
            folder = self._temporary.name
        self.folder = Path(folder)
        self.port, self._controller_port = _free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self._advertised = advertised or self.address
        self._properties = properties or {}
        self._process = None
        self._jars = _jars()

    def _write_properties(self):
        properties = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "listeners": f"PLAINTEXT://{self.address},"
            f"CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self._advertised}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": self.folder / "data",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 2,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 2,
            "min.insync.replicas": 1,
            "group.initial.rebalance.delay.ms": 0,
            "auto.create.topics.enable": "false",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
            "controlled.shutdown.enable": "false",
            "broker.session.timeout.ms": 6000,
            "num.network.threads": 2,
            "num.io.threads": 2,
            "log.cleaner.dedupe.buffer.size": 4 << 20,
            # Tests write records of 1970; 30 s after its start the broker would remove them.
            "log.retention.ms": -1,
            **self._properties,
        }
        path = self.folder / "server.properties"
        path.write_text("".join(f"{k}={v}\n" for k, v in properties.items()))
        return path

    def _java(self, *arguments):
        return ["java", *JVM, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp",
                ":".join(self._jars), *map(str, arguments)]  # fmt: skip

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._write_properties()
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", path),
            check=False, capture_output=True, text=True, timeout=START_SECONDS_MAX,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        """Start on the data that is there; returns when clients may come."""
        assert self._process is None or self._process.poll() is not None
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", self.folder / "server.properties"),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.05)
        text = (self.folder / "broker.log").read_text()[-3000:]
        raise AssertionError(f"the broker does not start:\n{text}")

    @property
    def pid(self):
        """Of the Java process."""
        return self._process.pid

    def kill(self):
        """kill -9."""
        self._process.kill()
        self._process.wait()

    def pause(self):
        """SIGSTOP: connections stay open, nothing answers."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def resume(self):
        """SIGCONT."""
        os.kill(self._process.pid, signal.SIGCONT)

    def stop(self):
        """End it as an administrator does."""
        if self._process is None or self._process.poll() is not None:
            return
        self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def __exit__(self, *_):
        # Nobody needs its data any more: a clean end would take seconds.
        if self._process is not None and self._process.poll() is None:
            self.kill()
        if self._temporary is not None:
            self._temporary.cleanup()

    # ------------------------------------------------------------------------------ as a client

    def create_topic(self, name, partitions=1, config=None):
        """A new topic; returns when it can be used."""
        from confluent_kafka.admin import NewTopic

        admin = self.admin()
        topic = NewTopic(name, partitions, 1, config=config or {})
        for future in admin.create_topics([topic], operation_timeout=10).values():
            future.result(20)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            found = admin.list_topics(name, timeout=10).topics[name]
            if found.error is None and len(found.partitions) == partitions:
                return name
            time.sleep(0.02)
        raise AssertionError(f"topic {name} does not appear")

    def admin(self):
        """A client for administration."""
        from confluent_kafka.admin import AdminClient

        return AdminClient({"bootstrap.servers": self.address, "log_level": 0})

    def produce(self, topic, values, *, keys=None, partition=None, timestamps=None, headers=None):
        """Write messages outside transactions."""
        from confluent_kafka import Producer

        producer = Producer({"bootstrap.servers": self.address, "log_level": 0, "linger.ms": 1})
        for i, value in enumerate(values):
            more = {}
            if keys is not None:
                more["key"] = keys[i]
            if partition is not None:
                more["partition"] = partition
            if timestamps is not None:
                more["timestamp"] = timestamps[i]
            if headers is not None:
                more["headers"] = headers[i]
            producer.produce(topic, value, **more)
            producer.poll(0)
        assert producer.flush(30) == 0

    def read(self, topic, *, isolation="read_committed", timeout=20):
        """All messages of a topic up to its end at the moment, in the order of each partition."""
        from confluent_kafka import Consumer, KafkaError, TopicPartition

        consumer = Consumer({
            "bootstrap.servers": self.address, "group.id": uuid.uuid4().hex, "log_level": 0,
            "isolation.level": isolation, "enable.partition.eof": True, "enable.auto.commit": False,
        })  # fmt: skip
        try:
            found = consumer.list_topics(topic, timeout=10).topics[topic].partitions
            consumer.assign([TopicPartition(topic, p, 0) for p in found])
            left, messages = set(found), []
            deadline = time.monotonic() + timeout
            while left and time.monotonic() < deadline:
                for m in consumer.consume(1000, 0.1):
                    if m.error() is None:
                        messages.append(m)
                    elif m.error().code() == KafkaError._PARTITION_EOF:
                        left.discard(m.partition())
            assert not left, f"no end of the partitions {left} of {topic}"
            return messages
        finally:
            consumer.close()
