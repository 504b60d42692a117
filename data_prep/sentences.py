"""The sentence patterns of prompts and captions, and who is filmed and how.

Patterns, framings and closing sentences are partitioned: those of "valid" and "test"
occur nowhere in "train"; the first of a list is the plain one. `paraphrase` documents
the slots.

After a given beginning a pattern continues in one way only ({ing} or {fin}): otherwise
a model that writes the likeliest word would see the probability of an action halved,
and leave it out. Where one emotion follows another, what else is done has a sentence of
its own, or it would be said to come last.

"acts" are for clips of a neutral face that does something: they need not say neutral.
"""

import dataclasses

from tdmm_jax.language import motion_words

# split -> kind of emotion structure -> patterns
PATTERNS = {
  "train": {
    "single": (
      "{S} looks {adj_1}{ing}.",
      "{S} has {look_1}{ing}.",
      "{S} shows {np_1}{fin}.",
      "{S} faces the camera with {look_1}{ing}.",
      "{S} keeps {look_1}{fin}.",
      "{S} {voice} with {np_1}{ing}.",
      "{S} {voice} with {look_1}{ing}.",
      "{S} {voice} and looks {adj_1}{ing}.",
      "Close-up of {o}, {adj_1}{ing}.",
      "With {np_1}, {s} {voice}{ing}.",
      "{Look_1} crosses {s's} features{fin}.",
      "In a head-filling close-up, {s} is {adj_1}{ing}.",
      "{S} carries {look_1}{ing}.",
      "{Np_1} forms and lingers on {s's} face{fin}.",
      "{S} {vp_1}{fin}.",
      "In the picture {s} {vp_1}{fin}.",
      "We see {o}: {he} {vp_1}{fin}.",
      "The camera is on {o}, who {vp_1}{fin}.",
      "{S} {adv_1} faces the camera{ing}.",
      "{S} looks on {adv_1}{fin}.",
    ),
    "then": (
      "{S} looks {adj_1}, then {adj_2}{fin}.",
      "{S} shows {np_1}, then {np_2}{fin}.",
      "{S} shows {np_1} before {np_2}{fin}.",
      "{S} has {look_1} that gives way to {np_2}{fin}.",
      "{S} shifts from {adj_1} to {adj_2}{fin}.",
      "{S} begins {adj_1} and ends {adj_2}{fin}.",
      "{Np_1} gives way to {np_2} on {s's} face{fin}.",
      "{S} is {adj_1} and becomes {adj_2}{fin}.",
      "{S} shows {np_1}, followed by {np_2}{fin}.",
      "{S} {voice}, first {adj_1}, then {adj_2}{fin}.",
      "{S} {vp_1}, then {vp_2}{fin}.",
      "{S} {vp_1} until {he} {vp_2}{fin}.",
    ),
    "both": (
      "{S} looks both {adj_1} and {adj_2}{ing}.",
      "{S} shows {np_1} mixed with {np_2}{fin}.",
      "{S} has {look_1} and {look_2}{ing}.",
      "{S} {voice} with {np_1} and {np_2}{ing}.",
      "{S} is {adj_1} and {adj_2} at once{ing}.",
      "{S} {vp_1} and looks {adj_2}{fin}.",
      "{S} {vp_1}, {adv_2}{fin}.",
    ),
    "acts": (
      "{S} {does}.",
      "{S} is {doing}.",
      "Close-up of {o}, {doing}.",
      "In the video {s} {does}.",
      "We see {o} {doing}.",
      "The person is {o}, who {does}.",
    ),
  },
  "valid": {
    "single": (
      "{S} is seen {adj_1}{ing}.",
      "{S} puts on {look_1}{ing}.",
      "{S} gives off {np_1}{fin}.",
      "In this clip {s} {vp_1}{fin}.",
    ),
    "then": (
      "{S} is seen {adj_1}, then {adj_2}{fin}.",
      "{S} goes from {np_1} to {np_2}{fin}.",
    ),
    "both": (
      "{S} is seen {adj_1} and {adj_2}{ing}.",
      "{S} gives off {np_1} along with {np_2}{fin}.",
    ),
    "acts": (
      "{S} is seen {doing}.",
      "In this clip {s} {does}.",
    ),
  },
  "test": {
    "single": (
      "{S} seems {adj_1}{fin}.",
      "{S} wears {look_1}{ing}.",
      "There is {np_1} in {s's} face{fin}.",
      "{S} {voice}, and the mood is {adj_1}{fin}.",
      "As the camera watches, {s} {vp_1}{fin}.",
      "It is {o} who {vp_1}{fin}.",
    ),
    "then": (
      "{S} seems {adj_1}, then {np_2} takes over{fin}.",
      "{S} wears {look_1} before {np_2} sets in{fin}.",
      "There is {np_1} in {s's} face, which gives way to {np_2}{fin}.",
      "As the camera watches, {s} {vp_1} before {he} {vp_2}{fin}.",
    ),
    "both": (
      "{S} seems {adj_1} yet {adj_2}{ing}.",
      "{S} wears {look_1} along with {np_2}{fin}.",
      "In {s's} face there is {np_1} as well as {np_2}{fin}.",
    ),
    "acts": (
      "As the camera watches, {s} {does}.",
      "It is {o} who {does}.",
      "The viewer sees {o} {doing}.",
    ),
  },
}

# What a prompt may say of the picture, behind its first sentence. None of it moves.
FRAMINGS = {
  "train": (
    "The camera is stable.",
    "Stable camera, head and shoulders centered.",
    "The face fills the frame.",
    "A tight close-up on a plain background.",
    "Head-and-shoulders framing, even lighting.",
    "The shot is frontal and steady.",
    "The background is a plain gray wall.",
    "Studio lighting, frontal view.",
    "A static medium close-up.",
    "Filmed at eye level in a tidy office.",
    "The whole head stays in the frame.",
    "Natural daylight from a window.",
    "A portrait shot with a blurred background.",
    "The head is centered in the picture.",
    "No camera movement.",
    "A realistic video of one person.",
  ),
  "valid": (
    "A frontal portrait before a white wall.",
    "The lens is fixed on the face.",
  ),
  "test": (
    "A steady frontal portrait.",
    "The picture shows the head and the shoulders.",
    "Indoor light, a fixed lens.",
  ),
}

# The adverbial openings of a prompt: "In tight framing, the man looks sad."
OPENINGS = {
  "train": (
    "In tight framing, ",
    "In a portrait shot, ",
    "Centered before the camera, ",
    "In a head-filling close-up, ",
    "Before a plain background, ",
    "In a frontal video, ",
  ),
  "valid": ("Seen from the front, ",),
  "test": ("In a frontal portrait, ", "Filmed by a fixed camera, "),
}


@dataclasses.dataclass(frozen=True)
class Subject:
  """How one sentence refers to a person."""

  nominative: str
  objective: str
  pronoun: str
  possessive: str


# Groups of nouns that can mean the same person; shares of clips; {} is man or woman.
_HE = ("man, male, gentleman", "young man, boy", "old man, elderly man")
_SHE = ("woman, female, lady", "young woman, girl", "old woman, elderly woman")
_ROLES = (
  "teacher, doctor, student, office worker, presenter, news reader, nurse, scientist, "
  "lawyer, engineer, chef, musician, athlete, police officer, shopkeeper, writer, guest"
)
PERSON_SHARES = (0.5, 0.2, 0.12, 0.18)


def _person(nouns, pronoun: str) -> tuple[Subject, ...]:
  objective, possessive = {"he": ("him", "his"), "she": ("her", "her")}[pronoun]
  rows = [Subject(pronoun, objective, pronoun, possessive)] * len(nouns)
  for noun in nouns:
    for article in ("an" if noun[0] in "aeiou" else "a", "the"):
      phrase = f"{article} {noun}"
      rows.append(Subject(phrase, phrase, pronoun, possessive))
  return tuple(rows)


def _people():
  """pronoun -> groups in the order of PERSON_SHARES -> persons -> subjects."""
  people = {}
  for pronoun, plain, groups, actor in (
    ("he", "man", _HE, "actor"),
    ("she", "woman", _SHE, "actress"),
  ):
    named = [[_person(motion_words.listed(text), pronoun)] for text in groups]
    roles = [*motion_words.listed(_ROLES), actor]
    people[pronoun] = (*named, [_person((role, plain), pronoun) for role in roles])
  return people


PEOPLE = _people()
LOOK_NOUNS = ("look", "expression", "face", "gaze", "vibe")
