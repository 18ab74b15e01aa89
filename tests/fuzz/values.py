"""Values of options: what a user may mean, and what nobody means."""

from hypothesis import strategies as st

# Small, so that a legal case takes milliseconds to seconds; absurd ones must be refused before work begins. There is
# nothing between: a training of a day is legal.
SIZES = st.sampled_from(["1", "2", "3", "4", "7", "8", "8", "16", "16", "32", "64"])
FEW = st.sampled_from(["1", "1", "2", "2", "3"])
SHARES = st.one_of(
    st.sampled_from(["0.3", "0.3", "0.5", "0.25", "0.1", "1", "1e-3", "0.999999", "1e-12", "1e-200"]),
    st.floats(0.01, 1).map(repr),
)
REALS = st.one_of(st.sampled_from(["0", "1", "-1", "0.5", "2", "1e-6", "10"]), st.floats(-5, 5).map(repr))
POSITIVE = st.one_of(st.sampled_from(["0.1", "1", "2", "1e-9", "30"]), st.floats(0.01, 5).map(repr))

ABSURD_NUMBERS = (
    *("nan", "inf", "-inf", "1e400", "-1", "0", "-0.0", "1e-320", "1e-45", "1e308", "-1e308", "0x10", "1_000", "٣"),
    *("", " ", "1.5", "true", "None", "[1]", "1e3", "+1", "0.1.2", "1,5", "½", "²"),
    *(str(n) for n in (2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**30)),
    *("1" + "0" * 400, "9" * 5000, "-9223372036854775809", "1e-400"),
)
ABSURD_WORDS = (
    *("", " ", "-", "--", "-x", "[red]", "[/]", "[/red]", "[bold", "[link=file:///etc/passwd]x[/link]", "\\[x]"),
    *("\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x00", "a\x00b", "a\nb", "a\rb", "\x07", "\x7f", "\x9b2J"),
    *("é", "e\u0301", "файл", "数", "🙂", "\u202eabc", "\u200b", "\ufeff", "\udcff", "\ud800", "\U0010ffff"),
    *("{0}", "%s", "%n", "$HOME", "`id`", "; rm", "'", '"', "\\", "=1+1", "@x", "a" * 300, "a" * 70000),
    *("None", "null", "nan", "True", "[]", "{}", "cuda:99", "meta", "cpu:1", "mps", "xla"),
)
# Of folders and files; `fifo`, `loop`, … are laid out by `LAYOUT`.
ODD_PATHS = (
    *("", ".", "..", "../new", "~", "~/new", "~nobody-of-that-name/x", "a\x00b", "x" * 300, "x/" * 3000 + "x"),
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/stdin", "/dev/null/x", "/proc/self/mem", "/proc/self/environ"),
    *("/proc/nothing/x", "/sys/nothing", "fifo", "loop", "file", "file/x", "empty", "folder", "link", "dangling"),
    *("[red]x[/red]", "[/]", "\x1b[31mred", "x\ny", "-x", "--", "файл", "\udcff", "\ud800", "a/../b", " ", "x ", ".x"),
    *("full", "full.parquet", "binary", "dangling.parquet", "dangling.svg", "link/new", "COM1", "a:b", "*", "?"),
)
LAYOUT = (
    ("fifo", "fifo"),
    ("link", "loop", "loop"),
    ("write", "file", b"some text\n"),
    ("write", "empty", b""),
    ("write", "binary", bytes(range(256))),
    ("write", "folder/inside", b"x"),
    ("link", "link", "../victim"),
    ("link", "dangling", "nowhere"),
    ("link", "dangling.parquet", "../victim/made.parquet"),
    ("link", "dangling.svg", "../victim/made.svg"),
    ("link", "full", "/dev/full"),
    ("link", "full.parquet", "/dev/full"),
)
# As values of JSON and TOML.
ABSURD_VALUES = (
    *(None, True, False, -1, 0, 1, 1.5, -0.5, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400),
    *(1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), [], {}, [[]], [1], [None], {"a": {}}),
    *(
        "",
        "x",
        "n/a",
        "[red]",
        "[/]",
        "\x1b[31m",
        "a\nb",
        "\x00",
        "é",
        "1",
        "nan",
        "../../victim/precious",
        "x" * 10000,
    ),
    *([0.1] * 50, [1, "x"], [[1, 2], [3]], {"log": [1, 2]}, {"name": "Uniform"}, {"name": "Beta", "alpha": 1}),
)

absurd_number = st.one_of(
    st.sampled_from(ABSURD_NUMBERS), st.integers().map(str), st.floats().map(repr), st.text(max_size=8)
)
any_text = st.one_of(
    st.text(st.characters(max_codepoint=126), max_size=12), st.text(st.characters(codec=None), max_size=8)
)
absurd_word = st.one_of(st.sampled_from(ABSURD_WORDS), any_text)
# Which lie in the working folder or are in the list: a random absolute path may be a place that matters.
odd_path = st.one_of(
    st.sampled_from(ODD_PATHS), any_text.map(lambda text: text.replace("/", "").replace("~", "").replace("..", ""))
)
absurd_value = st.one_of(
    st.sampled_from(ABSURD_VALUES), st.integers(), st.floats(), any_text, st.lists(st.floats(), max_size=4)
)
