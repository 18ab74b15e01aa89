from .ledger import (
    Entry as Entry,
    Finding as Finding,
    Outcome as Outcome,
    counts as counts,
    ledger as ledger,
)
from .page import page as page
from .statement import Evidence as Evidence, Statement as Statement, statements as statements
