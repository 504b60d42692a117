"""What action units say of an emotion, by what people coded by hand.

Each posed emotion comes with some action units and without others. How often, coders of
FACS counted in 327 apexes of CK+ (Lucey et al. 2010, "The Extended Cohn-Kanade
Dataset"); the counts are taken from the table that NetFACS publishes. Units that a
talking mouth uses all the time are left out, and so is what no coder was asked for:
a family that is not in the table is as likely as its families are on average.
"""

import math
from collections.abc import Mapping

from tdmm_jax.language.emotion_words import NEUTRAL

UNITS = ("1", "2", "4", "5", "6", "7", "9", "10", "12", "14", "15")
# family -> share of its apexes that show each of UNITS
_SHOWN = {
  "happiness": (0.00, 0.00, 0.00, 0.00, 0.96, 0.10, 0.00, 0.00, 0.97, 0.00, 0.00),
  "surprise": (0.98, 0.98, 0.01, 0.84, 0.00, 0.00, 0.00, 0.02, 0.04, 0.01, 0.01),
  "anger": (0.00, 0.00, 0.89, 0.13, 0.18, 0.71, 0.07, 0.04, 0.02, 0.16, 0.07),
  "sadness": (0.93, 0.25, 0.82, 0.00, 0.00, 0.04, 0.00, 0.00, 0.00, 0.00, 0.82),
  "fear": (0.88, 0.40, 0.84, 0.64, 0.12, 0.24, 0.00, 0.16, 0.08, 0.20, 0.00),
  "disgust": (0.00, 0.00, 0.61, 0.00, 0.31, 0.56, 0.98, 0.12, 0.03, 0.03, 0.03),
  "contempt": (0.06, 0.06, 0.06, 0.00, 0.00, 0.00, 0.00, 0.00, 0.28, 0.94, 0.22),
  NEUTRAL: (0.0,) * len(UNITS),
}
# Who talks shows half of what who poses does, and now and then a unit for no emotion.
# Both, and the level at which a unit is seen, were chosen among 190 settings on 18
# actors (RAVDESS, OpenFace's levels): the emotions are read at 0.55 there, the best of
# them at 0.58, chance is 0.14.
_IN_TALK, _WITHOUT = 0.5, 0.1
_SEEN, _DOUBT = 0.12, 0.06  # mean activation: midpoint and width of a logistic


def log_likelihoods(levels: Mapping[str, float]) -> dict[str, float]:
  """How well each family explains what a face shows, natural logarithms.

  Args:
    levels: FACS code -> mean activation over a clip, both sides; 1 is strong. All of
      UNITS.
  """
  seen = [1 / (1 + math.exp((_SEEN - levels[code]) / _DOUBT)) for code in UNITS]
  found = {}
  for family, shown in _SHOWN.items():
    odds = [_WITHOUT + _IN_TALK * share for share in shown]
    found[family] = sum(
      s * math.log(p) + (1 - s) * math.log(1 - p)
      for s, p in zip(seen, odds, strict=True)
    )
  return found


def average(likelihoods: Mapping[str, float]) -> float:
  """What `log_likelihoods` gives a family that it does not know."""
  mean = sum(map(math.exp, likelihoods.values())) / len(likelihoods)
  return math.log(mean)
