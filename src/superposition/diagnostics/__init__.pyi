from .gaussianity import (
    BerryEsseen as BerryEsseen,
    berry_esseen as berry_esseen,
    third_absolute_moment as third_absolute_moment,
)
from .interference import Interference as Interference, cumulants as cumulants, interference as interference
from .isometry import (
    Coherence as Coherence,
    RestrictedIsometry as RestrictedIsometry,
    coherence as coherence,
    restricted_isometry as restricted_isometry,
)
from .loss import held_out_loss as held_out_loss
from .permutation_symmetry import (
    Spread as Spread,
    Symmetry as Symmetry,
    predicted_symmetry as predicted_symmetry,
    symmetry as symmetry,
    symmetry_of_weights as symmetry_of_weights,
)
from .spectrum import spectrum as spectrum
from .split import LossSplit as LossSplit, can_split_loss as can_split_loss, loss_split as loss_split
