"""Kinds of things that files name: ours, and those that users add."""

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from superposition import _checks

Kind = TypeVar("Kind", bound=type[Any])


class Kinds(Generic[Kind]):
    """Classes by their name in files.

    Args:
        what: What they are, for messages.
        base: What all of them derive from.
        known: Ours.
        former: Ours by names that older files have.
    """

    def __init__(self, what: str, base: type[Any], *known: Kind, former: Mapping[str, Kind] | None = None) -> None:
        self._what, self._base = what, base
        self._known: dict[str, Kind] = {kind.kind: kind for kind in known}
        self._former: dict[str, Kind] = dict(former or {})

    def register(self, kind: Kind) -> Kind:
        """Adds a class and returns it; one that is defined anew, as in a notebook, takes the place of the former.

        Raises:
            ValueError: It is none of these, has no name, or another class has its name.
        """
        if not (isinstance(kind, type) and issubclass(kind, self._base)):
            raise ValueError(f"`kind` must be a subclass of {self._base.__name__}, got {_checks.shown(kind)}")
        if not isinstance(kind.kind, str) or not kind.kind:
            raise ValueError(f"`kind` must have a name in files, got {kind.__name__} without: set its `kind`")
        known = self._known.get(kind.kind) or self._former.get(kind.kind, kind)
        if (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
            raise ValueError(f"`kind` must have a name of its own, got {kind.kind!r}, that of {known.__name__}")
        self._known[kind.kind] = kind
        return kind

    def named(self, name: Any) -> Kind:
        """Returns the class of a name; raises ValueError if there is none."""
        found = (self._known.get(name) or self._former.get(name)) if isinstance(name, str) else None
        if found is None:
            *others, last = self._known
            raise ValueError(
                f"`{self._what}` must be {', '.join(others)} or {last}, got {_checks.shown(name)}: one of your own is "
                f"known after register_{self._what}"
            )
        return found

    def __contains__(self, kind: object) -> bool:
        return any(kind is known for known in self._known.values())
