"""The strategy of cases: a command line that could be meant, or one with something wrong, and files for it."""

from typing import Any

from hypothesis import strategies as st

from superposition.cli.quantities import AXES, QUANTITIES
from superposition.figures import FIGURES
from tests.fuzz import documents, values
from tests.fuzz.case import Case, Step
from tests.fuzz.forging import forged
from tests.fuzz.library import READERS
from tests.fuzz.nursery import FILES, SWEEP, UNFINISHED
from tests.fuzz.options import COMMANDS, Option, absurd, options_of, plausible

# How often each command is drawn; a new one as often as the least of them.
_WEIGHTS = {"theory": 4, "train": 3, "diagnose": 2, "sweep": 4, "query": 4, "compress": 2, "decode": 2}
# Options that keep a case small: given always.
_QUICK = ("n_steps", "n_held_out", "n_samples", "seconds", "batch_size", "runs", "figures", "n_features")
_OUT = {
    "sweep": st.sampled_from(["runs", "runs", "new", "new/deeper"]),
    "query": st.just("runs"),
    "reproduce": st.sampled_from(["results", "results", "new"]),
    "train": st.sampled_from(["new", "run", "unfinished", "new/deeper"]),
    "rug": st.sampled_from(["new", "rug", "new/deeper"]),
    "dictionary": st.sampled_from(["new", "run", "new/deeper"]),
}
_SCARCE = {"workers": 12, "scheduler": 12, "scheduler_file": 12, "slurm": 12, "config": 8, "plot": 8, "learn": 3}
_LAYOUT_NAMES = {step[1]: step for step in values.LAYOUT}
_FIGURES = {figure.name for figure in FIGURES}
Given = dict[str, list[str]]


def _one_in(draw: st.DrawFn, n: int) -> bool:
    return draw(st.integers(1, n)) == n


@st.composite
def _given(draw: st.DrawFn, command: str) -> Given:
    """Returns values for some options of a command, all of which could be meant."""
    given: Given = {}
    for option in options_of(command):
        wanted = option.required or option.name in _QUICK or _one_in(draw, _SCARCE.get(option.name, 4))
        if wanted and option.name != "force":  # which lifts the limits that the fuzzer tests
            of_value = _OUT[command] if option.name == "out" and command in _OUT else plausible(option)
            n = draw(st.integers(1, 3)) if option.repeats else 1
            given[option.name] = [str(draw(of_value)) for _ in range(n)]
    return _sensible(draw, command, given)


def _sensible(draw: st.DrawFn, command: str, given: Given) -> Given:
    """Returns the options without what would be refused at once, nine times in ten."""
    names = {option.name for option in options_of(command)}
    if _one_in(draw, 10):
        return given
    if {"ratio", "n_hidden"} <= names and command != "theory":
        kept = draw(st.sampled_from(["ratio", "n_hidden"]))
        given = {name: value for name, value in given.items() if name not in ("ratio", "n_hidden")}
        given[kept] = [draw(plausible(next(o for o in options_of(command) if o.name == kept)))]
    if command == "theory":
        given = _for_quantity(draw, given)
    if "model" in given and draw(st.booleans()):
        given = {name: value for name, value in given.items() if name not in ("n_features", "n_hidden", "ratio")}
    if command == "compress" and given.get("learn") != ["True"]:
        of_learning = ("start", "neurons", "depth", "runs", "n_steps", "learning_rate")
        given = {name: value for name, value in given.items() if name not in of_learning}
    if given.get("out") == ["unfinished"] and command == "train":
        pairs = zip(UNFINISHED[::2], UNFINISHED[1::2], strict=True)
        given = {flag[2:].replace("-", "_"): [value] for flag, value in pairs}
        given |= {"out": ["unfinished"], "resume": ["True"]}
    if command == "query":
        given["sql"] = [draw(documents.queries)]
    where = [name for name in ("workers", "scheduler", "scheduler_file", "slurm") if name in given]
    return {name: value for name, value in given.items() if name not in where[1:]}


def _for_quantity(draw: st.DrawFn, given: Given) -> Given:
    """Returns options of the theory that belong to its quantity."""
    quantity = QUANTITIES[draw(st.sampled_from(sorted(QUANTITIES)))]
    name = next(name for name, each in QUANTITIES.items() if each is quantity)
    needed = {axis: given.get(axis) or [draw(_axis(axis))] for axis in quantity.needs}
    taken = {axis: value for axis, value in given.items() if axis not in AXES or axis in quantity.takes}
    if not quantity.has_law:
        taken = {axis: value for axis, value in taken.items() if not axis.startswith("law")}
    elif draw(st.booleans()):
        taken.pop("law_parameters", None)
    return {**taken, **needed, "quantity": [name]}


def _axis(name: str) -> st.SearchStrategy[str]:
    return plausible(next(option for option in options_of("theory") if option.name == name))


@st.composite
def _corrupted(draw: st.DrawFn, command: str, given: Given) -> Given:
    """Returns the options with one thing wrong: a value that nobody means, or an option that is missing or new."""
    options = {option.name: option for option in options_of(command)}
    match draw(st.sampled_from(["value", "value", "value", "value", "missing", "new", "none", "many"])):
        case "missing":
            droppable = [name for name in given if name not in _QUICK]
            if droppable:
                return {name: value for name, value in given.items() if name != draw(st.sampled_from(droppable))}
        case "new":
            name = draw(st.sampled_from(sorted(set(options) - {"force"})))
            return {**given, name: [draw(absurd(options[name]))]}
        case "none" if given:
            name = draw(st.sampled_from(sorted(given)))
            return {**given, name: []} if name not in _QUICK else given
        case "many" if given:
            name = draw(st.sampled_from(sorted(given)))
            return {**given, name: given[name] * 2}
        case _ if given:
            name = draw(st.sampled_from(sorted(given)))
            value = draw(absurd(options[name]))
            if value.strip() not in _FIGURES:  # of which some take minutes
                return {**given, name: [value]}
    return given


def _tokens(draw: st.DrawFn, command: str, given: Given) -> list[str]:
    options = {option.name: option for option in options_of(command)}
    flags, positional = [], []
    for name, found in given.items():
        option = options[name]
        if option.positional:
            positional += found
        elif option.kind is bool and found in (["True"], ["False"]):
            flags.append(option.flag if found == ["True"] else f"--no-{option.flag[2:]}")
        elif len(found) == 1 and _one_in(draw, 8):
            flags.append(f"{option.flag}={found[0]}")
        else:
            flags += [option.flag, *found]
    return [*positional, *flags] if draw(st.booleans()) else [*flags, *positional]


@st.composite
def _moved_to_config(draw: st.DrawFn, command: str, given: Given) -> tuple[Given, Step]:
    """Returns the options of which some went to a config file, and the file."""
    options = {option.name: option for option in options_of(command)}
    movable = sorted(set(given) - {"config", *_QUICK})
    moved = draw(st.lists(st.sampled_from(movable), unique=True)) if movable else []
    document = {name: _typed(options[name], given[name]) for name in moved}
    text = draw(documents.garbled(draw(documents.spoilt(document)), chance=5)) if document else draw(st.just(b""))
    rest = {name: value for name, value in given.items() if name not in moved}
    return {**rest, "config": ["config.toml"]}, ("write", "config.toml", text)


def _typed(option: Option, found: list[str]) -> Any:
    try:
        typed = [value == "True" if option.kind is bool else option.kind(value) for value in found]
    except (ValueError, OverflowError):
        typed = list(found)
    typed = [value if isinstance(value, bool | int | float | str) else str(value) for value in typed]
    return typed if option.repeats or not typed else typed[0]


@st.composite
def command_lines(draw: st.DrawFn) -> tuple[list[str], list[Step]]:
    """Returns the arguments of a command and the files that a user wrote for it."""
    command = draw(st.sampled_from([name for name in COMMANDS for _ in range(_WEIGHTS.get(name, 1))]))
    given, steps = draw(_given(command)), []
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2, 3]))):
        given = draw(_corrupted(command, given))
    if "learn" in given:  # as many steps as are its default take a minute
        given.setdefault("n_steps", ["2"])
    if given.get("config") == ["config.toml"]:
        given, step = draw(_moved_to_config(command, given))
        steps.append(step)
    files = {
        "sweep": ("sweep.toml", documents.sweeps()),
        "slurm": ("slurm.toml", documents.slurm_jobs()),
        "scheduler_file": ("scheduler.json", documents.scheduler_files),
    }
    for name, (path, content) in files.items():
        if given.get(name) == [path]:
            whole = name == "sweep" and draw(st.integers(0, 3)) == 0
            steps.append(("write", path, SWEEP.encode() if whole else draw(content)))
    tokens = [command, *_tokens(draw, command, given)]
    if _one_in(draw, 25):
        stray = draw(st.one_of(values.absurd_word, st.sampled_from(["--help", "-h", "--version", "--bogus", "theory"])))
        tokens.insert(draw(st.integers(0, len(tokens))), stray)
    return tokens, steps


_ENVIRONMENT = {
    "COLUMNS": ["-1", "0", "1", "10", "100000", "x", "", "1e9"],
    "LINES": ["-1", "x"],
    "TERM": ["", "dumb", "x", "xterm-256color"],
    "NO_COLOR": ["1"],
    "FORCE_COLOR": ["1"],
    "PYTHONIOENCODING": ["ascii", "latin-1", "utf-8:strict"],
    "LC_ALL": ["C", "POSIX", "x"],
    "PYTHONUTF8": ["0"],
    "HOME": ["", "/nonexistent", "/dev/null"],
    "TMPDIR": ["/nonexistent", ""],
    "MPLBACKEND": ["agg", "svg", "nonsense", ""],
    "MPLCONFIGDIR": ["/dev/null", "/nonexistent/x"],
    "SUPERPOSITION_TRACEBACK": ["", "0", "x"],
    "GOMP_SPINCOUNT": ["0", "100"],
    "OMP_NUM_THREADS": ["1", "3"],
    "CUDA_VISIBLE_DEVICES": ["", "0", "-1", "x"],
    "WORLD_SIZE": ["x", "", "0", "-1"],
    "RANK": ["x", "", "-1"],
    "LOCAL_RANK": ["x", "5"],
    "SOURCE_DATE_EPOCH": ["x", "0"],
    "PATH": ["", "/nonexistent"],
    "DASK_CONFIG": ["/dev/null", "/nonexistent"],
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Returns a case: three of four are command lines, the others calls of the library on forged files."""
    if _one_in(draw, 4):
        return draw(_library_cases())
    if _one_in(draw, 60):
        loose = st.one_of(values.absurd_word, values.absurd_number, st.sampled_from([*COMMANDS, "--help", "--version"]))
        # All figures rightly take minutes.
        arguments, steps = draw(st.lists(loose, max_size=4).filter(lambda words: words != ["reproduce"])), []
    else:
        arguments, steps = draw(command_lines())
    firsts = {token.rpartition("=")[2].split("/")[0] for token in arguments}
    fixtures = tuple(name for name in FILES if name in firsts or (name == "runs" and arguments[:1] == ["query"]))
    for name in fixtures:
        if _one_in(draw, 3):
            steps += draw(forged(name))
    laid = [step for name, step in _LAYOUT_NAMES.items() if name in firsts]
    apart = _one_in(draw, 10)
    environment = {}
    if apart and draw(st.booleans()):
        for name in draw(st.lists(st.sampled_from(sorted(_ENVIRONMENT)), min_size=1, max_size=2)):
            environment[name] = draw(st.sampled_from(_ENVIRONMENT[name]))
    return Case(tuple(arguments), fixtures, (*laid, *steps), tuple(environment.items()), apart)


@st.composite
def _library_cases(draw: st.DrawFn) -> Case:
    fixture = draw(st.sampled_from([name for name in READERS for _ in range(1 + 2 * (name in ("runs", "unfinished")))]))
    reader = draw(st.sampled_from(READERS[fixture]))
    arguments = (f"library:{reader.__name__}", fixture)
    if fixture == ".":
        return Case(arguments, (), (("write", "sweep.toml", draw(documents.sweeps())),))
    return Case(arguments, (fixture,), draw(forged(fixture)))
