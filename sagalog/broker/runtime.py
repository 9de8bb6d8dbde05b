"""Everything a start needs that is made once per machine: jars, a formatted folder, an AOT cache.

The formatted folder is a template: node and directory ids are rewritten in each copy, ports are not part of it. The
AOT cache holds classes as the JVM had loaded them at the end of a training run and halves the time to start. It
is good for the very same Java and jars only, so both are in its name; where it cannot be made, Kafka starts without.
Several processes may come here at once: one makes a thing, the others wait for it, or go without the AOT cache.
"""

from __future__ import annotations

import base64
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sagalog.broker.cache import locked
from sagalog.broker.errors import BrokerError, BrokerNotStarted
from sagalog.broker.jars import class_path, release_folder
from sagalog.broker.java import Java, find_java
from sagalog.broker.properties import Address, local_properties, written

_JVM = ("-Xmx512m", "-Xms96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
"""Small, and with the quick compiler alone: who lives for a test does not live to see the other one's work."""
OPTIMISING = "-XX:TieredStopAtLevel=4"
"""Both compilers, as a broker has them that nobody told otherwise."""
_LOG = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")

Say = Callable[[str], None]
"""Told of work that takes seconds and is done once per machine."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A Java and the jars to run Kafka with."""

    java: Java
    class_path: str

    def command(self, main: str, arguments: Sequence[str], *options: str) -> list[str]:
        """The command line that runs a main class of Kafka."""
        return [str(self.java.program), *_JVM, *_LOG, *options, "-cp", self.class_path, main, *arguments]

    def server(self, properties: Path, *options: str) -> list[str]:
        """The command line of a broker. It uses the AOT cache if there is one and no option says that it makes one."""
        cache = self.aot_cache
        if cache.exists() and not any("AOTCache" in option for option in options):
            options = (*options, f"-XX:AOTCache={cache}", "-Xlog:aot=off", "-Xlog:cds=off")
        return self.command("kafka.Kafka", [str(properties)], *options)

    @property
    def aot_cache(self) -> Path:
        """Where the AOT cache of this Java is, or would be."""
        return release_folder() / f"{self.java.fingerprint}.aot"

    @property
    def template(self) -> Path:
        """The formatted folder to copy."""
        return release_folder() / "formatted"


def find_runtime(say: Say) -> Runtime:
    """The runtime with its formatted folder, made when missing. Raises `BrokerError` where that cannot be done."""
    runtime = Runtime(find_java(), class_path(say))
    if not runtime.template.is_dir():
        with locked(release_folder() / "formatted.lock"):
            if not runtime.template.is_dir():
                _format(runtime)
    return runtime


def make_aot_cache(runtime: Runtime, say: Say, train: Callable[[str, Path], None]) -> None:
    """Make the AOT cache unless it is there, cannot be made by this Java, or is being made by another process.

    `train` runs a broker with the option it is given, in the folder it is given, and stops it in peace.
    """
    if runtime.aot_cache.exists() or not runtime.java.makes_aot_cache or _refused(runtime).exists():
        return
    with locked(release_folder() / "aot.lock", wait=False) as held:
        if held and not runtime.aot_cache.exists():
            say("preparing quick starts of Kafka, once")
            _train(runtime, train)


def _train(runtime: Runtime, train: Callable[[str, Path], None]) -> None:
    with tempfile.TemporaryDirectory(dir=release_folder(), prefix="training-") as scratch:
        made = Path(scratch, "cache")
        try:
            train(f"-XX:AOTCacheOutput={made}", Path(scratch))
            made.rename(runtime.aot_cache)
        except (BrokerError, OSError) as error:
            _refused(runtime).write_text(f"{error}\n")


def _refused(runtime: Runtime) -> Path:
    """Says why this Java makes no cache, so that it is not tried again at each start."""
    return runtime.aot_cache.with_suffix(".refused")


def _format(runtime: Runtime) -> None:
    with tempfile.TemporaryDirectory(dir=release_folder()) as scratch:
        data, properties = Path(scratch, "data"), Path(scratch, "server.properties")
        address = Address(node=1, port=9092, controller_port=9093)
        properties.write_text(written(local_properties([address], address, str(data))))
        command = runtime.command("kafka.tools.StorageTool", ["format", "-t", _new_id(), "-c", str(properties)])
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise BrokerNotStarted("Kafka's storage tool failed: " + done.stderr[-2000:], None, "")
        data.rename(runtime.template)


def copy_formatted(runtime: Runtime, data: Path, node: int, cluster_id: str) -> None:
    """Give a node its formatted folder. A folder that is there is kept: it holds somebody's records."""
    if (data / "meta.properties").exists():
        return
    shutil.copytree(runtime.template, data, dirs_exist_ok=True)
    facts = {"cluster.id": cluster_id, "directory.id": _new_id(), "node.id": str(node), "version": "1"}
    (data / "meta.properties").write_text(written(facts))


def _new_id() -> str:
    """An id as Kafka writes it: 16 random bytes in base64 for URLs, without padding, never with a leading dash."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        continue
    return text


new_cluster_id = _new_id
