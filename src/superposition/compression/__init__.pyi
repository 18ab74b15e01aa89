from . import construction as construction, nested_network as nested_network
from .fewest import linear_code_bound as linear_code_bound, smallest_network as smallest_network
from .learning import Learned as Learned, learn as learn, learn_from as learn_from
from .nesting import NestedScheme as NestedScheme
from .network import CompressionNetwork as CompressionNetwork
from .precision import (
    PRECISIONS as PRECISIONS,
    Carried as Carried,
    best_at_precision as best_at_precision,
    levels_carried as levels_carried,
    loss_at_precision as loss_at_precision,
)
from .reading import Reading as Reading, inspect as inspect
from .scheme import (
    BestLevels as BestLevels,
    QuantizedPair as QuantizedPair,
    best_levels as best_levels,
    linear_loss as linear_loss,
)
from .sparse import SparseConstruction as SparseConstruction, sparse_construction as sparse_construction
