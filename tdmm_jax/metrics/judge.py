"""The lexicon judge: CorE, CorM and CorI of a caption, 1 to 5, offline.

The rubric, which docs/metrics.md repeats and the language-model judge is given:

  CorE, each emotion: 5 the same label, 4 the same family, 3 near in valence and arousal
    (no further than NEAR), 2 of like valence (both pleasant, both unpleasant, or one
    neither), 1 otherwise.
  CorM: 1 + 4 F1 of what moves: head motions, micro-actions, the voice (silent counts,
    as speaking and singing do) and its manner.
  CorI, each emotion: 5 minus the difference of the levels, which are 1 to 5.

With several emotions, each one asked for is compared with the most similar one in the
caption and the other way round; both means count the same, so an omission costs as much
as an invention.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats
from sklearn import metrics as sklearn_metrics

from tdmm_jax.language import lexicon

NEAR = 0.5  # in Russell's plane, whose axes go from -1 to 1
_NEITHER = 0.15  # of a valence: neither pleasant nor unpleasant
ASPECTS = ("cor_e", "cor_m", "cor_i")


def emotion_score(truth: str, said: str) -> int:
  """CorE of one label against another, 1 .. 5."""
  a, b = lexicon.LABELS[truth], lexicon.LABELS[said]
  if a.name == b.name:
    return 5
  if a.family == b.family:
    return 4
  if np.hypot(a.valence - b.valence, a.arousal - b.arousal) <= NEAR:
    return 3
  sides = {0 if abs(x.valence) <= _NEITHER else np.sign(x.valence) for x in (a, b)}
  return 1 if sides == {-1, 1} else 2


def _moves(attributes: dict) -> set[str]:
  """What CorM compares."""
  manner = attributes.get("manner", lexicon.PLAIN)
  moves = {*attributes["head_motion"], *attributes["micro_actions"]}
  return moves | {attributes["speaking"]} | {manner} - {lexicon.PLAIN}


def judge(truth: dict, said: dict) -> dict[str, float]:
  """Scores 1 .. 5 of attributes `said` against the true ones; see the rubric."""
  emotions, intensities = [], []
  for ours, theirs in (
    (truth["segments"], said["segments"]),
    (said["segments"], truth["segments"]),
  ):
    pairs = [_likest(segment, theirs) for segment in ours]
    emotions.append(np.mean([emotion for emotion, _ in pairs]))
    intensities.append(np.mean([intensity for _, intensity in pairs]))
  a, b = _moves(truth), _moves(said)
  return {
    "cor_e": float(np.mean(emotions)),
    "cor_m": 1 + 4 * 2 * len(a & b) / (len(a) + len(b)),
    "cor_i": float(np.mean(intensities)),
  }


def _likest(segment: dict, others: Sequence[dict]) -> tuple[int, int]:
  """(CorE, CorI) with the most similar segment; ties go to the first."""
  scored = [
    (
      emotion_score(segment["emotion"], other["emotion"]),
      5 - abs(segment["intensity"] - other["intensity"]),
    )
    for other in others
  ]
  return max(scored)


def judge_all(truth: Sequence[dict], said: Sequence[dict]) -> dict[str, np.ndarray]:
  """{"cor_e", "cor_m", "cor_i": float[N]} of attributes said, clip by clip."""
  rows = [judge(t, s) for t, s in zip(truth, said, strict=True)]
  return {name: np.array([row[name] for row in rows]) for name in ASPECTS}


def means(scores: dict[str, np.ndarray]) -> dict[str, float]:
  return {name: float(np.mean(values)) for name, values in scores.items()}


def agreement(one: dict, other: dict) -> dict[str, dict[str, float | None]]:
  """How two judges agree, clip by clip, for each aspect.

  Args:
    one, other: float[N] of each of ASPECTS; NaN where a judge gave none.

  Returns:
    {aspect: {"spearman", "weighted_kappa" (quadratic, of scores rounded to 1 .. 5),
    "clips"}}; None where one of them always says the same.
  """
  found = {}
  for name in ASPECTS:
    a, b = np.asarray(one[name], float), np.asarray(other[name], float)
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    varied = len(a) > 1 and np.ptp(a) > 0 and np.ptp(b) > 0
    whole = [np.floor(x + 0.5).astype(int) for x in (a, b)]  # halves up, as people do
    kappa = (
      sklearn_metrics.cohen_kappa_score(
        *whole, labels=[1, 2, 3, 4, 5], weights="quadratic"
      )
      if varied
      else np.nan
    )
    rho = stats.spearmanr(a, b).statistic if varied else np.nan
    number = lambda x: float(x) if np.isfinite(x) else None
    found[name] = {
      "spearman": number(rho),
      "weighted_kappa": number(kappa),
      "clips": int(both.sum()),
    }
  return found
