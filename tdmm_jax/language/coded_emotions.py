"""What action units say of an emotion, by what was counted on people.

Which units come with an emotion, coders of FACS counted in 327 posed apexes of CK+
(Lucey et al. 2010, "The Extended Cohn-Kanade Dataset"; the table of NetFACS). Who
talks shows less of it, and something else: that was counted in 936 spoken sentences of
18 actors (RAVDESS, Livingstone and Russo 2018), in OpenFace's units, each beside what
the same actor does in neutral speech. A fit of landmarks finds some units and misses
others: how often, on drawn people of whom it is known what they do.

A unit acts clearly, in a trace or not at all. A face that shows nothing is a neutral
talker's. A family that is in no table is as likely as its families are on average.

Shape letters: U units.
"""

import math
from collections.abc import Mapping

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax.language.emotion_words import NEUTRAL

# Landmarks do not tell a raised cheek from a tight lid, nor a wrinkled nose from a
# raised lip: one of the two.
UNITS = ("1", "2", "4", "5", "6 7", "9 10", "12", "14", "15")
# family -> share of apexes that show each of UNITS. Contempt's AU 12 (0.28) is taken
# for that of one corner, which counts as AU 14.
_POSED = {
  "happiness": (0.00, 0.00, 0.00, 0.00, 0.96, 0.00, 0.97, 0.00, 0.00),
  "surprise": (0.98, 0.98, 0.01, 0.84, 0.00, 0.02, 0.04, 0.01, 0.01),
  "anger": (0.00, 0.00, 0.89, 0.13, 0.71, 0.11, 0.02, 0.16, 0.07),
  "sadness": (0.93, 0.25, 0.82, 0.00, 0.04, 0.00, 0.00, 0.00, 0.82),
  "fear": (0.88, 0.40, 0.84, 0.64, 0.28, 0.16, 0.08, 0.20, 0.00),
  "disgust": (0.00, 0.00, 0.61, 0.00, 0.59, 1.00, 0.03, 0.03, 0.03),
  "contempt": (0.06, 0.06, 0.06, 0.00, 0.00, 0.00, 0.00, 0.94, 0.22),
}
# family -> share of spoken sentences in which each, on average over the sentence, is
# half a grade (of OpenFace's five) above the actor's neutral speech; and a whole grade.
_SPOKEN = {
  NEUTRAL: (0.00, 0.01, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
  "happiness": (0.22, 0.29, 0.00, 0.15, 0.98, 0.97, 1.00, 0.90, 0.00),
  "surprise": (0.30, 0.34, 0.24, 0.53, 0.30, 0.29, 0.23, 0.17, 0.00),
  "anger": (0.00, 0.02, 0.33, 0.24, 0.26, 0.35, 0.01, 0.07, 0.04),
  "sadness": (0.40, 0.09, 0.55, 0.04, 0.36, 0.33, 0.19, 0.27, 0.26),
  "fear": (0.47, 0.24, 0.40, 0.49, 0.12, 0.31, 0.18, 0.08, 0.10),
  "disgust": (0.25, 0.05, 0.87, 0.03, 0.91, 0.99, 0.33, 0.35, 0.73),
}
_SPOKEN_CLEARLY = {
  NEUTRAL: (0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00, 0.00),
  "happiness": (0.08, 0.19, 0.00, 0.04, 0.81, 0.74, 0.99, 0.46, 0.00),
  "surprise": (0.18, 0.24, 0.12, 0.40, 0.18, 0.10, 0.11, 0.03, 0.00),
  "anger": (0.00, 0.00, 0.12, 0.09, 0.08, 0.10, 0.00, 0.00, 0.01),
  "sadness": (0.09, 0.02, 0.33, 0.00, 0.23, 0.16, 0.08, 0.08, 0.01),
  "fear": (0.17, 0.09, 0.21, 0.28, 0.03, 0.06, 0.01, 0.03, 0.00),
  "disgust": (0.06, 0.00, 0.68, 0.01, 0.75, 0.91, 0.03, 0.11, 0.26),
}
_POSED_TRACES = 0.3  # of what coders see at an apex; 0.1 to 0.5 read much the same
# How often a fit finds each of UNITS where it acts amid talk, and where it does not:
# 200 units on 11 drawn people, their rest known or not, within 0.05 and 0.8, for people
# do not move as the fit assumes. Of 16 clips of people talk lowered the corners of the
# mouth in four, a low brow was taken for a lowered one, and cheeks hardly showed.
_FOUND = (0.8, 0.8, 0.5, 0.4, 0.55, 0.8, 0.8, 0.55, 0.45)
_INVENTED = (0.05, 0.05, 0.1, 0.05, 0.1, 0.05, 0.1, 0.05, 0.25)
_INVENTED_CLEARLY = 0.4  # of these
# Mean activation of a trace, and of what is clear (FACS' A and B); and how sharply.
_TRACE, _CLEAR = (0.15, 0.06), (0.3, 0.1)
_LEAST = 0.02  # share of what nobody counted


def _grades(shown_U, clearly_U) -> np.ndarray:
  """How likely (nothing, a trace, clearly) is found of each unit, float[3, U].

  Args: shares of people who show the unit at all, and clearly.
  """
  shares = np.stack([1 - shown_U, shown_U - clearly_U, clearly_U])
  none, trace, clear = (shares + _LEAST) / (1 + 3 * _LEAST)
  found, invented = np.array(_FOUND), np.array(_INVENTED)
  return np.stack(
    [
      none * (1 - invented) + (trace + clear) * (1 - found),
      none * invented * (1 - _INVENTED_CLEARLY) + trace * found,
      none * invented * _INVENTED_CLEARLY + clear * found,
    ]
  )


def _ways() -> dict[str, list[np.ndarray]]:
  """Family -> the ways in which people show it, each as `_grades`."""
  ways: dict[str, list] = {}
  for family, shares in _POSED.items():
    shown = np.array(shares)
    ways.setdefault(family, []).append(_grades(shown, (1 - _POSED_TRACES) * shown))
  for family, shares in _SPOKEN.items():
    grades = _grades(np.array(shares), np.array(_SPOKEN_CLEARLY[family]))
    ways.setdefault(family, []).append(grades)
  return ways


_WAYS = _ways()


def log_likelihoods(levels: Mapping[str, float]) -> dict[str, float]:
  """How well each family explains what a face shows, natural logarithms.

  Of a family that was counted posed and spoken, either is as likely.

  Args:
    levels: FACS code -> mean activation over a clip, both sides; 1 is strong. All of
      the codes in UNITS.
  """
  level_U = np.array([max(levels[code] for code in unit.split()) for unit in UNITS])
  seen, clear = (scipy.special.expit((level_U - m) / w) for m, w in (_TRACE, _CLEAR))
  found_3U = np.stack([1 - seen, seen * (1 - clear), seen * clear])
  return {
    family: float(
      scipy.special.logsumexp([(found_3U * np.log(way)).sum() for way in ways])
      - math.log(len(ways))
    )
    for family, ways in _WAYS.items()
  }


def average(likelihoods: Mapping[str, float]) -> float:
  """What `log_likelihoods` gives a family that it does not know."""
  mean = sum(map(math.exp, likelihoods.values())) / len(likelihoods)
  return math.log(mean)
