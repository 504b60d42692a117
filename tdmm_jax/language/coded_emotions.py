"""What action units say of an emotion, by what was counted on people.

Which units come with an emotion, coders of FACS counted in 327 posed apexes of CK+
(Lucey et al. 2010, "The Extended Cohn-Kanade Dataset"; the table of NetFACS). Who
talks shows less of it, and something else: that was counted in 936 spoken sentences of
18 actors (RAVDESS, Livingstone and Russo 2018), in OpenFace's units, each beside what
the same actor does in neutral speech. A fit of landmarks finds some units and misses
others: how often, on drawn people of whom it is known what they do.

A neutral talker is what is expected of a face that shows nothing. A family that is in no
table is as likely as its families are on average.
"""

import math
from collections.abc import Mapping

from tdmm_jax.language.emotion_words import NEUTRAL

# Landmarks do not tell a raised cheek from a tight lid, nor a wrinkled nose from a
# raised lip: one of the two.
UNITS = ("1", "2", "4", "5", "6 7", "9 10", "12", "14", "15")
# family -> share of apexes that show each of UNITS.
_POSED = {
  "happiness": (0.00, 0.00, 0.00, 0.00, 0.96, 0.00, 0.97, 0.00, 0.00),
  "surprise": (0.98, 0.98, 0.01, 0.84, 0.00, 0.02, 0.04, 0.01, 0.01),
  "anger": (0.00, 0.00, 0.89, 0.13, 0.71, 0.11, 0.02, 0.16, 0.07),
  "sadness": (0.93, 0.25, 0.82, 0.00, 0.04, 0.00, 0.00, 0.00, 0.82),
  "fear": (0.88, 0.40, 0.84, 0.64, 0.28, 0.16, 0.08, 0.20, 0.00),
  "disgust": (0.00, 0.00, 0.61, 0.00, 0.59, 1.00, 0.03, 0.03, 0.03),
  "contempt": (0.06, 0.06, 0.06, 0.00, 0.00, 0.00, 0.28, 0.94, 0.22),
}
# family -> share of spoken sentences in which each, on average over the sentence, is
# half a grade (of OpenFace's five) above the actor's neutral speech.
_SPOKEN = {
  NEUTRAL: (0.00, 0.01, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
  "happiness": (0.22, 0.29, 0.00, 0.15, 0.98, 0.97, 1.00, 0.90, 0.00),
  "surprise": (0.30, 0.34, 0.24, 0.53, 0.30, 0.29, 0.23, 0.17, 0.00),
  "anger": (0.00, 0.02, 0.33, 0.24, 0.26, 0.35, 0.01, 0.07, 0.04),
  "sadness": (0.40, 0.09, 0.55, 0.04, 0.36, 0.33, 0.19, 0.27, 0.26),
  "fear": (0.47, 0.24, 0.40, 0.49, 0.12, 0.31, 0.18, 0.08, 0.10),
  "disgust": (0.25, 0.05, 0.87, 0.03, 0.91, 0.99, 0.33, 0.35, 0.73),
}
# unit -> how often a fit finds it where it acts amid talk, and where it does not.
_FOUND = dict(
  zip(UNITS, (0.8, 0.8, 0.5, 0.4, 0.55, 0.95, 0.95, 0.55, 0.45), strict=True)
)
_INVENTED = dict(
  zip(UNITS, (0.04, 0.02, 0.02, 0.02, 0.1, 0.03, 0.1, 0.05, 0.25), strict=True)
)
# Mean activation that counts as seen: midpoint and width of a logistic.
_SEEN, _DOUBT = 0.15, 0.06
_LEAST = 0.05  # share of what nobody counted


def _odds(family: str) -> list[float]:
  """Of each unit: how likely a fit of somebody of this family shows it."""
  counted = [table[family] for table in (_POSED, _SPOKEN) if family in table]
  odds = []
  for unit, *shares in zip(UNITS, *counted, strict=True):
    acts = _LEAST + (1 - 2 * _LEAST) * sum(shares) / len(shares)
    odds.append(acts * _FOUND[unit] + (1 - acts) * _INVENTED[unit])
  return odds


_ODDS = {family: _odds(family) for family in {**_POSED, **_SPOKEN}}


def log_likelihoods(levels: Mapping[str, float]) -> dict[str, float]:
  """How well each family explains what a face shows, natural logarithms.

  Args:
    levels: FACS code -> mean activation over a clip, both sides; 1 is strong. All of
      the codes in UNITS.
  """
  level = {unit: max(levels[code] for code in unit.split()) for unit in UNITS}
  seen = [1 / (1 + math.exp((_SEEN - level[unit]) / _DOUBT)) for unit in UNITS]
  return {
    family: sum(
      s * math.log(p) + (1 - s) * math.log(1 - p)
      for s, p in zip(seen, odds, strict=True)
    )
    for family, odds in _ODDS.items()
  }


def average(likelihoods: Mapping[str, float]) -> float:
  """What `log_likelihoods` gives a family that it does not know."""
  mean = sum(map(math.exp, likelihoods.values())) / len(likelihoods)
  return math.log(mean)
