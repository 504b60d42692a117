"""Attributes of a clip, given its label: what is felt, done and said, and when."""

from collections.abc import Sequence

from data_prep import act_sampling, recipes
from data_prep.act_sampling import AFTER_S
from tdmm_jax.language import lexicon, placing
from tdmm_jax.language.acts import Act

_MANNER_SHARES = (0.6, 0.1, 0.1, 0.1, 0.1)


def sample_attributes(
  label: str, duration_s: float, rng, names: Sequence[str] | None = None
) -> dict:
  """Attributes whose first (and longest) segment is the label.

  About a sixth of the clips go over to a second emotion, a few percent show two at
  once; half keep their head still; half are silent.

  Args:
    names: labels that a second emotion is drawn from, one as often as it occurs there;
      all by default.
  """
  others = [
    name
    for name in (lexicon.LABELS if names is None else names)
    if lexicon.LABELS[name].family != lexicon.LABELS[label].family
    and name != lexicon.NEUTRAL
  ]
  draw = rng.random()
  if draw < 0.165:
    middle = duration_s * rng.uniform(0.58, 0.70)
    spans = ((label, 0.0, middle), (str(rng.choice(others)), middle, duration_s))
  elif draw < 0.20 and label != lexicon.NEUTRAL:
    spans = ((label, 0.0, duration_s), (str(rng.choice(others)), 0.0, duration_s))
  else:
    spans = ((label, 0.0, duration_s),)
  speaking = str(rng.choice(lexicon.SPEAKING_MODES, p=(0.54, 0.35, 0.11)))
  names = [name for name, *_ in spans]
  emotions = [
    Act(name, True, start, end, _intensity(rng, name), when="then" if start else "")
    for name, start, end in spans
  ]
  acts = act_sampling.sample(
    rng, names, speaking, emotions[-1].when == "then", duration_s
  )
  chained = any(act.when == "then" for act in acts)
  if len(emotions) == 1 and label != lexicon.NEUTRAL:
    emotions = [_emotion_in_time(rng, emotions[0], duration_s, chained)]
  if not any(act.when in ("then", "while") for act in acts):
    acts += act_sampling.sample_absent(rng, names, acts, speaking)
  attributes = lexicon.attributes_of(
    [*emotions, *acts],
    duration_s,
    speaking,
    str(rng.choice(lexicon.MANNERS, p=_MANNER_SHARES)),
  )
  return placing.placed(attributes, duration_s, rng)


def _emotion_in_time(rng, act: Act, duration_s: float, chained: bool) -> Act:
  """Some emotions come slowly or quickly, and some after a time."""
  manner = recipes.MANNERS.get(act.name, recipes.USUAL)
  if manner != recipes.USUAL:
    return act
  draw = rng.random()
  if draw < 0.22:
    return act.replace(tempo="slow" if draw < 0.12 else "quick")
  if draw < 0.32 and not chained:
    start_s = float(rng.choice([t for t in AFTER_S if t + 1.4 < duration_s] or [0.5]))
    return act.replace(when="after", start_s=start_s)
  return act


def _intensity(rng, label: str) -> int:
  return (
    lexicon.DEFAULT_INTENSITY if label == lexicon.NEUTRAL else int(rng.integers(1, 6))
  )
