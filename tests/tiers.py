"""The fast tier: every test that `make test-fast` has time for.

`pytest --junit-xml=REPORT` on an idle machine, and then `python -m tests.tiers REPORT`, write tests/long.txt anew: the
tests that take more than half a second, all their cases together. They have the mark `long`, and so have those that use
what is made once for many tests and takes long, whichever of them comes first.
"""

import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from functools import cache
from pathlib import Path

LIST = Path(__file__).with_name("long.txt")
SECONDS = 0.5
FIXTURES = frozenset({"made", "watched_while_made", "some_made", "tiny", "found", "straight", "embedded", "entries"})


def name_of(nodeid):
    """Returns the dotted name of a test without its case, as reports have it."""
    return nodeid.partition("[")[0].replace("/", ".").replace(".py::", ".").replace("::", ".")


@cache
def listed():
    """Returns the names of the tests that are marked."""
    return set(LIST.read_text(encoding="utf-8").split())


def is_long(nodeid, fixtures):
    """Whether a test of these fixtures has the mark."""
    return name_of(nodeid) in listed() or not FIXTURES.isdisjoint(fixtures)


def lengthy(report):
    """Returns the names of the tests of a report that take long, in order."""
    seconds = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        seconds[name_of(f"{case.get('classname')}.{case.get('name')}")] += float(case.get("time"))
    return sorted(name for name, total in seconds.items() if total > SECONDS)


if __name__ == "__main__":
    LIST.write_text("".join(f"{name}\n" for name in lengthy(sys.argv[1])), encoding="utf-8")
