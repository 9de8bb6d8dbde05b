"""A Kafka of its own that asks who is there: clients are `app`, by a password, and permissions can be taken away.

The plain listener is for the one who administers it, and may do everything. `app` may do what nobody forbade.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType

from sagalog.broker.cluster import LocalCluster
from sagalog.broker.ports import free_ports
from sagalog.broker.properties import written
from sagalog.broker.runtime import find_runtime
from tests.waiting import eventually

APP = "User:app"
LOGIN = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "app"}
PASSWORD = "not-a-secret"


class Guarded:
    """The cluster, as its administrator sees it."""

    def __init__(self, bootstrap: str, administered_at: str) -> None:
        self.options = {**LOGIN, "sasl.password": PASSWORD}
        self.bootstrap = bootstrap
        self._admin: Any = AdminClient({"bootstrap.servers": administered_at})

    @property
    def url(self) -> str:
        """What `app` opens."""
        return f"kafka://{self.bootstrap}?{urlencode(self.options)}"

    def forbid(self, kind: Any, name: str, operation: Any) -> None:
        """Let `app` do everything with a topic, group or transactional id, but this."""
        self._create(kind, name, AclOperation.ALL, AclPermissionType.ALLOW)
        self._create(kind, name, operation, AclPermissionType.DENY)
        eventually(lambda: self._denials(kind, name))

    def permit(self, kind: Any, name: str) -> None:
        """Take back what was forbidden."""
        for future in self._admin.delete_acls([_filter(kind, name)]).values():
            future.result()
        eventually(lambda: not self._denials(kind, name))

    def _create(self, kind: Any, name: str, operation: Any, permission: Any) -> None:
        binding = AclBinding(kind, name, ResourcePatternType.LITERAL, APP, "*", operation, permission)
        for future in self._admin.create_acls([binding]).values():
            future.result()

    def _denials(self, kind: Any, name: str) -> Any:
        return self._admin.describe_acls(_filter(kind, name)).result()


def _filter(kind: Any, name: str) -> Any:
    anywhere: Any = None
    return AclBindingFilter(
        kind, name, ResourcePatternType.LITERAL, APP, anywhere, AclOperation.ANY, AclPermissionType.DENY
    )


@contextmanager
def guarded_kafka(folder: Path) -> Generator[Guarded]:
    """Start one on a JVM of this machine, for the time of the block."""
    cluster = LocalCluster(find_runtime(lambda _: None), nodes=1, port=None, folder=folder)
    [port] = free_ports(1)
    properties = folder / "node-1" / "server.properties"
    told = dict(line.split("=", 1) for line in properties.read_text().splitlines())
    properties.write_text(written(told | _guard(told, port)))
    try:
        cluster.start()
        yield Guarded(f"127.0.0.1:{port}", cluster.bootstrap)
    finally:
        cluster.close(gently=False)


def _guard(told: dict[str, str], port: int) -> dict[str, str]:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "listeners": f"{told['listeners']},APP://127.0.0.1:{port}",
        "advertised.listeners": f"{told['advertised.listeners']},APP://127.0.0.1:{port}",
        "listener.security.protocol.map": f"{told['listener.security.protocol.map']},APP:SASL_PLAINTEXT",
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.app.plain.sasl.jaas.config": f'{module} required user_app="{PASSWORD}";',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "true",
    }
