"""The presets of `superposition reproduce`."""

from superposition.figures.base import Preset

QUICK = Preset(
    name="quick",
    sizes=(128, 512),
    ratios=(1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4),
    probabilities=(0.01, 0.045, 0.2),
    n_steps=1500,
    n_held_out=50_000,
    rug_sizes=(8192, 65536),
    rug_entries=80_000_000,
    portrait_size=512,
    portrait_steps=2500,
    protocol_sizes=(128, 512),
)

PRESETS = {preset.name: preset for preset in (QUICK,)}
