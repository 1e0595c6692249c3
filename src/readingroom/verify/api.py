"""What an author of a compliance test writes against: the binding to a control, and the promise to be judged.

Must not know how tests are run, where the machine is, or what any role does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, NoReturn, TypeVar

import pytest


class Unsupported(pytest.skip.Exception):  # type: ignore[misc, name-defined]  # pytest makes it at run time
    """A test ended because a program on the machine has no way to keep the promise."""


class NotApplicable(pytest.skip.Exception):  # type: ignore[misc, name-defined]
    """A test ended because what it looks at is not on the machine."""


# The fixture `alone`: while its block lasts, no other check of the machine uses what is named.
Alone = Callable[[str], AbstractContextManager[None]]

# What a test notes where the policy's word asks for nothing.
NOTHING = "nothing is promised here"

_Test = TypeVar("_Test", bound=Callable[..., Any])


def control(control_id: str) -> Callable[[_Test], _Test]:
    """Bind a test to the control it judges; the id is written out, since it is also found by reading the file."""

    def bind(test: _Test) -> _Test:
        bound: _Test = pytest.mark.control(control_id)(test)
        return bound

    return bind


class Promise:
    """What one machine was promised under one control, and what a test saw of it.

    `value` is the policy's word for it; `seconds` is set for durations: 0 keeps nothing, None keeps for ever.
    """

    def __init__(self, machine: str, control_id: str, expectations: Mapping[str, Any]) -> None:
        """`expectations` is this machine's part of `expectations.json`."""
        own = expectations["controls"][control_id]
        self.control = control_id
        self.machine = machine
        self.machine_class: str = expectations["class"]
        self.kind: str = expectations["kind"]
        self.statement: str = own["statement"]
        self.value: Any = own["value"]
        self.seconds: int | None = own.get("seconds")
        self.inputs: Mapping[str, Any] = own["inputs"]
        self._keys: Mapping[str, Any] = expectations["keys"]
        self._seen: list[str] = []

    def expects(self, key: str) -> Any:
        """The policy's word for another key on this machine."""
        return self._key(key)["value"]

    def expects_seconds(self, key: str) -> int | None:
        """Another key's duration in seconds: 0 keeps nothing, None keeps for ever."""
        seconds: int | None = self._key(key)["seconds"]
        return seconds

    def observed(self, words: str) -> None:
        """Note in plain words what was seen: counts and settings, never a name, a title or an address."""
        self._seen.append(words)

    @property
    def seen(self) -> tuple[str, ...]:
        """Everything that was noted, in order."""
        return tuple(self._seen)

    def not_tested(self, reason: str) -> NoReturn:
        """End the test here: it could not be told whether the promise is kept, and why."""
        pytest.skip(reason)

    def unsupported(self, reason: str) -> NoReturn:
        """End the test here: a program on the machine cannot keep its part of the promise, whatever is set."""
        raise Unsupported(reason)

    def not_applicable(self, reason: str) -> NoReturn:
        """End the test here: what it looks at is not on this machine, so this part of the promise is about nothing."""
        raise NotApplicable(reason)

    def _key(self, key: str) -> Mapping[str, Any]:
        if key not in self._keys:
            raise LookupError(f"no policy key {key} is compiled for this machine")
        found: Mapping[str, Any] = self._keys[key]
        return found
