"""Speech-like and singing motion of jaw and lips: co-articulated visemes.

Syllables follow each other at 3-6 Hz in phrases with pauses. Each is an onset consonant
and a vowel with a target shape of the mouth; targets blend by dominance functions that
overlap in time, so that neighbours colour each other (Cohen & Massaro 1993, "Modeling
coarticulation in synthetic visual speech"). No language is modelled: only what is seen.

Shape letters: T frames, K visemes, C channels (data_prep.expressions).
"""

import functools

import numpy as np

from data_prep import expressions

# recipe, share of syllables
VOWELS = (
  ("jaw=.17 25=.3", 0.24),  # a
  ("jaw=.10 20=.2 25=.3 12=.08", 0.22),  # e
  ("jaw=.05 20=.4 25=.25 12=.12", 0.16),  # i
  ("jaw=.12 18=.3 22=.45", 0.16),  # o
  ("jaw=.05 18=.65 22=.3", 0.10),  # u
  ("jaw=.07 25=.25", 0.12),  # neutral
)
SUNG_VOWELS = (
  ("jaw=.30 25=.35", 0.38),
  ("jaw=.20 20=.3 25=.35", 0.20),
  ("jaw=.16 20=.4 25=.3", 0.10),
  ("jaw=.24 18=.35 22=.5", 0.24),
  ("jaw=.13 18=.7 22=.35", 0.08),
)
CONSONANTS = (
  ("jaw=.01 24=.5 lips_toward=.3", 0.24),  # p b m
  ("jaw=.03 lower_lip_press=.5 10=.2", 0.10),  # f v
  ("jaw=.03 25=.2", 0.42),  # t d n s l
  ("jaw=.06 25=.2", 0.14),  # k g
  ("jaw=.03 22=.45 25=.2", 0.10),  # sh ch
)


@functools.cache
def _table(name: str) -> tuple[np.ndarray, np.ndarray]:
  """(float32[N, C] shapes, cumulative shares)."""
  rows = {"vowels": VOWELS, "sung": SUNG_VOWELS, "consonants": CONSONANTS}[name]
  shapes = np.stack([expressions.recipe_vector(text) for text, _ in rows])
  shares = np.cumsum([share for _, share in rows])
  return shapes, shares / shares[-1]


def _draw(name: str, count: int, rng) -> np.ndarray:
  shapes, cumulative = _table(name)
  return shapes[np.searchsorted(cumulative, rng.random(count), side="right")]


def _syllables(rng, duration_s: float, interval_s: float, per_phrase, pause_s):
  """Onset times and lengths (s) of the syllables, phrase after phrase."""
  count = int(duration_s / interval_s) + 2
  lengths = interval_s * np.exp(rng.normal(0.0, 0.22, count))
  gaps = np.zeros(count)
  at = int(rng.integers(*per_phrase))
  while at < count:
    gaps[at] = rng.uniform(*pause_s)
    at += int(rng.integers(*per_phrase))
  starts = np.cumsum(lengths + gaps) - lengths + rng.uniform(0.04, 0.35)
  keep = starts + lengths < duration_s
  return starts[keep], lengths[keep]


def speaking(rng, times_T: np.ndarray, tempo: float, vigour: float) -> np.ndarray:
  """float32[T, C]: a mouth that talks.

  Args:
    rng: np.random.Generator.
    times_T: seconds, from 0.
    tempo: 1 is about 4.5 syllables a second.
    vigour: 1 is ordinary articulation.
  """
  interval_s = 1.0 / np.clip(rng.uniform(3.7, 5.3) * tempo, 2.0, 7.0)
  starts, lengths = _syllables(rng, times_T[-1], interval_s, (5, 11), (0.2, 0.45))
  stress = np.exp(rng.normal(0.0, 0.25, len(starts)))[:, None]
  vowels = _draw("vowels", len(starts), rng) * (vigour * stress)
  consonants = _draw("consonants", len(starts), rng)
  return _blend(
    times_T,
    np.concatenate([vowels, consonants]),
    np.concatenate([starts + 0.55 * lengths, starts]),
    np.concatenate([0.42 * lengths, np.full(len(starts), 0.055)]),
    np.concatenate([np.full(len(starts), 1.0), np.full(len(starts), 1.6)]),
    power=2,
  )


def singing(rng, times_T: np.ndarray, tempo: float, vigour: float) -> np.ndarray:
  """float32[T, C]: a mouth that sings: slower, larger, vowels held, some vibrato."""
  interval_s = 1.0 / np.clip(rng.uniform(1.1, 1.8) * tempo, 1.0, 2.0)
  starts, lengths = _syllables(rng, times_T[-1], interval_s, (3, 6), (0.25, 0.5))
  vowels = _draw("sung", len(starts), rng)
  vowels = vowels * (vigour * np.exp(rng.normal(0.0, 0.15, len(starts)))[:, None])
  consonants = _draw("consonants", len(starts), rng)
  mouth = _blend(
    times_T,
    np.concatenate([vowels, consonants]),
    np.concatenate([starts + 0.5 * lengths, starts]),
    np.concatenate([0.5 * lengths, np.full(len(starts), 0.06)]),
    np.concatenate([np.full(len(starts), 1.0), np.full(len(starts), 1.2)]),
    power=4,
  )
  vibrato = 1.0 + 0.06 * np.sin(2 * np.pi * (5.3 * times_T + rng.random()))
  jaw = expressions.CHANNEL_INDEX["jaw_open"]
  mouth[:, jaw] *= vibrato
  return mouth


def _blend(times_T, targets_KC, centres_K, widths_K, weights_K, power) -> np.ndarray:
  """Dominance-weighted mean of the targets; the mouth rests where none dominates."""
  if not len(centres_K):
    return np.zeros((len(times_T), targets_KC.shape[1]), np.float32)
  away_TK = (times_T[:, None] - centres_K) / widths_K
  dominance_TK = weights_K * np.exp(-(away_TK**power)).astype(np.float32)
  total_T1 = dominance_TK.sum(1, keepdims=True)
  mouth_TC = dominance_TK @ targets_KC / np.maximum(total_T1, 0.8)
  # Flesh is slower than the targets ask: a binomial filter of three frames.
  padded = np.concatenate([mouth_TC[:1], mouth_TC, mouth_TC[-1:]])
  smooth_TC = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
  return smooth_TC.astype(np.float32)
