"""What a disk may hold after a crash at any moment: the system calls of a block recorded, and every prefix replayed.

The disk is a pessimist's. The content of a file is safe once the file was forced to disk, and until then may be lost,
torn, or there. A name in a folder is safe once the folder was forced to disk; until then each change may have reached
the disk or not, whatever came before or after it, names before the content that they name. Only a rename is done as a
whole or not at all.
"""

import itertools
import os
import random
import shutil
import stat
from dataclasses import dataclass, field
from pathlib import Path

# How many subsets of what is not safe are tried at each prefix, besides none, all, each alone, and all but each.
SUBSETS = 6
CALLS = ("fsync", "rename", "replace", "mkdir", "unlink", "remove", "rmdir", "open", "link", "symlink")


@dataclass
class Recorder:
    """Watches a folder while a block runs; `events` are changes of names, and what was forced to disk.

    Native code writes without our seeing the calls; so the folder is looked at before and after each call that we see,
    and what has changed in between are changes of their own.
    """

    root: Path
    events: list = field(default_factory=list)
    contents: list = field(default_factory=list)  # of every file, by its number, as it was at each event
    numbers: dict = field(default_factory=dict)  # of files and folders by inode, as long as they are there
    count: itertools.count = field(default_factory=itertools.count)
    names: dict = field(default_factory=dict)
    files: set = field(default_factory=set)

    def start(self):
        """Takes what is there as safe."""
        self.names, held = self.look()
        self.safe = dict(self.names), held

    def look(self):
        """Returns the number of what each (folder, name) leads to, and the content of each file by its number."""
        found, held, seen = {}, {}, set()
        waiting = [(self.root, self.number(self.root.stat()))]
        seen.add(self.root.stat().st_ino)
        while waiting:
            folder, place = waiting.pop()
            try:
                entries = sorted(os.listdir(folder))  # noqa: PTH208
            except FileNotFoundError:
                continue
            for name in entries:
                path = folder / name
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue
                seen.add(status.st_ino)
                number = found[place, name] = self.number(status)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append((path, number))
                else:
                    held[number] = path.read_bytes()
                    self.files.add(number)
        for inode in set(self.numbers) - seen:  # which another file may get
            del self.numbers[inode]
        return found, held

    def number(self, status):
        if status.st_ino not in self.numbers:
            self.numbers[status.st_ino] = next(self.count)
        return self.numbers[status.st_ino]

    def note(self, *, as_one=False):
        """Records what has changed since the last look."""
        now, held = self.look()
        changes = {key: now.get(key) for key in {**self.names, **now} if self.names.get(key) != now.get(key)}
        self.names = now
        for group in [changes] if as_one else [{key: value} for key, value in changes.items()]:
            if group:
                self.append(("names", group), held)

    def append(self, event, held):
        self.events.append(event)
        self.contents.append(held)

    def synced(self, handle):
        number = self.number(os.fstat(handle))
        _, held = self.look()
        self.append(("safe", number, held.get(number)), held)

    def watch(self, monkeypatch):
        """Records until the patches are undone."""
        real = {name: getattr(os, name) for name in CALLS}

        def watched(name):
            def call(*arguments, **options):
                self.note()
                result = real[name](*arguments, **options)
                if name == "fsync":
                    self.synced(arguments[0])
                else:
                    self.note(as_one=name in ("rename", "replace"))
                return result

            return call

        self.start()
        for name in CALLS:
            monkeypatch.setattr(os, name, watched(name))


def disks(recorder):
    """Yields (number of events before the crash, disk): a disk is names and contents, each that may be, once."""
    chance = random.Random(0)
    (names, contents), pending, seen = recorder.safe, [], set()
    names, contents = dict(names), dict(contents)
    for moment in range(len(recorder.events) + 1):
        latest = recorder.contents[moment - 1] if moment else {}
        for chosen in subsets(len(pending), chance):
            disk = dict(names)
            for index in chosen:
                disk |= pending[index]
            disk = {key: number for key, number in disk.items() if number is not None}
            for torn in (lambda _: b"", lambda content: content[: len(content) // 2], lambda content: content):
                lost = {number: torn(latest.get(number, b"")) for number in disk.values() if number in recorder.files}
                held = lost | {number: contents[number] for number in lost if number in contents}
                key = (frozenset(disk.items()), frozenset(held.items()), moment == len(recorder.events))
                if key not in seen:
                    seen.add(key)
                    yield moment, disk, held
        if moment == len(recorder.events):
            return
        kind, *event = recorder.events[moment]
        if kind == "names":
            pending.append(event[0])
        else:
            number, content = event
            if content is not None:
                contents[number] = content
            safe = [change for change in pending if any(folder == number for folder, _ in change)]
            pending = [change for change in pending if change not in safe]
            for change in safe:
                names |= change


def subsets(size, chance):
    everything = tuple(range(size))
    yield ()
    yield everything
    for index in everything:
        yield (index,)
        yield everything[:index] + everything[index + 1 :]
    for _ in range(SUBSETS if size > 2 else 0):
        yield tuple(index for index in everything if chance.random() < 0.5)


def lay(disk, held, root, place):
    """Makes the files and folders of a disk under a folder; what no name leads to is lost."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    inside = {}
    for (folder, name), number in disk.items():
        inside.setdefault(folder, []).append((name, number))
    waiting = [(root, place)]
    while waiting:
        number, folder = waiting.pop()
        for name, child in inside.get(number, []):
            if child in held:
                (folder / name).write_bytes(held[child])
            else:
                (folder / name).mkdir()
                waiting.append((child, folder / name))
    return place
