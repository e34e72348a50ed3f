"""Calibrators: two numbers that make a score mean what it says, learned on validation.

Plain numpy, because the service applies them too.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import numpy as np

from propense.errors import EvaluationError
from propense.schemas import Doubles

LOWEST_SLOPE: Final = 0.05
HIGHEST_SLOPE: Final = 20.0
FEWEST: Final = 10
"""Fewest rows of either class; with fewer no calibration is fitted."""
_EXPECTED: Final = 20
"""Outcomes that a value's total is shrunk by."""
_EDGE: Final = 1e-7


class Calibrator(msgspec.Struct, frozen=True):
    """p' = sigmoid(a * logit(p) + b); `a` is positive, so no order changes.

    >>> Calibrator("platt", a=1.0, b=0.0).apply(np.array([0.0, 0.25, 1.0])).tolist()
    [0.0, 0.25, 1.0]
    """

    kind: Literal["none", "platt"] = "none"
    a: float = 1.0
    b: float = 0.0

    def apply(self, p: Doubles) -> Doubles:
        """Calibrated probabilities; 0 and 1 stay what they are."""
        if self.kind == "none":
            return p
        return sigmoid(self.a * logit(p) + self.b)


class ValueCalibrator(msgspec.Struct, frozen=True):
    """p' = scale * p: the total expected on validation is the total that came."""

    kind: Literal["none", "scale"] = "none"
    scale: float = 1.0

    def apply(self, p: Doubles) -> Doubles:
        """Calibrated expected values."""
        return p if self.kind == "none" else p * self.scale


def logit(p: Doubles) -> Doubles:
    """log(p / (1 - p)), infinite at 0 and 1."""
    p = np.asarray(p, np.float64)
    with np.errstate(divide="ignore"):
        return np.log(p) - np.log1p(-p)


def sigmoid(x: Doubles) -> Doubles:
    """1 / (1 + exp(-x)), without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, np.inf])).tolist()
    [0.0, 0.5, 1.0]
    """
    with np.errstate(under="ignore"):
        small = np.exp(-np.abs(x))
    p: Doubles = np.where(x >= 0, 1.0, small) / (1 + small)
    return p


def fit_calibrator(p: Doubles, y: Doubles) -> Calibrator:
    """Slope and offset on the logit that lower the log loss most (Platt 1999), by Newton.

    A weak pull of one pseudo-row towards a = 1, b = 0 keeps separable data finite; `a` is
    held in [0.05, 20], so the order and the AUC stay. With fewer than 10 rows of either
    class, or where no lower loss is found, the calibrator does nothing (kind "none").

    `p` (n_rows,) in [0, 1], `y` (n_rows,) 0 or 1. Raises EvaluationError on other shapes or
    probabilities.
    """
    p, y = _checked(p, y)
    if p.size and not (0 <= p.min() and p.max() <= 1):
        raise EvaluationError(
            f"probabilities to calibrate must lie in [0, 1], got {p.min()} to {p.max()}"
        )
    if min(y.sum(), len(y) - y.sum()) < FEWEST:
        return Calibrator()
    x = logit(np.clip(p, _EDGE, 1 - _EDGE))
    a, b = 1.0, 0.0
    loss = start = _penalised_loss(x, y, a, b)
    for _ in range(100):
        step_a, step_b = _newton_step(x, y, a, b)
        rate = 1.0
        while rate > 1e-6:
            new_a = float(np.clip(a - rate * step_a, LOWEST_SLOPE, HIGHEST_SLOPE))
            new_b = b - rate * step_b
            new_loss = _penalised_loss(x, y, new_a, new_b)
            if new_loss <= loss:
                break
            rate /= 2
        else:
            break
        moved = abs(new_a - a) + abs(new_b - b)
        a, b, loss = new_a, new_b, new_loss
        if moved < 1e-10:
            break
    if not loss < start - 1e-12:
        return Calibrator()
    return Calibrator("platt", a=a, b=b)


def fit_value_calibrator(p: Doubles, y: Doubles) -> ValueCalibrator:
    """The scale in [0.1, 10] that makes the expected total the total that came.

    Few outcomes, or few large ones, say little of the total: the logarithm of the scale is shrunk
    as if 20 equal ones had been expected exactly. Does nothing (kind "none") with fewer than 10
    outcomes above zero or a total that is not positive on either side.

    >>> round(fit_value_calibrator(np.full(20, 2.0), np.full(20, 3.0)).scale, 3)
    1.225
    >>> round(fit_value_calibrator(np.full(9980, 2.0), np.full(9980, 3.0)).scale, 3)
    1.499
    """
    p, y = _checked(p, y)
    observed, expected = float(y.sum()), float(p.sum())
    if (y > 0).sum() < FEWEST or observed <= 0 or expected <= 0:
        return ValueCalibrator()
    n_effective = observed**2 / float((y**2).sum())
    scale = (observed / expected) ** (n_effective / (n_effective + _EXPECTED))
    return ValueCalibrator("scale", float(np.clip(scale, 0.1, 10.0)))


def _checked(p: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    p, y = np.asarray(p, np.float64), np.asarray(y, np.float64)
    if p.ndim != 1 or p.shape != y.shape:
        raise EvaluationError(
            f"scores and outcomes to calibrate must be two equal rows, got {p.shape} and {y.shape}"
        )
    if not (np.isfinite(p).all() and np.isfinite(y).all()):
        raise EvaluationError(
            "scores and outcomes to calibrate must be finite; leave out rows without an outcome"
        )
    return p, y


def _penalised_loss(x: Doubles, y: Doubles, a: float, b: float) -> float:
    z = a * x + b
    return float((np.logaddexp(0, z) - y * z).sum() + 0.5 * ((a - 1) ** 2 + b**2))


def _newton_step(x: Doubles, y: Doubles, a: float, b: float) -> tuple[float, float]:
    p = sigmoid(a * x + b)
    error, weight = p - y, p * (1 - p)
    grad_a, grad_b = float(error @ x) + a - 1, float(error.sum()) + b
    h_aa, h_ab, h_bb = float(weight @ (x * x)) + 1, float(weight @ x), float(weight.sum()) + 1
    determinant = h_aa * h_bb - h_ab * h_ab
    return (
        (h_bb * grad_a - h_ab * grad_b) / determinant,
        (h_aa * grad_b - h_ab * grad_a) / determinant,
    )
