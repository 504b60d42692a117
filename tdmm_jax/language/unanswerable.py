"""Questions that no motion can answer: a face's parameters have no eye colour.

A model answers them all the same, with whatever it was trained to say; so they are
recognised by their words, and the answer says what a motion does hold.
"""

import re

ANSWER = (
  "A motion does not tell: it holds how the face and the head move, not how a person "
  "looks, who it is, or what is said or thought."
)
_LOOKS = (
  r"colou?rs? of|eye colou?rs?|colou?red|(what|which) colou?rs?|hair\w*|bald|beards?|"
  r"m(o)?ustaches?|glasses|spectacles|wears?|wearing|clothes|clothing|hats?|earrings?|"
  r"make-?up|lipstick|skin|freckles|scars?|tattoos?|(how|years) old|age|aged|"
  r"elderly|teenager|tall|height|weigh\w*|attractive|beautiful|handsome|pretty|ugly"
)
_WHO = (
  r"who|whose|whom|(his|her|their|person's|man's|woman's) name|(is|are) \w+ called|"
  r"gender|sex|male|female|(wo)?man or|boy or|girl or|race|ethnic\w*|nationality|"
  r"country|religion|famous|celebrity|actor|actress|job"
)
_WORLD = (
  r"background|room|indoors|outdoors|weather|lighting|camera|where (is|are|was)|"
  r"what (year|day|time)"
)
_MIND = (
  r"why|thinks?|thinking|thoughts?|lying|lies|honest|truth\w*|intelligent|clever|"
  r"drunk|(mentally )?ill|sick|diagnos\w*|(what|which) (words?|song|language)|accent|"
  r"what (is|are|was|were|does|do|did) (\w+ ){1,2}(say|saying|sing|singing)|voice|"
  r"sounds? like|lyrics"
)
# "Which expression is she wearing?" asks for what a motion shows, whatever its verb.
_SHOWN = re.compile(r"\b(expressions?|emotions?|moods?|feelings?)\b", re.IGNORECASE)
_UNSEEN = re.compile(rf"\b({_LOOKS}|{_WHO}|{_WORLD}|{_MIND})\b", re.IGNORECASE)


def answer(question: str | None) -> str | None:
  """What to say to a question that a motion cannot answer; None for all others."""
  if not question or _SHOWN.search(question):
    return None
  return ANSWER if _UNSEEN.search(question) else None
