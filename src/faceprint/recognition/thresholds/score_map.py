"""From a similarity to a probability, and to "1 in N non-mated pairs scores this high".

Both come from measured pairs and say so: the probability holds for a stated share of mated pairs,
and the tail ends where the data end. They are fitted in `faceprint.evaluation.score_map_fit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MapKind", "Reliability", "ScoreMap", "Tail", "TailAnswer"]

MapKind = Literal["isotonic", "logistic"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScoreMap:
    """The probability that a pair of this similarity is mated.

    Attributes:
        similarities, probabilities: knots, both rising; straight lines between, level outside.
        prior: the share of mated pairs that the probabilities are for. With another share `q`,
            multiply the odds by q (1 - prior) / ((1 - q) prior).
    """

    kind: MapKind
    similarities: tuple[float, ...]
    probabilities: tuple[float, ...]
    prior: float

    def probability(self, similarity: ArrayLike) -> Floats:
        """The probabilities of similarities, of the same shape."""
        known = np.interp(np.asarray(similarity, np.float64), self.similarities, self.probabilities)
        return np.asarray(known, np.float64)


@dataclass(frozen=True, slots=True)
class Reliability:
    """What was promised against what happened, for a reliability plot.

    Attributes:
        predicted, observed: mean promise and share of mated pairs in each bin, at the map's prior.
        pairs: in each bin.
        error: the mean difference of both, by weight (expected calibration error).
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    pairs: tuple[int, ...]
    error: float


@dataclass(frozen=True, slots=True)
class TailAnswer:
    """How rare a similarity is among non-mated pairs.

    Attributes:
        one_in: N of "1 in N"; when `beyond`, rarer than that, by how much nobody has measured.
    """

    one_in: float
    beyond: bool
    statement: str


@dataclass(frozen=True, slots=True)
class Tail:
    """The upper tail of the non-mated similarities.

    Attributes:
        similarities: rising, and `one_in`: at or above each, 1 in so many non-mated pairs lies.
            The last is the rarest that the data support.
    """

    similarities: tuple[float, ...]
    one_in: tuple[float, ...]

    def answer(self, similarity: float) -> TailAnswer:
        """ "1 in N non-mated pairs scores this high", never beyond what was measured."""
        if not self.similarities:
            told = "how rare this similarity is among different people was not measured"
            return TailAnswer(1.0, True, f"{told}: the calibration had too few people")
        place = int(np.searchsorted(self.similarities, similarity, side="right")) - 1
        if place < 0:
            return TailAnswer(1.0, False, "every non-mated pair scores this high")
        beyond = place == len(self.one_in) - 1
        one_in = float(f"{self.one_in[place]:.2g}")
        if beyond:
            told = f"at most 1 in {one_in:,.0f} non-mated pairs scores this high; "
            return TailAnswer(
                one_in, True, told + "the calibration's data cannot say how rare it is"
            )
        return TailAnswer(one_in, False, f"1 in {one_in:,g} non-mated pairs scores this high")
