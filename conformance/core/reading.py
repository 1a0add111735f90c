"""Documents -> records: one strict reader of JSON and TOML, made from the records' annotations.

A value is taken as what its field is annotated with, or refused: a bool is no integer, NaN is no
number, a field that the record does not have is no field. What is refused is named by its place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import enum
import functools
import json
import math
import tomllib
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from conformance.core.errors import ConformanceError, Malformed, unknown
from conformance.core.versions import Format

T = TypeVar("T")

Parser = Callable[[Any], Any]

OBJECT = "an object"

NAMED = "named"
"""Key of a field's metadata: what documents call it, where that is not the field's own name."""

AS_TEXT = "NaN and infinities are text"
Figure = Annotated[float, AS_TEXT]
"""A number that need not be finite: JSON has no other way to say so."""


# --- Files ---------------------------------------------------------------------------------------
def read_file(
    kind: type[T], path: Path, form: Format, *, error: type[ConformanceError], way_out: str
) -> T:
    """Return the record that a JSON file of the format holds.

    Raises:
        ConformanceError, as `error`: it cannot be read, is of a newer version, or is malformed; the
            message names the file, the place in it, what was needed, and the way out.
    """
    with naming(path, error, way_out):
        return record(kind, form.content(document(path), path, error))


def toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds, whatever it is called.

    Raises:
        OSError, ValueError: it cannot be read as such.
    """
    return tomllib.loads(path.read_text(encoding="utf-8"))


def document(path: Path) -> Any:
    """Return what a JSON or TOML file holds.

    Raises:
        OSError, RecursionError, ValueError: it cannot be read as such.
    """
    if path.suffix == ".toml":
        return toml(path)
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """Return the value that JSON text holds, every field of which is named once.

    Raises:
        RecursionError, ValueError: it is no JSON, or an object has two fields of one name, of which
            Python would take the last; TOML's reader refuses that by itself.
    """
    return json.loads(text, object_pairs_hook=_named_once)


def _named_once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(fields)
    if len(found) != len(fields):
        names = [name for name, _ in fields]
        twice = next(name for name in names if names.count(name) != 1)
        raise Malformed(f"the field {twice!r} is there twice")
    return found


@contextlib.contextmanager
def naming(path: Path, error: type[ConformanceError], way_out: str) -> Iterator[None]:
    """Let whatever a file is refused for name the file, and the way out."""
    try:
        yield
    except error:
        raise
    except (OSError, RecursionError, ValueError) as fault:
        raise error(f"{path} cannot be read ({_reason(fault)}): {way_out}") from fault


def _reason(fault: Exception) -> str:
    known = isinstance(fault, Malformed)
    return str(fault) if known else f"{type(fault).__name__}: {fault}"


# --- Records -------------------------------------------------------------------------------------
def record(kind: type[T], value: object) -> T:
    """Return the value of a document as a record, or as any other type that a field may have.

    Records are objects, tuples are lists, enumerations their values, dates are TOML's; an optional
    field may be null, and one with a default may be absent.

    Raises:
        Malformed: it is none; the message names the place within the value.
    """
    hint: Any = kind
    parsed: T = _parser(hint)(value)
    return parsed


@functools.cache
def _parser(hint: Any) -> Parser:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _figure if AS_TEXT in arguments else _parser(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _any_of(*typing.get_args(hint))
    if origin is typing.Literal:
        return functools.partial(_one_of, arguments)
    if origin is tuple:
        return _list(*arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(arguments[1])
    if dataclasses.is_dataclass(hint):
        return _object(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return functools.partial(_member, hint)
    return _PLAIN[hint]


def _object(kind: Any) -> Parser:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {str(one.metadata.get(NAMED, one.name)): one for one in dataclasses.fields(kind)}
    parsers = {name: (one.name, _parser(hints[one.name])) for name, one in fields.items()}
    absent = dataclasses.MISSING
    needed = [
        name
        for name, one in fields.items()
        if one.default is absent and one.default_factory is absent
    ]
    wanted = f"{OBJECT} with {', '.join(needed)}" if needed else OBJECT

    def parse(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Malformed.value(value, wanted)
        if value.keys() != fields.keys():
            if strangers := value.keys() - fields:
                raise Malformed(unknown("field", min(strangers), list(fields)))
            if missing := [name for name in needed if name not in value]:
                raise Malformed(f"the field {missing[0]!r} is missing")
        given, name = {}, ""
        try:
            for name, each in value.items():
                field, parse_field = parsers[name]
                given[field] = parse_field(each)
        except Malformed as fault:
            raise fault.within(name) from None
        return kind(**given)

    return parse


def _mapping(item: Any) -> Parser:
    parse_item = _parser(item)

    def parse(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Malformed.value(value, OBJECT)
        if item is Any:
            return value
        given, name = {}, ""
        try:
            for name, each in value.items():
                given[name] = parse_item(each)
        except Malformed as fault:
            raise fault.within(name) from None
        return given

    return parse


def _list(item: Any, *others: Any) -> Parser:
    """Return the parser of `tuple[item, ...]`: tuples of other kinds are in no file of ours."""
    assert others == (...,)
    parse_item = _parser(item)
    is_plain = _ALL_PLAIN.get(parse_item, _never)

    def parse(value: Any) -> Any:
        if not isinstance(value, list):
            raise Malformed.value(value, "a list")
        if is_plain(value):
            return tuple(value)
        given: list[Any] = []
        try:
            for each in value:
                given.append(parse_item(each))
        except Malformed as fault:
            raise fault.within(f"#{len(given) + 1}") from None
        return tuple(given)

    return parse


def _any_of(*hints: Any) -> Parser:
    """Return the parser of what is of one type or another; null where one of them is None.

    The first of them says what is wrong where none takes the value.
    """
    first, *others = (_parser(hint) for hint in hints if hint is not types.NoneType)
    is_optional = types.NoneType in hints
    words = " or ".join(
        word
        for hint in hints
        if typing.get_origin(hint) is typing.Literal
        for word in typing.get_args(hint)
    )

    def parse(value: Any) -> Any:
        if value is None and is_optional:
            return None
        for each in others:
            with contextlib.suppress(Malformed):
                return each(value)
        try:
            return first(value)
        except Malformed as fault:
            raise (Malformed(f"{fault} or {words}") if words else fault) from None

    return parse


def _one_of(known: tuple[str, ...], value: Any) -> str:
    text: str = _text(value)
    if text not in known:
        raise Malformed(unknown("value", text, known))
    return text


def _member(kind: type[enum.Enum], value: Any) -> Any:
    text = _text(value)
    if text not in (known := [member.value for member in kind]):
        raise Malformed(unknown("value", text, known))
    return kind(text)


def _plain(kind: type, needed: str) -> Parser:
    def parse(value: Any) -> Any:
        # Exactly: a bool is an int to Python, and a moment is a date.
        if type(value) is not kind:
            raise Malformed.value(value, needed)
        return value

    return parse


def _number(value: Any) -> float:
    if type(value) in (int, float):
        with contextlib.suppress(OverflowError):
            if math.isfinite(number := float(value)):
                return number
    raise Malformed.value(value, "a number")


_text = _plain(str, "a text")


def _figure(value: Any) -> float:
    return float(value) if value in ("nan", "inf", "-inf") else _number(value)


def _all_of(kind: type) -> Callable[[list[Any]], bool]:
    """Return whether a list is of values of exactly one type; told at once of thousands."""
    alone = {kind}
    return lambda values: set(map(type, values)) == alone


def _all_finite(values: list[Any]) -> bool:
    return set(map(type, values)) == {float} and all(map(math.isfinite, values))


def _never(values: list[Any]) -> bool:
    del values
    return False


_PLAIN: Mapping[Any, Parser] = {
    str: _text,
    int: _plain(int, "an integer"),
    bool: _plain(bool, "true or false"),
    float: _number,
    datetime.date: _plain(datetime.date, "a date without quotes, as in 2027-01-31"),
    Any: lambda value: value,
}

_ALL_PLAIN: Mapping[Parser, Callable[[list[Any]], bool]] = {
    _PLAIN[str]: _all_of(str),
    _PLAIN[int]: _all_of(int),
    _number: _all_finite,
    _figure: _all_finite,
}
"""Whether each item of a list is as it is read, by what reads one: false says nothing."""
