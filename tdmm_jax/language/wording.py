"""Acts back to words: what `lexicon.parse` reads as the same act.

A phrase is a verb with what is said of it: "turns his head slowly to the left",
"winking twice with her left eye", "without blinking". "~" stands for the possessive.
"""

import re
from collections.abc import Sequence

from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import motion_words
from tdmm_jax.language.acts import EMOTION, STILL, USUAL_SIZE, Act
from tdmm_jax.language.emotion_words import LABELS, NEUTRAL

COUNTS = {count: forms[:2] for count, forms in motion_words.COUNT_ADVERBS.items()}
_NOUNS = {"nod": "nods", "blink": "blinks", "wink": "winks", "sniff": "sniffs"}
_TEMPOS = {
  "slow": ("slowly", "gradually", "lazily"),
  "quick": ("quickly", "rapidly", "swiftly"),
}
_BRIEF = ("briefly", "for a moment")
# Size of an act -> how it is said: sizes in between are not.
SIZES = {1: "barely", 2: "slightly", 4: "strongly", 5: "extremely"}
_SIDE_OF = {  # where the verb names no body part
  "wink": "with ~ {} eye",
  "lopsided_smile": "on the {} side",
}
_PAIRED = re.compile(r"\b(eyes|eyebrows|brows|cheeks)\b")
_TIMES = {when: forms[:3] for when, forms in motion_words.WHENS.items()}
_NUMBERS = {v: k for k, v in motion_words.NUMBERS.items() if k not in ("a", "half")}
THIRD, PARTICIPLE, BASE = range(3)
TIME_STEP_S = 0.2
TIMES = tuple(f"<t{i}>" for i in range(61))  # instants of terms, up to 12 s
_LEVELS = {1: "barely", 2: "slightly", 4: "strongly", 5: "extremely"}


def seconds(value: float) -> str:
  """ "two seconds", "half a second", "1.5 seconds"."""
  if value == 0.5:
    return "half a second"
  word = _NUMBERS.get(value, f"{value:g}")
  return f"{word} second{'' if value == 1 else 's'}"


def usual(rng, options: Sequence):
  """The first in 55 % of cases, else any other; without rng, the first."""
  if rng is None or len(options) == 1 or rng.random() < 0.55:
    return options[0]
  return options[1 + int(rng.integers(len(options) - 1))]


def table_of(name: str):
  """The cells of a kind's forms."""
  if name in motion_words.HEAD_MOTIONS:
    return motion_words.HEAD_MOTIONS[name]
  return motion_words.MICRO_ACTIONS[name]


def verb(act: Act, rng=None) -> tuple[str, str, str]:
  """(third person, participle, base) of an act, with its side or direction.

  An emotion's is its verb, or "looks sad" where it has none.
  """
  if act.name == STILL:
    return "keeps ~ head still", "keeping ~ head still", "keep ~ head still"
  if act.emotion:
    label = LABELS[act.name]
    # "Smiles", but "looks impressed": nobody "admires extremely".
    if label.verbs and (rng or label.verbs[0][1] == label.adjectives[0]):
      third, participle = usual(rng, label.verbs)
    else:
      word = usual(rng, label.adjectives)
      third, participle = f"looks {word}", f"looking {word}"
    return third, participle, motion_words.base_form(third)
  cells = table_of(act.name)
  third, participle = usual(rng, list(zip(cells[0], cells[1], strict=True)))
  forms = (third, participle, motion_words.base_form(third))
  if act.side == "both":
    return tuple(_PAIRED.sub(r"\1", form).replace("~", "both") for form in forms)
  if act.side:
    side = act.side
    if act.name in _SIDE_OF:
      # The side follows the count: see `phrase`.
      return forms
    if side == "one":
      forms = tuple(form.replace("~", "one") for form in forms)
      return tuple(_PAIRED.sub(lambda m: m[1][:-1], form) for form in forms)
    return tuple(_PAIRED.sub(lambda m: f"{side} {m[1][:-1]}", form) for form in forms)
  if act.direction in ("left", "right"):
    whose = usual(rng, ("the", "~"))
    return tuple(f"{form} to {whose} {act.direction}" for form in forms)
  if act.direction:
    return tuple(f"{form} {act.direction}" for form in forms)
  return forms


def when_of(act: Act, rng=None) -> str:
  """ "at the end", "after two seconds"; empty where nothing is said."""
  if act.when == "after":
    return f"after {seconds(round(2 * act.start_s) / 2)}"
  return usual(rng, _TIMES[act.when]) if act.when in _TIMES else ""


def phrase(act: Act, form: int = THIRD, rng=None, times: bool = True) -> str:
  """The act in words.

  Args:
    act: one that is no part of "then" or "while" (who writes those joins phrases).
    form: THIRD ("nods twice"), PARTICIPLE ("nodding twice") or BASE.
    rng: np.random.Generator that chooses among words; None: the usual ones.
    times: whether to say when.
  """
  if act.absent:
    return _denied(act, form)
  few = act.count in (2, 3) and act.name in _NOUNS and not act.hold
  if few and rng is not None and rng.random() < 0.2:
    return _as_noun(act, form, rng, times)
  words = [verb(act, rng)[form]]
  if act.tempo and rng is not None and form != BASE and rng.random() < 0.35:
    words.insert(0, usual(rng, _TEMPOS[act.tempo]))
  elif act.tempo:
    words.append(usual(rng, _TEMPOS[act.tempo]))
  if act.name in _SIDE_OF and act.side:
    words.insert(-1 if act.tempo and words[-1].endswith("ly") else 2, _beside(act))
  if act.size != USUAL_SIZE and act.what != EMOTION:
    words.append(SIZES[act.size])
  if act.count:
    words.append(usual(rng, COUNTS[act.count]))
  elif act.name == "blink" and not act.hold:
    words.append("repeatedly")
  if act.hold == "brief":
    words.append(usual(rng, _BRIEF))
  elif act.hold == "held":
    words.append("and holds it" if form == THIRD else "and holding it")
  if times and (when := when_of(act, rng)):
    words.append(when)
  return " ".join(words)


def _beside(act: Act) -> str:
  side = _SIDE_OF[act.name].format(act.side)
  return side.replace("the one", "one").replace("~ one", "one")


def _as_noun(act: Act, form: int, rng, times: bool) -> str:
  """ "gives two quick nods"."""
  number = {1: "a single", 2: "two", 3: "three", 4: "four"}[act.count]
  tempo = {"slow": "slow ", "quick": "quick ", "": ""}[act.tempo]
  words = [("gives", "giving", "give")[form], f"{number} {tempo}{_NOUNS[act.name]}"]
  if act.name in _SIDE_OF and act.side:
    words.append(_beside(act))
  if act.size != USUAL_SIZE:
    words.append(SIZES[act.size])
  if times and (when := when_of(act, rng)):
    words.append(when)
  return " ".join(words)


def _denied(act: Act, form: int) -> str:
  _, participle, base = verb(act)
  if act.emotion and not LABELS[act.name].verbs:
    word = LABELS[act.name].adjectives[0]
    return f"does not look {word}" if form == THIRD else f"not looking {word}"
  return f"does not {base}" if form == THIRD else f"without {participle}"


def sentence(acts: Sequence[Act], subject: str = "she", possessive: str = "her") -> str:
  """One sentence of all acts, in the usual words; it reads back as the same acts."""
  text, first = "", True
  for act in acts:
    if act.name == NEUTRAL and len(acts) > 1:
      continue
    said = phrase(act).replace("~", possessive)
    if act.emotion and act.size != USUAL_SIZE and not act.absent:
      said = _graded(act, said)
    if first:
      joint = f"{subject} "
    elif act.when == "then":
      joint = ", then "
    elif act.when == "while":
      joint, said = " while ", phrase(act, PARTICIPLE).replace("~", possessive)
    else:
      joint = f". {subject} "
    text, first = text + joint + said, False
  text = re.sub(r"(^|\. )([a-z])", lambda m: m[1] + m[2].upper(), text)
  return f"{text}." if text else ""


def terms(
  attributes: dict,
  timed: bool = False,
  names: Sequence[str] | None = None,
  labels: bool = True,
) -> str:
  """The acts of attributes in fixed terms, the same for all that means the same.

  "happiness grinning strongly; wink x2 left then; no blink": no English, but one word
  for each thing that can be said of an act.

  Args:
    attributes: of a record or of a text.
    timed: whether each act is followed by when it begins and ends, as TIMES: for
      attributes whose acts are placed. Emotions that last throughout have no times.
    names: of the acts that are told; all by default.
    labels: whether an emotion's label follows its family.
  """
  acts = acts_lib.acts_of(attributes)
  told = [act for act in acts if names is None or act.name in names]
  starts = {act.start_s for act in told if act.emotion}
  found = []
  for act in told:
    lasts = act.absent or act.name == STILL
    lasts |= act.emotion and len(starts) == 1 and not act.start_s
    found.append(_term(act, labels) + ("" if lasts or not timed else _times(act)))
  if attributes["speaking"] != "silent":
    manner = attributes["manner"]
    plain = manner == "plain"
    found.append(attributes["speaking"] + ("" if plain else f" {manner}"))
  return "; ".join(filter(None, found))


def _times(act: Act) -> str:
  at = (min(round(s / TIME_STEP_S), len(TIMES) - 1) for s in (act.start_s, act.end_s))
  return " " + "".join(TIMES[i] for i in at)


def _term(act: Act, labels: bool = True) -> str:
  words = ["no"] if act.absent else []
  if act.emotion:
    family = LABELS[act.name].family
    words += [family, act.name] if labels and family != act.name else [family]
  else:
    words.append(act.name.replace("_", " "))
  if act.size != USUAL_SIZE:
    words.append(_LEVELS[act.size])
  if act.count:
    words.append(f"x{act.count}")
  words += filter(None, (act.side, act.direction, act.tempo, act.hold, act.when))
  if act.when == "after":
    words.append(f"{round(2 * act.start_s) / 2:g}")
  return " ".join(words)


def _graded(act: Act, said: str) -> str:
  """ "smiles slightly", "looks slightly sad"."""
  word = motion_words.INTENSITIES[act.size][1][0]
  verb_, _, rest = said.partition(" ")
  if verb_ == "looks":
    return f"looks {word} {rest}"
  # "very" does not follow a verb.
  word = {"very": "strongly"}.get(word, word)
  return f"{verb_} {word} {rest}".strip()
