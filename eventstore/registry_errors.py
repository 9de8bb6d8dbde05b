"""What can be wrong with a schema registry behind HTTP. Each error says what to do, and none shows a secret."""

from __future__ import annotations

from typing import Final

from eventstore.errors import EventStoreError

AUTH_VARIABLE, TOKEN_VARIABLE = "SAGALOG_REGISTRY_AUTH", "SAGALOG_REGISTRY_TOKEN"
_NEXT: Final = {
    401: f"check the credentials (in the URL, {AUTH_VARIABLE} or {TOKEN_VARIABLE}) and what they may do",
    404: "check the path of the URL",
    405: "it may be one to read from only: register where schemas are written",
    422: "correct what it names, or register where schemas are written",
}


class RegistryError(EventStoreError):
    """A schema registry behind HTTP did not do what was asked."""


class RegistryUnreachable(RegistryError):
    """The registry does not answer, or fails: see to it, and to the network; nothing is lost."""

    is_retryable = True

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"the schema registry at {url} cannot be reached: {why}: check the URL and that it runs")
        self.url, self.why = url, why


class RegistryRefused(RegistryError):
    """The registry refused the request, or answered what cannot be: the message says what to correct."""

    def __init__(self, url: str, status: int, why: str, advice: str = "") -> None:
        did = "answered what cannot be used" if status in _SUCCESS else f"refused with status {status}"
        super().__init__(f"the schema registry at {url} {did}: {why}: {advice or _advice(status)}")
        self.url, self.status, self.why = url, status, why


class RegistryUrlInvalid(RegistryError, ValueError):
    """What was given is no URL of a registry."""

    def __init__(self, given: str) -> None:
        said = given.rpartition("@")[2].partition("?")[0]  # without credentials
        super().__init__(
            f"{said!r} is no URL of a schema registry: give http://host:port or https://host, such as "
            f"http://localhost:8081"
        )


class RegistryTokenInvalid(RegistryError):
    """The bearer token holds what no header can: set the variable to the token alone."""

    def __init__(self) -> None:
        super().__init__(
            f"the variable {TOKEN_VARIABLE} is no bearer token: it holds line breaks, or characters that are not "
            f"ASCII: set it to the token alone"
        )


class RegistryExtraMissing(RegistryError):
    """A registry behind HTTP is wanted, and its client is not installed."""

    def __init__(self) -> None:
        super().__init__("a registry behind HTTP needs the extra `registry`: pip install 'sagalog[registry]'")


_SUCCESS: Final = range(200, 300)
_REDIRECTS: Final = range(300, 400)


def _advice(status: int) -> str:
    if status in _SUCCESS:
        return "check that the URL is that of a schema registry, not of a login page or of another service"
    if status in _REDIRECTS:
        return "give the URL that it redirects to, or check that none asks for a login in between"
    known = _NEXT.get({403: 401, 407: 401, 409: 422}.get(status, status))
    return known or "correct what was asked, as it says"
