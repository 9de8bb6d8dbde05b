"""What a class does not declare, when it is read: one rule for a whole type, but for models that take more.

pydantic's own `extra=` goes for all that is read, and would empty models of ``extra="allow"``: what they hold beside
their fields is data, and is read whatever the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal, TypeAlias, cast

from pydantic_core import SchemaValidator

Rule: TypeAlias = Literal["ignore", "forbid"]

_BEHAVIORS: Final = ("extra_behavior", "extra_fields_behavior")
_VALUES: Final = frozenset({"default", "expected", "members", "metadata"})
"""What holds values of a user's, no types."""


def json_reader(validator: Any, schema: Any, rule: Rule) -> Callable[..., Any]:
    """What reads JSON as pydantic's `validate_json` does, by this rule.

    `validator` and `schema`: those of a complete class or adapter. A recursive type's inner ones follow the rule, too.
    """
    if not _keeps_more(schema):
        return partial(validator.validate_json, extra=rule)
    return SchemaValidator(_ruled(schema, rule), _use_prebuilt=False).validate_json


def _keeps_more(schema: Any) -> bool:
    if isinstance(schema, Mapping):
        content = cast("Mapping[str, Any]", schema)
        return any(content.get(each) == "allow" for each in _BEHAVIORS) or any(map(_keeps_more, _types(content)))
    return isinstance(schema, list | tuple) and any(map(_keeps_more, cast("Any", schema)))


def _types(content: Mapping[str, Any]) -> list[Any]:
    return [value for name, value in content.items() if name not in _VALUES]


def _ruled(schema: Any, rule: Rule) -> Any:
    if isinstance(schema, list | tuple):
        return type(cast("Any", schema))(_ruled(each, rule) for each in cast("Any", schema))
    if not isinstance(schema, Mapping):
        return schema
    content = cast("Mapping[str, Any]", schema)
    made = {name: value if name in _VALUES else _ruled(value, rule) for name, value in content.items()}
    if made.get("type") in ("model", "dataclass"):
        made["config"] = _with_rule(made.get("config", {}), "extra_fields_behavior", rule)
    if made.get("type") == "typed-dict" and made.get("config", {}).get("extra_fields_behavior") != "allow":
        return _with_rule(made, "extra_behavior", rule)
    return made


def _with_rule(content: dict[str, Any], name: str, rule: Rule) -> dict[str, Any]:
    return content if content.get(name) == "allow" else {**content, name: rule}
