"""`python -m superposition`."""

import sys

from superposition.cli import main

sys.exit(main())
