"""Do arguments fit a tool's inputSchema? Asked before any rule is, so that rules see the types the tool declares.

Rules of this module (SEMANTICS §1, traps T13 and T17). Schema and arguments are both hostile:
* Draft 2020-12 unless `$schema` names another known one. Nothing is ever fetched. A schema that is broken, of an
  unknown dialect, too large or refers elsewhere is unusable, and a call that would need it is refused (P1).
* Checking is bounded (`argument_limits.py`); arguments that use the bound up do not fit.
* A key that differs from a declared property only in case or width is refused: tools that read keys loosely would take
  it for the property, and the policy would not have seen it.
* The message names the place and the schema's keyword, never a value.
* What surely fits a plain schema is told without the validator (`plain_schema.py`), which has the word on all else.
* Compiled checks are kept by the schema object and by its content; they are the only use of jsonschema in the product.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any

from policies.argument_limits import (
    MESSAGE_CHARS_PER_STEP,
    Budget,
    TooMuch,
    additional,
    budget,
    budget_for,
    found,
    has_twins,
    in_one_dialect,
    look_alikes,
    refusal,
)
from policies.by_identity import ByIdentity
from policies.plain_schema import surely_fits
from policies.schema_shape import is_well_formed

SCHEMA_CHARS_MAX = 256 * 1024
COMPILED_MAX = 1_024
PATH_CHARS_MAX = 200

DRAFTS: Mapping[str, str] = {
    "json-schema.org/draft/2020-12/schema": "Draft202012Validator",
    "json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "json-schema.org/draft-07/schema": "Draft7Validator",
    "json-schema.org/draft-06/schema": "Draft6Validator",
    "json-schema.org/draft-04/schema": "Draft4Validator",
}

_WORDS: Mapping[str, str] = {
    "type": "has another type than the schema says",
    "required": "lacks what the schema requires",
    "additionalProperties": "has a key the schema does not allow",
    "unevaluatedProperties": "has a key the schema does not allow",
    "propertyNames": "has a key the schema does not allow",
    "properties": "has a key that differs from a declared one only in case or width",
}


class ArgumentsInvalid(ValueError):
    """The arguments do not fit, or cannot be checked. `path` and `keyword` say where; no value is in any of it."""

    def __init__(self, why: str, path: str = "$", keyword: str = "") -> None:
        self.path = path if len(path) <= PATH_CHARS_MAX else f"{path[:PATH_CHARS_MAX]}…"
        self.keyword = keyword
        super().__init__(f"{self.path} {why} (keyword: {keyword})" if keyword else why)


type Check = Callable[[Mapping[str, Any]], ArgumentsInvalid | None]

_by_object: ByIdentity[Check] = ByIdentity(entries_max=COMPILED_MAX)
_by_content: dict[bytes, Check] = {}


def check(arguments: Mapping[str, Any], input_schema: Mapping[str, Any]) -> None:
    """Return if the arguments fit.

    Raises: ArgumentsInvalid.
    """
    misfit = _by_object.get(input_schema, lambda: _compiled(input_schema))(arguments)
    if misfit is not None:
        raise misfit


def prepare(input_schema: Mapping[str, Any]) -> None:
    """Compile the check before the first call needs it: for a large schema that is half a second, best in a thread."""
    _by_object.get(input_schema, lambda: _compiled(input_schema))


def _compiled(schema: Any) -> Check:
    if not isinstance(schema, dict):
        return _unusable("the tool's inputSchema is not a map")
    try:
        text = json.dumps(schema)
    except (RecursionError, TypeError, ValueError):
        return _unusable("the tool's inputSchema is not JSON")
    if len(text) > SCHEMA_CHARS_MAX:
        return _unusable(f"the tool's inputSchema is longer than {SCHEMA_CHARS_MAX} characters")
    key = sha256(text.encode()).digest()
    known = _by_content.get(key)
    if known is None:
        known = _compile(schema)
        if len(_by_content) >= COMPILED_MAX:
            _by_content.clear()
        _by_content[key] = known
    return known


def _unusable(why: str) -> Check:
    """A check nothing passes: a schema we cannot read may mean anything."""

    def misfit(arguments: Mapping[str, Any]) -> ArgumentsInvalid:
        del arguments
        return ArgumentsInvalid(why)

    return misfit


def _compile(schema: Mapping[str, Any]) -> Check:
    from referencing import Registry  # with jsonschema 0.25 s: only where arguments are checked
    from referencing.exceptions import Unresolvable

    dialect = schema.get("$schema", "https://json-schema.org/draft/2020-12/schema")
    draft = DRAFTS.get(dialect.partition("://")[2].rstrip("#")) if isinstance(dialect, str) else None
    if draft is None:
        return _unusable("the dialect of the tool's inputSchema is not known")
    if why := refusal(schema):
        return _unusable(why)
    if not is_well_formed(schema):
        return _unusable("the tool's inputSchema is not a valid JSON Schema")
    validator = _bounded(draft)(in_one_dialect(schema), registry=Registry())
    plain = surely_fits(schema)

    def first_misfit(arguments: Mapping[str, Any]) -> ArgumentsInvalid | None:
        if plain is not None and plain(arguments):
            return None
        try:
            error = _first_error(validator, arguments, budget_for(arguments))
        except (TooMuch, RecursionError, OverflowError):
            return ArgumentsInvalid("checking them against the schema takes too much work")
        except Unresolvable:
            return ArgumentsInvalid("the schema refers to what it does not contain")
        except (TypeError, AttributeError):  # of `referencing`, which looks for an id in whatever a reference leads to
            return ArgumentsInvalid("the schema refers to what is no schema")
        if error is None:
            return None
        keyword = str(error.validator or "false")
        return ArgumentsInvalid(_WORDS.get(keyword, "does not fit the schema"), error.json_path, keyword)

    return first_misfit


def _first_error(validator: Any, value: Any, steps: Budget) -> Any:
    token = budget.set(steps)
    try:
        return next(iter(validator.iter_errors(value)), None)
    finally:
        budget.reset(token)


@lru_cache(maxsize=len(DRAFTS))
def _bounded(draft: str) -> Callable[..., Any]:
    """The draft's validator with every keyword counted, and those that could run away replaced."""
    from jsonschema import validators

    base = getattr(validators, draft)
    keywords = {name: _counted(keyword) for name, keyword in {**base.VALIDATORS, **_KEYWORDS}.items()}
    keywords |= {name: _referring(keywords[name]) for name in _REFERENCES if name in keywords}
    extended: Callable[..., Any] = validators.extend(base, keywords)  # type: ignore[no-untyped-call]  # untyped there
    return extended


type Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]


def _counted(keyword: Keyword) -> Keyword:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        steps = budget.get()
        steps.spend_on(value, instance)
        for error in keyword(validator, value, instance, schema) or ():
            steps.spend(len(error.message) // MESSAGE_CHARS_PER_STEP)
            yield error

    return counted


def _referring(keyword: Keyword) -> Keyword:
    def referring(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
        budget.get().spend(1 + value.count("/") // 2 if isinstance(value, str) else 1)
        yield from keyword(validator, value, instance, schema) or ()

    return referring


def _error(message: str) -> Any:
    from jsonschema.exceptions import ValidationError

    return ValidationError(message)


def _pattern(validator: Any, pattern: Any, instance: Any, schema: Any) -> Iterator[Any]:
    del validator, schema
    if isinstance(instance, str) and not found(pattern, instance):
        yield _error("pattern")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, schema: Any) -> Iterator[Any]:
    del schema
    if isinstance(instance, dict):
        for pattern, below in patterns.items():
            for key, value in instance.items():
                if found(pattern, key):
                    yield from validator.descend(value, below, path=key, schema_path=pattern)


def _properties(validator: Any, properties: Any, instance: Any, schema: Any) -> Iterator[Any]:
    del schema
    if isinstance(instance, dict):
        for name, below in properties.items():
            if name in instance:
                yield from validator.descend(instance[name], below, path=name, schema_path=name)
        if look_alikes(instance, properties):
            yield _error("look-alike key")


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[Any]:
    if isinstance(instance, dict):
        extras = additional(instance, schema)
        if isinstance(allowed, dict):
            for key in extras:
                yield from validator.descend(instance[key], allowed, path=key)
        elif allowed is False and extras:
            yield _error("additional key")


def _unique_items(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any]:
    del validator, schema
    if wanted and isinstance(instance, list) and has_twins(instance):
        yield _error("twins")


_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_KEYWORDS: Mapping[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "properties": _properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
