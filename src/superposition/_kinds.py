"""Kinds of things that files name: ours, and those that users add."""

from typing import Any, Generic, TypeVar

Kind = TypeVar("Kind", bound=type[Any])


class Kinds(Generic[Kind]):
    """Classes by their name in files.

    Args:
        what: What they are, for messages.
        known: Ours.
    """

    def __init__(self, what: str, *known: Kind) -> None:
        self._what = what
        self._known: dict[str, Kind] = {kind.kind: kind for kind in known}

    def register(self, kind: Kind) -> Kind:
        """Adds a class and returns it; raises ValueError if it has no name, or another class has it."""
        if not kind.kind:
            raise ValueError(f"`kind` must have a name in files, got {kind.__name__} without: set its `kind`")
        if (known := self._known.setdefault(kind.kind, kind)) is not kind:
            raise ValueError(f"`kind` must have a name of its own, got {kind.kind!r}, that of {known.__name__}")
        return kind

    def named(self, name: Any) -> Kind:
        """Returns the class of a name; raises ValueError if there is none."""
        if not isinstance(name, str) or name not in self._known:
            *others, last = self._known
            raise ValueError(
                f"`{self._what}` must be {', '.join(others)} or {last}, got {name!r}: one of your own is known after "
                f"register_{self._what}"
            )
        return self._known[name]

    def __contains__(self, kind: object) -> bool:
        return any(kind is known for known in self._known.values())
