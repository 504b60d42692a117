"""Who a caption is about: nobody's sex, age or trade can be read in a motion.

A model says "the man" because its captions did. `addressed` says "someone" instead, or
whoever the caller says it is.
"""

import re

from tdmm_jax.language import motion_words

NEUTRAL = "someone"
_MEN = "man, male, gentleman, boy, guy, actor, men"
_WOMEN = "woman, female, lady, girl, actress, women"
_OTHERS = (
  "person, face, individual, subject, figure, adult, child, kid, teenager, teacher, "
  "doctor, student, office worker, presenter, news reader, nurse, scientist, lawyer, "
  "engineer, chef, musician, athlete, police officer, shopkeeper, writer, guest"
)
_ONE_OF = lambda *lists: "|".join(
  n for text in lists for n in motion_words.listed(text)
)
WORDS = frozenset(_ONE_OF(_MEN, _WOMEN, _OTHERS).split("|")) | {"baby", "toddler"}
# "the face" is what moves, no person.
_NOUN = _ONE_OF(_MEN, _WOMEN, _OTHERS.replace("face, ", ""))
_PHRASE = (
  rf"(?:a|an|the|this|that|one) (?:(?:very )?(?:young|old|elderly|adult) )*(?:{_NOUN})"
)
_PERSON = re.compile(
  rf"\b(?P<noun>{_PHRASE})(?P<owns>'s)?\b|\b(?P<pronoun>he|she|him|his|himself|hers|"
  r"herself|her|someone(?P<someones>'s)?)\b",
  re.IGNORECASE,
)
_MALE = re.compile(rf"\b(?:he|him|his|{_ONE_OF(_MEN)})\b", re.IGNORECASE)
_FEMALE = re.compile(rf"\b(?:she|her|{_ONE_OF(_WOMEN)})\b", re.IGNORECASE)
# After "her" as an object: "the camera is on her, who", "we see her smiling".
_NO_OWNER = re.compile(r"(?! [a-z])| (?:and|then|who|while|as|with|in|\w+ing)\b")
_OBJECT = re.compile(r"\b(?:of|on|is|sees?|shows?|watch(?:es)?) $")
# "The person is the man, who nods": one person, named twice.
_TWICE = re.compile(rf"^({_PHRASE}) is {_PHRASE},? who ", re.IGNORECASE)
# Nominative, possessive and object of those who have been named.
_HE, _SHE = ("he", "his", "him"), ("she", "her", "her")
_ANYONE = ("the person", "their", "them")


def of(prompt: str) -> str:
  """The subject that a prompt names first, "a woman"; NEUTRAL if it names none."""
  for match in _PERSON.finditer(prompt):
    if match["noun"]:
      return match["noun"].lower()
    pronoun = match["pronoun"].lower()
    if pronoun in ("he", "him", "his", "himself"):
      return "he"
    if pronoun in ("she", "her", "hers", "herself"):
      return "she"
  return NEUTRAL


def addressed(text: str, subject: str = NEUTRAL) -> str:
  """A model's caption or answer, about this subject.

  Args:
    text: its people are those that captions speak of: "a young man", "she".
    subject: as in the middle of a sentence: "someone", "the woman", "she", "Anna".
  """
  subject = " ".join(subject.split()) or NEUTRAL
  text = _TWICE.sub(r"\1 ", text)
  later = _ANYONE
  if _MALE.search(subject) or _FEMALE.search(subject):
    later = _HE if _MALE.search(subject) else _SHE
  elif subject != NEUTRAL and not re.match(r"(?:an?|the|this|one|some) ", subject):
    later = (subject, "their", "them")  # a name
  named = subject in ("he", "she")
  out, end = [], 0

  def possessive(first: bool) -> str:
    return f"{subject}'s" if first else later[1]

  for match in _PERSON.finditer(text):
    word = (match["pronoun"] or "").lower()
    first, owns = not named, bool(match["owns"] or match["someones"])
    before = text[: match.start()]
    if match["noun"] or word.startswith("someone"):
      said = possessive(first) if owns else subject if first else later[0]
      if said in ("he", "she") and _OBJECT.search(before):
        said = later[2]
      named = True
    elif word in ("he", "she"):
      said, named = subject if first else later[0], True
    elif word in ("himself", "herself"):
      said = {"he": "himself", "she": "herself"}.get(later[0], "themself")
    elif word == "him" or (word == "her" and _NO_OWNER.match(text, match.end())):
      said, named = subject if first else later[2], True
    else:
      said, named = possessive(first), True
    capital = match[0][0].isupper()
    out += [text[end : match.start()], said[0].upper() + said[1:] if capital else said]
    end = match.end()
  return "".join(out) + text[end:]
