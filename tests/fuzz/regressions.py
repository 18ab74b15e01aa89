"""Cases that once ended in a traceback, a hang or worse, as the fuzzer wrote them down."""

from tests.fuzz.case import Case

_CHECKPOINT = "unfinished/checkpoint-000000002.safetensors"
_RECORD = "runs/done/trained/*/record.json"

REGRESSIONS = (
    # Tensors of other shapes than the run's, under a right digest.
    Case(("library:resume", "unfinished"), ("unfinished",), (("forge_tensor", _CHECKPOINT, 0, "halved"),)),
    Case(("library:resume", "unfinished"), ("unfinished",), (("forge_metadata", _CHECKPOINT, "step", "4"),)),
    # Opening a FIFO waits for a writer for ever.
    Case(
        ("reproduce", "--figures", "A2", "--tls-ca-file", "fifo", "--tls-cert", "file", "--tls-key", "file"),
        steps=(("fifo", "fifo"), ("write", "file", b"some text\n")),
    ),
    Case(("library:resume", "unfinished"), ("unfinished",), (("fifo", _CHECKPOINT),)),
    Case(("library:redraw", "results"), ("results",), (("fifo", "results/figure-A2.parquet"),)),
    Case(("library:sweep", "runs"), ("runs",), (("fifo", "runs/tables/trained.parquet"),)),
    Case(("diagnose", "run"), ("run",), (("fifo", "run/config.json"),)),
    Case(("query", "SELECT 1"), ("runs",), (("fifo", _RECORD),)),
    Case(("library:load", "run"), ("run",), (("link", "run/config.json", "/dev/zero"),)),
    # Infinities in a stored table, of which NumPy warned.
    Case(
        ("library:redraw", "results"),
        ("results",),
        (("table", "results/figure-A2.parquet", 34, "infinite"), ("table", "results/figure-A2.parquet", 28, "huge")),
    ),
    # A check of a figure that is no check.
    Case(("library:report", "results"), ("results",), (("json_set", "results/figure-A2.json", 5, -2.3e16, True),)),
    # Values that DuckDB has and Python lacks, and the other way round.
    Case(("query", "SELECT '5877642-06-25 (BC)'::DATE"), ("runs",)),
    Case(("query", "SELECT 1"), ("runs",), (("json_add", _RECORD, 22, "--", -(10**38), True),)),
    # Text from outside on a terminal, and as markup.
    Case(("query", "SELECT '[/]', chr(27) || '[2J'"), ("runs",)),
    Case(("reproduce", "--figures", "\x1b[31mred\x1b[0m")),
    Case(("reproduce", "--figures", "[/]")),
    # What the summary cannot show was refused when all had been done and saved.
    Case(
        (
            *("train", "--n-features", "8", "--ratio", "0.25", "--probability", "1e-200", "--n-steps", "1"),
            *("--batch-size", "1", "--n-held-out", "1", "--out", "new"),
        )
    ),
    # As many dimensions as features: no interference, by which the predictions divided.
    Case(
        (
            *("decode", "--n-features", "16", "--ratio", "1", "--probability", "0.1", "--n-samples", "2"),
            *("--seconds", "0.05", "--decoders", "gated", "oamp"),
        )
    ),
    # Out of range for the theory, and for decoders too.
    Case(
        (
            *("decode", "--n-features", "16", "--n-hidden", "1", "--probability", "1e-200", "--n-samples", "2"),
            *("--seconds", "0.01", "--decoders", "oamp"),
        )
    ),
    # No answer of ours: a file that is larger than memory.
    Case(("library:resume", "unfinished"), ("unfinished",), (("sparse", _CHECKPOINT, 1 << 32),)),
    # Made a folder to go back through.
    Case(("theory", "--ratio", "0.65", "--probability", "1", "--grid", "a/../b")),
)
