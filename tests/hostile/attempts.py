"""Calls with hostile arguments, and what counts as a fault of the answer."""

import dataclasses
import traceback
import warnings

import numpy as np
import torch

_LONGEST = 400


def faults(function, good, hostile, *, fault_of=lambda _: None):
    """Returns what went wrong, a sentence each, when arguments of a good call are replaced by hostile ones in turn.

    A call may answer, or raise a ValueError of one line that says what must be. Everything else is a fault: other
    errors, warnings, and what `fault_of` says of an answer.
    """
    found = [fault for fault in (_fault(function, good, "as it should be", fault_of),) if fault]
    tried = 1
    for name, values in hostile.items():
        for index, value in enumerate(values):
            fault = _fault(function, {**good, name: value}, f"{name}[{index}]", fault_of)
            found += [fault] if fault else []
            tried += 1
    return tried, found


def of_points(function, points, *, fault_of):
    """The same for a list of complete arguments."""
    found = [_fault(lambda p=point: function(*p), {}, repr(point), fault_of) for point in points]
    return len(found), [fault for fault in found if fault]


def not_finite(*allowed):
    """Returns the check that all numbers of an answer are finite, and losses not negative, but for some fields."""

    def fault_of(result):
        for name, value in _numbers(result):
            if name in allowed or value is None:
                continue
            numbers = np.asarray(value, float)
            if not np.isfinite(numbers).all():
                return f"{name or 'answer'} is {value!r}"
            if name in ("", "loss") and (numbers < 0).any():
                return f"{name or 'answer'} is negative, {value!r}"
        return None

    return fault_of


def dishonest(decoded):
    """Says what is wrong with a decoder's answer."""
    if not torch.isfinite(decoded.features).all():
        return "features are not finite"
    if (decoded.converged & ~torch.isfinite(decoded.residual)).any():
        return "converged without a residual"
    return None if decoded.converged.all() or decoded.why else "not converged, and does not say why"


def _fault(function, arguments, what, fault_of):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            fault = fault_of(function(**arguments))
        return fault and f"{what}: {fault}"
    except ValueError as error:
        text = str(error)
        in_order = " must " in text and "\n" not in text and len(text) < _LONGEST
        return None if in_order else f"{what}: ValueError {text[:120]!r}"
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{what}: {type(error).__name__} {str(error)[:120]!r} at {last.filename}:{last.lineno}"


def _numbers(result):
    if dataclasses.is_dataclass(result):
        for field in dataclasses.fields(result):
            for name, value in _numbers(getattr(result, field.name)):
                yield name or field.name, value
    elif not isinstance(result, (str, bool)):
        yield "", result
