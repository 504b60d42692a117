"""Questions about a motion, in hundreds of wordings; those of test are kept apart.

A model that is asked in a handful of wordings learns them by heart and fails on any
other. So training has patterns: "[which|what] [emotion|mood] is this?" stands for each
of its choices, which may have choices inside.
"""

import functools
import itertools

SPLITS = ("train", "valid", "test")

# Before any question, and after it.
_OPENINGS = (
  "",
  "",
  "",
  "[please |]tell me: ",
  "in this [clip|motion|animation], ",
  "[look at|watch] the [face|motion]: ",
  "[i want to know|i wonder]: ",
  "question: ",
)
_FEELING = "[emotion|feeling|mood|expression]"
_SUBJECT = "[the face|the person|this person|the [man|woman]|he|she]"

# kind of question -> patterns of train; wordings of valid; of test
_QUESTIONS = {
  "emotion": (
    (
      f"[what|which] {_FEELING} does {_SUBJECT} [show|express|display|have]?",
      f"[what|which] {_FEELING} is [this|it|shown|on the face|expressed here]?",
      f"how does {_SUBJECT} [feel|look]?",
      f"[what|how] is {_SUBJECT} feeling?",
      f"[name|give|identify] the [main |]{_FEELING}[| of the person| that is shown].",
      f"what is the [main |]{_FEELING} [of the face|of the person|here]?",
      f"which {_FEELING} dominates[| the clip]?",
      "what mood is [the person|he|she] in?",
    ),
    ("Which emotion do you see?",),
    ("What does this person seem to feel?", "State the emotion of the face."),
  ),
  "intensity": (
    (
      f"how [strong|intense|marked|weak or strong] is the {_FEELING}?",
      f"what is the [intensity|strength|degree|level] of the {_FEELING}?",
      f"is the {_FEELING} [weak or strong|slight or extreme|mild or intense]?",
      f"[rate|estimate|judge] [how [strong|intense] the {_FEELING} is"
      f"|the [intensity|strength] of the {_FEELING}].",
      f"how [clearly|strongly|intensely] is the {_FEELING} [visible|shown|expressed]?",
      f"how [clearly|strongly|intensely] does {_SUBJECT} [show|express|feel] it?",
      f"to what [degree|extent] is the {_FEELING} [shown|felt|visible]?",
      f"how strongly is the {_FEELING} [shown|felt]?",
    ),
    ("How much emotion is in the face?",),
    ("With what intensity does the face show it?", "How pronounced is the emotion?"),
  ),
  "head": (
    (
      "does the head [move|turn|nod|shake|tilt|stay still]?",
      "how [does the head move|is the head [moving|moved]]?",
      "is the head [still|moving|nodding|shaking|turning|tilted]?",
      "what [is the head doing|does the head do]?",
      "[describe|name] the [motion|movement]s[| made] of the head.",
      "[what|which] [motion|movement|head motion]s does the head make?",
      "[what|which] head [motion|movement]s [is there|are there|occur]?",
      f"does {_SUBJECT} [move|turn|nod|shake] the head[|, and how]?",
      "[describe|name] the head [motion|movement].",
    ),
    ("Is there any movement of the head?",),
    ("In which way does the head move?", "Say whether and how the head moves."),
  ),
  "blink": (
    (
      f"does {_SUBJECT} blink[| repeatedly| often| a lot| more than usual]?",
      f"is {_SUBJECT} blinking[| often| a lot| many times]?",
      "is there [repeated |frequent |much |any |]blinking?",
      "do the [eyes|eyelids] blink[| several times| repeatedly| often| a lot]?",
      "are the eyes blinking[| repeatedly| often]?",
      "are there [many|several|repeated|any] blinks?",
      f"how [often|much] does {_SUBJECT} blink?",
      "do the eyes [close and open|open and close] [repeatedly|many times|often]?",
    ),
    ("Is the person blinking repeatedly?",),
    ("Do you see the eyes blink again and again?", "Does someone blink here?"),
  ),
  "speaking": (
    (
      f"is {_SUBJECT} [speaking|talking|singing|silent|speaking or silent]?",
      f"does {_SUBJECT} [speak|talk|sing|talk or sing|say [anything|something]]?",
      "is [somebody|anybody] [speaking|talking|speaking, singing or silent]?",
      "does the mouth [form words|speak|talk|sing]?",
      "[speaking|talking], singing or silent?",
      "is there any [talking|speaking|singing]?",
      f"is {_SUBJECT} saying [anything|something]?",
      "is it [talking|speaking], [singing|song] or silence?",
    ),
    ("Are words being spoken?",),
    ("Is there speech or song in this clip?", "Say whether the person talks."),
  ),
  "micro_actions": (
    (
      f"[what|which] micro-actions [does {_SUBJECT} make|are there|occur]?",
      f"[what|which] small [movements|actions] [does {_SUBJECT} make|are there]?",
      "[list|name|give] the [micro-actions|small [movements|actions]]"
      "[| of the face| of eyes, brows and lips].",
      "[what|which] facial actions [accompany the expression|are there besides]?",
      "are there [any |]small [actions|movements][| of the face]? Which?",
      "what do the eyes, [brows|nose], [cheeks|jaw] and lips do[| besides]?",
      "[what|which] micro-actions [accompany|come with] the [expression|emotion]?",
      f"what [else |little things |]does {_SUBJECT} do with [eyes, brows and lips"
      "|the eyes and the mouth]?",
    ),
    ("Which small facial actions occur?",),
    ("Tell me the micro-actions of this face.", "What minor actions can be seen?"),
  ),
  "changes": (
    (
      f"what changes[| in the face| over time| in the {_FEELING}]?",
      f"how does the {_FEELING} [change|develop|evolve|shift][| over time]?",
      f"does the {_FEELING} [change|stay the same|shift][| over time]?",
      f"how [do the [emotions|feelings]|does {_SUBJECT}] change?",
      f"from [which|what] {_FEELING} to [which|what] does {_SUBJECT} [go|change]?",
      "does the face [stay the same|change|remain the same]?",
      "[name|list|give] the [changes|sequence] of [emotion|feeling|mood|expression]s.",
      f"is the {_FEELING} the same [throughout|all the time|from start to end]?",
      f"[what|which] {_FEELING}s follow [one another|each other]?",
      f"[what|which] {_FEELING} comes [first, and what next|first, and which follows]?",
    ),
    ("What is different at the end?",),
    ("Describe how the emotion changes.", "Is there a change of emotion?"),
  ),
  "count": (
    (
      f"how [many times|often] does {_SUBJECT} [do it|do that|do each thing]?",
      f"how [many times|often] does {_SUBJECT} [nod, blink or wink|move]?",
      "what is repeated, and how [many times|often]?",
      "[which|what] [actions|movements] [are repeated|come more than once]?",
      "[count|number] the [actions|movements|motions][| of the face| of the head].",
      "how many times [does it happen|is each action done|is each movement made]?",
      "how many [nods, blinks and winks|repetitions] [are there|do you count]?",
      "[how often|how many times] is [a movement|an action|each act] made?",
    ),
    ("Count what the face does.",),
    ("How many of each action do you see?", "Tell me how often things happen."),
  ),
  "nods": (
    (
      f"how [many times|often] does {_SUBJECT} nod[| the head]?",
      "how many nods [are there|do you see|can be counted|does the clip have]?",
      "[count|number] the nods[| of the head| in this clip].",
      f"does {_SUBJECT} nod, and how [often|many times]?",
      "how often does the head [nod|go down and up]?",
      "[tell|say] how [many times|often] the head nods.",
      f"[what|which] number of [nods|noddings] does {_SUBJECT} make?",
      "[how many|what number of] nods [occur|happen|take place|come]?",
      f"does {_SUBJECT} nod [once|twice|three times|more than once]?",
    ),
    ("Number of nods?",),
    ("How many times is there a nod?", "With how many nods does the head move?"),
  ),
  "side": (
    (
      "[which|what] [eye|eyebrow|cheek|side] [is it|is used|moves|acts]?",
      f"[which|what] [eye|eyebrow|side|cheek] does {_SUBJECT} [use|move]?",
      f"[which|what] way does {_SUBJECT} [turn|look|tilt|glance|lean]?",
      "[left or right|is it left or right|on which side]?",
      "in [which|what] direction [is it|do the head and the eyes go|does it go]?",
      "to which side does [the head|the gaze|the mouth|it] [go|turn|move]?",
      "[name|give|tell] the [side|direction] of [each action|each movement|it all].",
      "[which|what] side of the face [acts|moves|does it|is active]?",
    ),
    ("Which side does it?",),
    ("Is the left or the right side used?", "Tell me the directions of what moves."),
  ),
}
QUESTION_KINDS = tuple(_QUESTIONS)


def choices(pattern: str) -> list[str]:
  """Every text of a pattern, in order, none twice."""
  depth, start, cuts = 0, -1, []
  for at, char in enumerate(pattern):
    if char == "[":
      if not depth:
        start, cuts = at, [at]
      depth += 1
    elif char == "|" and depth == 1:
      cuts.append(at)
    elif char == "]":
      depth -= 1
      if not depth:
        cuts.append(at)
        break
  if start < 0:
    return [pattern]
  options = [pattern[a + 1 : b] for a, b in itertools.pairwise(cuts)]
  tails = choices(pattern[cuts[-1] + 1 :])
  found = [
    pattern[:start] + head + tail
    for option in options
    for head in choices(option)
    for tail in tails
  ]
  return list(dict.fromkeys(found))


@functools.cache
def questions(kind: str, split: str) -> tuple[str, ...]:
  """Wordings of a kind of question (QUESTION_KINDS) of a split."""
  wordings = _QUESTIONS[kind][SPLITS.index(split)]
  if split != "train":
    return wordings
  said = [_sentence(text) for pattern in wordings for text in choices(pattern)]
  return tuple(dict.fromkeys(said))


def asked(kind: str, split: str, rng) -> str:
  """One of a kind's wordings of a split, in training behind one of the openings.

  Args:
    rng: np.random.Generator.
  """
  options = questions(kind, split)
  question = options[int(rng.integers(len(options)))]
  if split != "train":
    return question
  return _opened(question, _openings()[int(rng.integers(len(_openings())))])


def training_texts() -> list[str]:
  """Training's questions, each behind an opening."""
  said = [text for kind in QUESTION_KINDS for text in questions(kind, "train")]
  return [_opened(t, _openings()[i % len(_openings())]) for i, t in enumerate(said)]


@functools.cache
def _openings() -> tuple[str, ...]:
  return tuple(text for pattern in _OPENINGS for text in choices(pattern))


def _opened(question: str, opening: str) -> str:
  return _sentence(opening + question[0].lower() + question[1:])


def _sentence(text: str) -> str:
  return text[0].upper() + text[1:]
