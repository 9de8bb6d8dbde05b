"""Messages to bytes and back.

The value of a record is the wire format (`schemas.wire`) around a payload of one format. A schema id stands for a
type name, a version and the fields as they were when it was written. What is written with an older version is raised
to the newest that this code has, step by step (`schemas.evolution`); what has fields that this code's class has no
more, or lacks some that have defaults, is read as the class is now.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, cast

from schemas._checks import refuse_parameters
from schemas.answers import Failure, Nothing
from schemas.avro import AvroCodec
from schemas.codec import Codec, Decode, Encode
from schemas.compatibility import problems
from schemas.error_text import error_reason
from schemas.errors import (
    SchemaConflict,
    SchemaError,
    Undecodable,
    Unencodable,
    UnknownSchema,
    UnknownType,
    UpcastMissing,
)
from schemas.json_codec import JsonCodec
from schemas.messages import Command, Message, Undo, answers, is_command
from schemas.personal_fields import check_sealed, holds_personal
from schemas.registry import Registry
from schemas.schema import Format, Schema, TypeName
from schemas.wire import HEADER_BYTES, header_of, schema_id_of


class Serde:
    """Encodes and decodes messages whose schemas are in a registry. Any thread may use it."""

    def __init__(
        self,
        registry: Registry,
        messages: Iterable[type[Message]] = (),
        *,
        format: Format = "avro",
    ) -> None:
        """Register `messages` and write in `format`; both formats are read.

        Raises:
            SchemaConflict, FieldNotSupported: as for `register`.
        """
        self._registry = registry
        self._codecs: dict[Format, Codec] = {"avro": AvroCodec(), "json": JsonCodec()}
        self._codec = self._codecs[format]
        self._lock = threading.RLock()
        self._classes: dict[TypeName, type[Message]] = {}
        self._newest: dict[str, type[Message]] = {}
        self._encoders: dict[type[Message], Encode] = {}
        self._decoders: dict[bytes, Decode] = {}
        self._types: dict[bytes, TypeName] = {}
        for internal in (Nothing, Failure):
            self._know(internal)
        self.register(messages)

    def register(self, messages: Iterable[type[Message]]) -> None:
        """Make classes known, answers of commands too, and put their schemas into the registry if they are not there.

        Raises:
            SchemaConflict: another class has the same type name and version.
            FieldNotSupported: a field has no form in the format.
            DefinitionError: a generic class with its parameters filled in has no name.
            Incompatible: a schema was changed as the mode of its subject forbids.
            UpcastMissing: an older version is in the registry, and neither its class nor steps from it are here.
        """
        with self._lock:
            wanted = [message for message in dict.fromkeys(messages) if message not in self._encoders]
            for message in wanted:
                self._know(message)
            schemas = [self._codec.schema_of(message) for message in wanted]
            for message, schema in zip(wanted, schemas, strict=True):
                self._check_upcasts(message, schema)
            ids = self._registry.register_many([(schema.name, schema) for schema in schemas])
            for message, id in zip(wanted, ids, strict=True):
                encoder = self._codec.encoder(message, header_of(id))
                self._encoders[message] = _sealed_only(encoder) if holds_personal(message) else encoder

    def _check_upcasts(self, message: type[Message], current: Schema) -> None:
        name, version = message.__type_name__, message.__type_version__
        if version == 1 or issubclass(message, Undo) or not self._registry.mode(name).startswith(("backward", "full")):
            return
        for schema in reversed([each.schema for each in self._registry.versions(name)]):
            if schema.version < version and not self._reads(schema, message):
                changes = problems(current, schema, "backward")
                raise UpcastMissing(message.__name__, name, version, schema.version, changes)

    def _reads(self, schema: Schema, newest: type[Message]) -> bool:
        return newest.__upcasts__.path(schema.version) is not None or schema.type_name in self._classes

    def _know(self, message: type[Message]) -> None:
        refuse_parameters(message)
        name = TypeName(message.__type_name__, message.__type_version__)
        known = self._classes.setdefault(name, message)
        if known is not message:
            raise SchemaConflict(*name, _path(known), _path(message))
        if name.version >= self._newest.setdefault(name.name, message).__type_version__:
            self._newest[name.name] = message
        self._decoders = {}  # what was read as an older version may be raised to this one
        if is_command(message):
            self._know_answers(message)

    def _know_answers(self, command: type[Command[Any, Any]]) -> None:
        for answer in (each for side in answers(command) for each in side):
            if isinstance(answer, type) and issubclass(answer, Message):
                self._know(answer)

    def schema_id(self, message: type[Message]) -> int:
        """The id that messages of the class are written with. A class that was not registered is registered now.

        Raises:
            SchemaConflict, FieldNotSupported, Incompatible, UpcastMissing: as for `register`.
        """
        self.register([message])
        schema = self._codec.schema_of(message)
        return self._registry.register(schema.name, schema)

    def encode(self, message: Message) -> bytes:
        """The message's bytes. A class that was not registered is registered now.

        Raises:
            Unencodable: it holds what its format cannot.
            SchemaConflict, FieldNotSupported: as for `register`.
        """
        encoder = self._encoders.get(type(message))
        if encoder is None:
            self.register([type(message)])
            encoder = self._encoders[type(message)]
        try:
            return encoder(message)
        except SchemaError:
            raise
        except Exception as error:
            raise Unencodable(f"a message of type {message.__type_name__}", error_reason(error)) from error

    def decode(self, data: bytes) -> Message:
        """The message that the bytes are, of the newest version that this code has.

        Raises:
            UnknownSchema: the registry has no such schema, also after it was refreshed.
            UnknownType: this code has no class of this type, and no upcast to one it has.
            Undecodable: the bytes are no message, or its data does not fit its class.
        """
        decoder = self._decoders.get(data[:HEADER_BYTES])
        if decoder is None:
            decoder = self._decoder(data)
        try:
            return decoder(data)
        except Undecodable:  # by upcasts
            raise
        except Exception as error:
            name, version = self.type_of(data)
            raise Undecodable(f"a message of type {name} version {version}", error_reason(error)) from error

    def type_of(self, data: bytes) -> TypeName:
        """The type and version that the bytes were written as, by their schema id alone.

        Raises:
            UnknownSchema: the registry has no such schema, also after it was refreshed.
            Undecodable: the bytes have no header.
        """
        found = self._types.get(data[:HEADER_BYTES])
        if found is None:
            found = self._types[data[:HEADER_BYTES]] = self._schema(data).type_name
        return found

    def knows(self, data: bytes) -> bool:
        """Whether this code has a class for what the bytes were written as, or an upcast to one.

        Raises:
            Undecodable: the bytes have no header.
        """
        try:
            self._decoder(data)
        except (UnknownSchema, UnknownType):
            return False
        return True

    def reads(self, type_: TypeName) -> bool:
        """Whether this code has a class of this version, or steps that lead from it to the newest one."""
        newest = self._newest.get(type_.name)
        if type_ in self._classes or newest is None or newest.__type_version__ < type_.version:
            return type_ in self._classes
        return newest.__upcasts__.path(type_.version) is not None

    def is_left_behind(self, type_: TypeName) -> bool:
        """Whether this code has a newer version of a type, and no way from this one.

        As soon as the registry has this one, code that starts with that class raises `UpcastMissing`.
        """
        newest = self._newest.get(type_.name)
        return newest is not None and newest.__type_version__ > type_.version and not self.reads(type_)

    def _schema(self, data: bytes) -> Schema:
        id = schema_id_of(data)
        schema = self._registry.find(id)
        if schema is None:
            raise UnknownSchema(id)
        return schema

    def _decoder(self, data: bytes) -> Decode:
        schema = self._schema(data)
        with self._lock:
            decoder = self._decoder_of(schema)
            self._decoders[data[:HEADER_BYTES]] = decoder
        return decoder

    def _decoder_of(self, schema: Schema) -> Decode:
        codec, newest = self._codecs[schema.format], self._newest.get(schema.name)
        if newest is not None and newest.__type_version__ > schema.version:
            raised = _raised(codec, newest, schema)
            if raised is not None:
                return raised
        exact = self._classes.get(schema.type_name)
        if exact is None:
            versions = sorted(known.version for known in self._classes if known.name == schema.name)
            raise UnknownType(schema.name, schema.version, versions)
        return codec.decoder(exact, schema)


def _raised(codec: Codec, newest: type[Message], schema: Schema) -> Decode | None:
    """Reads an older version and raises it; None if a step is missing."""
    path = newest.__upcasts__.path(schema.version)
    if path is None:
        return None
    read, load = codec.reader(schema), codec.load

    def decode(data: bytes) -> Message:
        fields, done = read(data), 0
        try:
            for step in path:
                fields = step(fields, load)
                done += 1
            return cast("Message", load(newest, fields))
        except Exception as error:
            what = f"a message of type {schema.name} version {schema.version}"
            raise Undecodable(what, _by_upcasts(newest, schema.version, done, error)) from error

    return decode


def _by_upcasts(newest: type[Message], version: int, done: int, error: Exception) -> str:
    """Why data is none of its class after steps, `done` of which had ended."""
    steps = newest.__upcasts__.where(version)
    if done < len(steps):
        return f"the upcast {steps[done]} raised {error_reason(error)}: correct it"
    ran = f"the upcast {steps[0]}" if done == 1 else f"the upcasts {' and '.join(steps)}"
    return f"{ran} gave what is no {newest.__name__}, correct that or the class: {error_reason(error)}"


def _sealed_only(encoder: Encode) -> Encode:
    """Encodes what holds personal data; other types do without."""

    def encode(message: Message) -> bytes:
        check_sealed(message)
        return encoder(message)

    return encode


def _path(message: type[Message]) -> str:
    return f"{message.__module__}.{message.__qualname__}"
