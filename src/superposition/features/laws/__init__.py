"""Laws: distributions of an active feature's value, as closed-form moments, sampling and quadrature."""
