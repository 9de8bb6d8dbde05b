"""The jars of Apache Kafka, exactly those of `jars.lock`.

jgo brings each one; it is kept only when its SHA-256 is the pinned one. The folder appears in the cache at once and
whole, so a start that finds it needs no check and no network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sagalog.broker.cache import cache_folder, locked
from sagalog.broker.errors import BrokerExtraMissing, JarRejected

KAFKA_VERSION = "4.4.0"
"""The Kafka that is provided, whoever provides it."""

_LOCK_FILE = Path(__file__).with_name("jars.lock")


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinates(self) -> str:
        """`group:artifact:version`, as Maven writes it."""
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        """The name of the jar's file."""
        return f"{self.artifact}-{self.version}.jar"


def pinned_jars() -> tuple[Jar, ...]:
    """All jars of the lock file, in its order, which is the order of the class path."""
    lines = _LOCK_FILE.read_text().splitlines()
    return tuple(_parsed(line) for line in lines if line and not line.startswith("#"))


def _parsed(line: str) -> Jar:
    coordinates, sha256 = line.split()
    group, artifact, version = coordinates.split(":")
    return Jar(group, artifact, version, sha256)


def release_folder() -> Path:
    """The cache folder of this very set of jars: a changed lock file gets another one."""
    digest = hashlib.sha256(_LOCK_FILE.read_bytes()).hexdigest()[:12]
    return cache_folder() / f"kafka-{KAFKA_VERSION}-{digest}"


def class_path(say: Callable[[str], None]) -> str:
    """The class path of the verified jars, fetched at the first call on this machine.

    Raises `BrokerExtraMissing` without jgo, and `JarRejected` when a jar is not the pinned one.
    """
    folder = release_folder() / "jars"
    if not folder.is_dir():
        with locked(release_folder() / "jars.lock"):
            if not folder.is_dir():
                _fetch(folder, say)
    return os.pathsep.join(str(folder / jar.file_name) for jar in pinned_jars())


def _fetch(folder: Path, say: Callable[[str], None]) -> None:
    jars = pinned_jars()
    say(f"fetching Apache Kafka {KAFKA_VERSION}, {len(jars)} jars, once")
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        resolve, verified = _resolver(Path(scratch, "repository")), Path(scratch, "jars")
        verified.mkdir()
        with ThreadPoolExecutor(8) as pool:
            for jar, file in zip(jars, pool.map(resolve, jars), strict=True):
                check_jar(jar, file)
                shutil.move(file, verified / jar.file_name)
        verified.rename(folder)


def check_jar(jar: Jar, file: Path) -> None:
    """Raise `JarRejected` unless the file is the pinned jar."""
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    if actual != jar.sha256:
        raise JarRejected(jar.coordinates, expected=jar.sha256, actual=actual)


def _resolver(repository: Path) -> Callable[[Jar], Path]:
    try:
        from jgo.maven import MavenContext
    except ModuleNotFoundError as error:
        raise BrokerExtraMissing("jgo") from error

    context = MavenContext(repo_cache=repository, timeout=60)

    def resolve(jar: Jar) -> Path:
        return Path(context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve())

    return resolve
