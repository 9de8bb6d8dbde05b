"""Find the service that `MODULE:SERVICE` names, and the messages of a module."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

from consumers.service import Service
from schemas import Message
from schemas._checks import is_generic

_PACKAGES = ("schemas", "eventstore", "consumers", "sagas")


class ServiceNotLoaded(Exception):
    """`MODULE:SERVICE` names no service. The message says what to correct."""


def load_service(target: str) -> Service:
    """The service that `target` names, its module found from the working directory too.

    What the module itself raises comes through.

    Raises:
        ServiceNotLoaded: no such module, no such name in it, or it is no service.
    """
    name, _, attribute = target.partition(":")
    module = _module_of(name)
    if module != name or not (attribute.isidentifier() and _is_dotted(name)):
        raise ServiceNotLoaded(f"{target!r} names no service: {_meant(module, attribute)}")
    found = vars(load_module(name)).get(attribute)
    if found is None:
        raise ServiceNotLoaded(f"the module {name} has no {attribute!r}{_offer(name)}")
    if not isinstance(found, Service):
        raise ServiceNotLoaded(f"{target} is no Service but {_kind(found)}{_offer(name)}")
    return found


def load_module(name: str) -> ModuleType:
    """The module, found from the working directory too."""
    if not _is_dotted(name):
        raise ServiceNotLoaded(f"{name!r} names no module: give it as Python imports it, such as shop.messages")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ServiceNotLoaded(
            f"there is no module {name!r}: run from the folder that holds its package, or install it"
        ) from error


def messages_of(name: str) -> list[type[Message]]:
    """The message classes that a module defines, or all modules of a package, by name and version.

    What a module itself raises comes through.

    Raises:
        ServiceNotLoaded: there is no such module.
    """
    module = load_module(name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), f"{name}."):
        if not found.name.endswith(".__main__"):
            importlib.import_module(found.name)
    messages = [each for each in _subclasses(Message) if f"{each.__module__}.".startswith(f"{name}.")]
    own = [each for each in messages if not is_generic(each)]
    return sorted(own, key=lambda each: (each.__type_name__, each.__type_version__))


def _subclasses(owner: type[Message]) -> list[type[Message]]:
    found = [each for child in owner.__subclasses__() for each in (child, *_subclasses(child))]
    return list(dict.fromkeys(found))


def _kind(found: object) -> str:
    """What it is, in words; of a class what it is derived from."""
    if isinstance(found, type):
        bases = [base.__name__ for base in found.__mro__[1:] if base.__module__.split(".")[0] in _PACKAGES]
        return f"the class {found.__name__}" + (f", derived from {bases[-1]}" if bases else "")
    return f"a {type(found).__name__}"


def _module_of(name: str) -> str:
    """The module that a file holds, such as shop.app of shop/app.py; what names no file stays as it is."""
    return name.removesuffix(".py").replace("/", ".") if name.endswith(".py") and Path(name).is_file() else name


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _meant(module: str, attribute: str) -> str:
    """What to give: the service of that name, or those that the module has."""
    if _is_dotted(module):
        if attribute.isidentifier():
            return f"did you mean {module}:{attribute}?"
        with suppress(ServiceNotLoaded):
            load_module(module)
            if services := _services(module):
                return f"did you mean {' or '.join(services)}?"
    return "give MODULE:SERVICE, such as shop.app:service"


def _offer(name: str) -> str:
    if services := _services(name):
        return f": did you mean {' or '.join(services)}?"
    return ": define one there, service = Service(…)"


def _services(name: str) -> list[str]:
    """The services of a module that was loaded, each as MODULE:SERVICE."""
    found = vars(sys.modules[name]).items()
    return [f"{name}:{attribute}" for attribute, each in found if isinstance(each, Service)]
