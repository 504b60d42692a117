"""What people write of acts in words that the lexicon does not have.

The lexicon's forms are part of every record's and checkpoint's version, so these are
put into its words when a prompt is read, and nowhere else: "his jaw fell" is read as
"his jaw drops". Sides become the subject's own ("screen left" is her right). What no
face has, and what a head without a body cannot do, is said.
"""

import difflib
import functools
import re
from typing import NamedTuple

from tdmm_jax.language import free_words, motion_words, reading

# Below this share of known words, of two or more, a text is not read as English: so are
# 0.3 % of the held-out sentences of data_prep/written.
_FEW_KNOWN = 0.5
_SHORT = 7  # words of a sentence that says what is done, and no more
_LIKE = 0.85  # difflib's ratio of two spellings: "smilling" is .93 like "smiling"
_OTHER = {"left": "right", "right": "left"}
_WHOSE = r"(?:his|her|their|the|my|your|its|an?)"
_LATERAL = rf"(?:to {_WHOSE} )?(?:left|right)"
_NUMBERS = {word: n for word, n in motion_words.NUMBERS.items() if n >= 1}
_NUMBERS |= {"zero": 0, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20}
_NUMBERS |= {"half a dozen": 6, "a dozen": 12, "a hundred": 100, "a thousand": 1000}
_NUMBER = "|".join([*sorted(_NUMBERS, key=len, reverse=True), r"\d+(?:\.\d+)?"])
_TIMES = re.compile(rf"(?P<verb>\b[a-z]+ )?\b(?P<number>{_NUMBER}) times\b")
_TRIES_NOT = (
  r"\b(?:tr(?:y|ies|ying|ied)|struggl\w+|fight\w*|fought|do(?:es|ing)? \w+ best)"
  r" (?:(?:so |very |really |too )?hard )?not to"
)
# "bites back a smile", "stifles her laughter", "can barely contain a grin"
_HOLDS_BACK = (
  r"\b(?:(?:hold|bite|fight|chok|forc|keep|swallow)(?:e?s|ing)? back|(?:suppress|stifl)"
  r"(?:e?s|ing|e)?|(?:barely |hardly )?contain(?:s|ing)?|bit back|fought back)"
  r" (?:a |an |his |her |their |the |some )?(?:\w+ )?"
)
_STOPS = r"(?<!t )(?<!not )(?<!never )(?<!to )\bstop(?:s|ped)"
_EYES = r"(?:eyes?|eyebrows?|brows?|cheeks?|eyelids?)"
_NO_SUCH = re.compile(
  rf"\b(?:(?:all )?(?:three|four|five|six|seven|eight|ten|many)(?: of {_WHOSE})?|top|"
  rf"bottom|front|back|cent(?:er|re)|extra) (?P<part>{_EYES})\b"
)
_BODY = re.compile(
  r"\b(?:wav|clap|rais|shak|lift|clench|fold|cross|point|wring|rub|stretch)\w* "
  rf"(?:{_WHOSE} )?(?:left |right |both )?(?:hands?|arms?|fists?|fingers?|legs?)\b|"
  rf"\bshrug(?:s|ging)?\b(?! (?:with )?{_WHOSE} (?:mouth|lips))|"
  r"(?:^|\b(?:he|she|they|man|woman|person|and) )(?:walks|runs|jumps|dances|kneels|"
  rf"salutes|waves|claps|bows|points)\b(?! {_WHOSE} head)"
)


_AT_ONCE = re.compile(
  r"\b(?:left and (?:\w+ ){0,3}right|right and (?:\w+ ){0,3}left) "
  r"(?:at once|at the same time|simultaneously)\b"
)


def _counted(match: re.Match) -> str:
  """ "nine times" -> the nearest count that the lexicon has."""
  verb, number = match["verb"] or "", _number(match["number"])
  if number < 1:
    return f"not {verb}"
  return f"{verb}{motion_words.COUNT_ADVERBS[_nearest(number)][0]}"


def _number(word: str) -> float:
  return _NUMBERS[word] if word in _NUMBERS else float(word)


def _nearest(number: float) -> int:
  return min(motion_words.COUNT_ADVERBS, key=lambda n: (abs(n - number), n))


def _others(match: re.Match) -> str:
  return f"her {_OTHER[match[1]]}"


# Pattern -> words of the lexicon; one after the other, on text in lower case.
_LOOSE = (
  # Words for emotions that mean something else here.
  (
    rf"\blost (?={_WHOSE} (?!plot|thread|bearings|way)|all|everything|it\b|him\b|"
    r"them\b|track|count|\d|control|power)",
    "loses ",
  ),
  (
    r"\b(the|an?|her|his|next|last) patients?\b(?! (?:man|woman|smile|look|face))",
    r"\1 person",
  ),
  (rf"\bcross(?:es|ed)? (?={_WHOSE} )", "passes "),
  (
    r"\b(the|an|fire|smoke|car|false|burglar|his|her|my) alarm\b(?! (?:on|in) )",
    r"\1 siren",
  ),
  (rf"\b({_WHOSE}|open|into|from|at) grave\b(?! (?:face|look|expression))", r"\1 tomb"),
  (r"\btorn (?=down|off|up|from|out|apart|knee|ligament|jeans|dress|shirt)", "ripped "),
  # Whose left it is: stage left is an actor's own.
  (r"\bstage[- ](left|right)\b", r"her \1"),
  (
    r"\b(?:(?:the )?(?:viewer|camera|audience|screen|frame|house)(?:'s|s')?|our)[- ]"
    r"(left|right)\b",
    _others,
  ),
  (r"\b(?:the )?(left|right) of (?:the )?(?:screen|frame|picture)\b", _others),
  (
    r"\b(eye|eyebrow|brow) (left|right)\b(?! (?:away|before|after|at|now|when))",
    r"\2 \1",
  ),
  (rf"\b(?:all )?(?:three|four|five|six) (?:of {_WHOSE} )?({_EYES})\b", r"both \1"),
  # Numbers and times.
  (r"\b(\d+) ?x(?= |$|[.,;])|\bx ?(\d+)\b", lambda m: f"{m[1] or m[2]} times"),
  (_TIMES, _counted),
  (rf"\bat the ({_NUMBER})[- ]seconds? mark\b", r"after \1 seconds"),
  (rf"(^|[.,;] ?)({_NUMBER}) seconds? in,", r"\1after \2 seconds,"),
  (r"(?:,? but)?,? (?:only|just) (?:a )?(?:little|tiny) bit\b", " a little"),
  (r"\beas(?:es|ing|e) into (?:an? )?", "slowly "),
  (r"\b(?:short|brief|curt) (nods?|winks?)\b", r"quick \1"),
  (
    r"\ban? ((?:small|slight|slow|quick|little|tiny|faint) )?(nod|wink|blink)\b"
    r"(?! of approval)",
    r"one \1\2",
  ),
  (
    r"\b(?:and |then )*(?:recover|return|go|relax|settle|reset|snap)(?:e?s|ed)? "
    r"(?:back )?to (?:neutral|normal|rest)\b|\bback to (?:neutral|normal)\b",
    "then neutral",
  ),
  # Head, as a whole.
  (rf"\bmov(?:es?|ing|ed) (?:{_WHOSE} )?head up and down\b", "nods"),
  (
    rf"\bmov(?:es?|ing|ed) (?:{_WHOSE} )?head (?:from )?(?:side to side|left "
    r"(?:to|and) right)\b",
    "shakes her head",
  ),
  # One after the other.
  *[(r"\b(left|right|up|down), (left|right|up|down)\b", r"\1, then \2")] * 2,
  (
    r"\b((?:look|glanc|turn|tilt|lean|shift|mov)(?:e?s|ing|e)?"
    rf"(?: (?:{_WHOSE} )?(?:head|eyes|gaze|jaw|mouth))?) "
    rf"({_LATERAL}|up|down) and (?:then )?({_LATERAL}|up|down)\b",
    r"\1 \2, then \1 \3",
  ),
  (
    r"\b(winks?) (left|right)(?:,| and)? then (left|right)\b",
    r"\1 with her \2 eye, then \1 with her \3 eye",
  ),
  (
    rf"\b((?:rais|clos|narrow|lift)(?:es|ing|e)|shuts|lifts) {_WHOSE} (left|right) "
    rf"(eyebrow|eye|brow)(?:,| and)? then {_WHOSE} (left|right)(?: one| \3)?\b",
    r"\1 her \2 \3, then \1 her \4 \3",
  ),
  (rf"{_STOPS} ([a-z]+ing) and\b", r"\1, then"),
  (
    rf"{_STOPS} (smiling|grinning|laughing|crying|frowning|sobbing|giggling)\b",
    r"\1, then neutral",
  ),
  (
    r"\b(smile|grin|laughter|smirk|frown|scowl) "
    r"(?:fades|dies|vanishes|disappears|drops|falls)(?: away)?(?! in)\b",
    r"\1, then neutral",
  ),
  # A frown is grief's, too, but not an angry one's.
  (
    r"\bfrown(?:s|ing|ed)? (?:very )?(?:angrily|furiously|crossly|(?:in|with) anger)\b|"
    r"\b(?:angrily|furiously) frown(?:s|ing|ed)?\b",
    "angry, furrows her brow",
  ),
  # What is held back can be seen.
  (
    rf"{_TRIES_NOT} (?:laugh|smile|grin|giggle)\b|"
    rf"{_HOLDS_BACK}(?:laugh|laughter|smile|grin|giggles?|smirk|mirth)\b|"
    r"\bkeep(?:s|ing)? from (?:laugh|smil|grinn)ing\b",
    "amused, presses her lips together",
  ),
  (
    rf"{_TRIES_NOT} (?:cry|weep|sob)\b|{_HOLDS_BACK}(?:tears?|sobs?)\b|"
    r"\bkeep(?:s|ing)? from (?:cry|weep|sobb)ing\b",
    "sad, presses her lips together",
  ),
  # Head.
  (rf"\b(?:shak(?:e|es|ing)|shook) (?:{_WHOSE} )?head,? [\"']?no\b", "shakes her head"),
  (rf"\b(?:shak(?:e|es|ing)|shook) (?:{_WHOSE} )?head,? [\"']?yes\b", "nods"),
  (
    rf"\b(?:snap|whip|jerk)s? {_WHOSE} head\b|\b(?:quick )?head (?:snap|whip)s?\b",
    "turns her head quickly",
  ),
  (
    rf"\b(?:toss|throw|tip|tilt)(?:e?s|ing)? {_WHOSE} head back\b|"
    rf"\bthrew {_WHOSE} head back\b|\bhead (?:is )?(?:tossed|thrown|tipped) back\b",
    "leans back",
  ),
  (
    rf"\b(?:lift|rais|tilt)(?:e?s|ing|e)? {_WHOSE} chin(?: up)?\b|"
    r"\bchin (?:up|raised|lifted|high)\b",
    "raises her head",
  ),
  (
    rf"\b(?:lower|drop|tuck)(?:s|ing)? {_WHOSE} chin\b|"
    r"\bchin (?:down|lowered|tucked)\b",
    "lowers her head",
  ),
  (
    rf"\blook(?:s|ing)? over {_WHOSE} (left|right) shoulder\b",
    r"turns her head to the \1",
  ),
  (
    rf"\blook(?:s|ing)? over to {_WHOSE} (left|right)\b",
    r"turns her head to the \1",
  ),
  # Several people, as one: "they grin, then look away".
  (
    r"\b(they|then) (look|glance|turn|tilt|lean|nod|shake|blink|wink|raise|lower|close|"
    r"open|roll|frown|smile|grin|laugh)\b",
    r"\1 \2s",
  ),
  (r"\blook(?:s|ing)? around\b", "looks to the left, then looks to the right"),
  # Eyes, brows, mouth.
  (
    rf"\bblink(?:s|ing|ed)? (?:with |using )?(?:only )?(?:{_WHOSE} )?"
    r"(left|right|one) eye\b",
    r"winks with her \1 eye",
  ),
  (
    r"\beyes (slowly|quickly|gently|gradually|suddenly) (close|shut|widen|narrow)\b",
    r"eyes \2 \1",
  ),
  (r"\beyes shut (?:tight|tightly)\b", "eyes shut"),
  (r"\beyes squeezed(?: shut| closed)?\b", "squeezes her eyes shut"),
  (r"\beyes (?:slide|slid|slip|slipped|drift|drifted) away\b", "glances away"),
  (r"\b(?:eyes )?(?:pop|fly|snap|shoot)s? (?:wide )?open(?: wide)?\b", "eyes wide"),
  (
    rf"\bopen(?:s|ing)? big (?:{_WHOSE} )?mouth\b|"
    rf"\bopen(?:s|ing)? (?:{_WHOSE} )?mouth big\b",
    "opens her mouth wide",
  ),
  (
    r"\b(one|left|right) (?:eyebrow|brow) (?:is )?(?:cocked|raised|lifted|arched|rises|"
    r"lifts|shoots up)\b",
    r"raises her \1 eyebrow",
  ),
  (
    r"\b(?:eye)?brows (?:shoot|shot|rise|rose|fly|flew|climb|jump)(?: up)?\b",
    "raises her eyebrows",
  ),
  (
    rf"\bw[ai]ggl(?:es?|ing|ed) {_WHOSE} (?:eye)?brows\b",
    "raises her eyebrows repeatedly",
  ),
  (
    r"\b(?:eye)?brows? (?:are )?(?:draw|draws|drew|drawn|knit|pull|pulled|come|came) "
    r"together\b|\b(?:eye)?brows down\b",
    "furrows her brow",
  ),
  (
    r"\bjaw (?:fell|falls|went slack|goes slack|slack|hits? the floor)(?: open)?\b",
    "jaw drops",
  ),
  (
    r"\bmouth pressed (?:flat|shut|tight)\b|"
    r"\b(?:mouth|lips) (?:in|pressed into|set in) a (?:thin|hard|flat|tight) line\b",
    "pressed lips",
  ),
  (
    r"\bsmirk(?:s|ing)? (?:to|on) (?:the|his|her|their) (left|right)(?: side)?\b",
    r"smirks with a lopsided smile on the \1 side",
  ),
  (r"\bnot a muscle\b", "expressionless"),
  (r"\bhardly any (?:expression|emotion)\b", "a faint neutral look"),
  (r"\bcheeks (?:are )?puffed(?: out| up)?\b", "puffed cheeks"),
  (
    rf"\blips (?:are )?(?:slightly )?parted\b|\bpart(?:s|ing) {_WHOSE} lips\b",
    "opens her mouth slightly",
  ),
)
_COMPILED = tuple((re.compile(pattern), words) for pattern, words in _LOOSE)


@functools.lru_cache(maxsize=100_000)
def plain(text: str) -> str:
  """The text with what the lexicon knows in its words; else the text as it is."""
  lowered = text.lower().replace("\u2019", "'")
  told = lowered
  for pattern, words in _COMPILED:
    told = pattern.sub(words, told)
  return text if told == lowered else told


def warnings(text: str) -> list[str]:
  """What of a text cannot be done as it says, one line each."""
  lowered, found = text.lower(), []
  for match in _TIMES.finditer(lowered):
    number = _number(match["number"])
    if number >= 1 and number not in motion_words.COUNT_ADVERBS:
      read = motion_words.COUNT_ADVERBS[_nearest(number)][0]
      found.append(f"'{match['number']} times' is read as '{read}'")
  if match := _NO_SUCH.search(lowered):
    part = match["part"].removesuffix("s")
    found.append(f"a face has a left and a right {part}; '{match[0]}' is read as these")
  if _AT_ONCE.search(lowered):
    found.append("left and right cannot be at once; one follows the other")
  if match := _BODY.search(lowered):
    found.append(f"'{match[0]}': only the face and the head move; that is left out")
  return found


def beyond_the_face(text: str) -> bool:
  """Whether a text asks for what a head without body, tongue and ears cannot do.

  A longer sentence tells a situation besides: "A pupil waves her hand in the air ..."
  """
  if len(text.split()) > _SHORT:
    return False
  unable = any(item.kind == "unable" for item in reading.read(text))
  return unable or bool(_BODY.search(text.lower()))


# Words that tell nothing of a situation.
_LITTLE = frozenset(
  motion_words.listed(
    "he, she, they, it, him, her, his, their, them, i, you, me, we, us, my, your, a, "
    "an, the, this, that, and, or, but, to, of, in, at, with, on, by, for, from, as, "
    "is, are, was, were, be, been, being, man, woman, boy, girl, person, someone, "
    "people, guy, lady, not, no"
  )
)


def words_besides(text: str) -> int:
  """How many words of a text say something that the lexicon does not read in it."""
  taken = {i for item in reading.read(text) for i in range(item.start, item.stop)}
  return sum(
    word.isalpha() and word not in _LITTLE and i not in taken
    for i, word in enumerate(reading.tokens_of(text))
  )


def is_english(text: str) -> bool:
  """Whether at least half of a text's words are known, or it has one word at most."""
  words = re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)*", text.lower().replace("\u2019", "'"))
  known = sum(word.removesuffix("'s") in _known_words() for word in words)
  return len(words) < 2 or known >= _FEW_KNOWN * len(words)


@functools.cache
def _known_words() -> frozenset[str]:
  """Words of the lexicon, and of the written sentences that guesses were fitted to."""
  forms = (tokens for rows in reading.index().values() for tokens, _, _ in rows)
  return frozenset(token for tokens in forms for token in tokens) | free_words.words()


class Misspelt(NamedTuple):
  """A word that is not known, and the lexicon's that it resembles."""

  word: str
  known: str
  label: str  # of the emotion that `known` names


def misspelt(text: str) -> list[Misspelt]:
  """The unknown words of a text that look like words for emotions."""
  found, words = [], _emotion_words()
  for word in re.findall(r"[a-z]{5,}", text.lower()):
    if word not in _known_words():
      near = difflib.get_close_matches(word, words, 1, _LIKE)
      found += [Misspelt(word, known, words[known]) for known in near]
  return found


@functools.cache
def _emotion_words() -> dict[str, str]:
  """One-word forms of emotions -> labels."""
  rows = (row for rows in reading.index().values() for row in rows)
  return {
    forms[0]: value
    for forms, kind, value in rows
    if kind == "emotion" and len(forms) == 1
  }
