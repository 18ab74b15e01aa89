"""Kinds of things that files name: ours, and those that users add."""

from collections.abc import Iterator, Mapping
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
        name: The attribute of a class that is its name.
    """

    def __init__(
        self,
        what: str,
        base: type[Any],
        *known: Kind,
        former: Mapping[str, Kind] | None = None,
        name: str = "kind",
    ) -> None:
        self._what, self._base, self._name = what, base, name
        self._known: dict[str, Kind] = {self._name_of(kind): kind for kind in known}
        self._former: dict[str, Kind] = dict(former or {})

    def register(self, kind: Kind) -> Kind:
        """Adds a class and returns it; one that is defined anew, as in a notebook, takes the place of the former.

        Raises:
            ValueError: It is none of these, has no name, or another class has its name.
        """
        if not (isinstance(kind, type) and issubclass(kind, self._base)):
            raise ValueError(f"`kind` must be a subclass of {self._base.__name__}, got {_checks.shown(kind)}")
        name = self._name_of(kind)
        if not isinstance(name, str) or not name:
            raise ValueError(f"`kind` must have a name in files, got {kind.__name__} without: set its `{self._name}`")
        known = self._find(name) or kind
        if (known.__module__, known.__qualname__) != (kind.__module__, kind.__qualname__):
            raise ValueError(f"`kind` must have a name of its own, got {name!r}, that of {known.__name__}")
        self._known[name] = kind
        return kind

    def _name_of(self, kind: Kind) -> Any:
        return getattr(kind, self._name, "")

    def _find(self, name: str) -> Kind | None:
        return self._known.get(name) or self._former.get(name)

    def named(self, name: Any) -> Kind:
        """Returns the class of a name; raises ValueError if there is none."""
        found = self._find(name) if isinstance(name, str) else None
        if found is None:
            *others, last = self._known
            raise ValueError(
                f"`{self._what}` must be {', '.join(others)} or {last}, got {_checks.shown(name)}: one of your own is "
                f"known after register_{self._what}"
            )
        return found

    def __iter__(self) -> Iterator[tuple[str, Kind]]:
        """Yields names and classes."""
        return iter(self._known.items())

    def __contains__(self, kind: object) -> bool:
        return any(kind is known for known in self._known.values())
