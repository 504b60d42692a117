"""Words for everything but emotion: intensity, head, micro-actions, voice, order.

A line of a table is one value: forms that captions use, the same as participles (for
intensities: adjectives, then adverbs), and forms that are only read, split by "|".
"~" stands for an optional possessive or article: "raises ~ eyebrows" also reads "raises
her eyebrows" and "raises eyebrows".
"""

import re


def listed(text: str) -> tuple[str, ...]:
  """The comma-separated forms of a table cell."""
  return tuple(part.strip() for part in text.split(",") if part.strip())


def _table(text: str) -> dict[str, tuple[tuple[str, ...], ...]]:
  """value -> its three cells of forms; a line that starts no value goes on."""
  rows: dict[str, str] = {}
  name = ""
  for line in text.strip().splitlines():
    if match := re.match(r"\s*(\w+): (.*)", line):
      name, rows[match[1]] = match[1], match[2]
    else:
      rows[name] += " " + line.strip()
  return {k: tuple(listed(cell) for cell in v.split("|")) for k, v in rows.items()}


# Level -> adjectives | adverbs | forms that are only read. 3 is the default.
_INTENSITIES = _table(
  """
  1: faint, barely noticeable, barely visible, minimal | barely, faintly, minimally,
    ever so slightly | hint of, trace of, touch of, flicker of, hardly, tiny, fleeting
  2: slight, muted, mild, subtle | slightly, mildly, subtly, a little | soft, gentle,
    light, small, softly, gently, lightly, low key, somewhat, a bit, weak, weakly,
    restrained, subdued
  3: medium, moderate, measured, medium intensity | moderately, fairly, quite, rather |
    average, normal, ordinary
  4: marked, pronounced, strong, clear | very, markedly, strongly, clearly | really,
    broad, broadly, deep, deeply, wide, widely, big, great, visibly, visible,
    noticeably, noticeable, obvious, obviously, greatly, hard, loudly, brightly, bright,
    highly
  5: intense, extreme, amplified, high energy | extremely, intensely, overwhelmingly,
    utterly | powerful, powerfully, overwhelming, exaggerated, wildly, wild, utter, full
    blown, violent, violently, maximal, huge
  """
)
INTENSITIES = {int(level): cells for level, cells in _INTENSITIES.items()}

# name -> third person | participle | forms that are only read
HEAD_MOTIONS = _table(
  """
  nod: nods, nods ~ head | nodding, nodding ~ head | nod, nods of ~ head, nodded
  shake: shakes ~ head | shaking ~ head | head shake, shake of ~ head, head shakes,
    head shaking, shook ~ head
  tilt: tilts ~ head, leans ~ head to one side | tilting ~ head, leaning ~ head to one
    side | head tilt, head tilted, tilted head, tilt of ~ head, cocks ~ head, tilted ~
    head, cocking ~ head, tilts to the side
  turn: turns ~ head, turns ~ head to the side | turning ~ head, turning ~ head to the
    side | head turn, turns to the side, turns to the left, turns to the right, turned
    head, turned ~ head, turn of ~ head, turns away, turning away
  look_up: looks up, raises ~ head | looking up, raising ~ head | look up, upward
    look, head raised, lifts ~ head, lifting ~ head, looks upward, looking upward, looks
    upwards, looked up
  look_down: looks down, lowers ~ head | looking down, lowering ~ head | look down,
    downward look, head lowered, bows ~ head, bowing ~ head, looks downward, looking
    downward, lowered head, looked down
  """
)
STILL_FORMS = listed("keeps ~ head still, keeping ~ head still, head still, motionless")

MICRO_ACTIONS = _table(
  """
  blink: blinks repeatedly, blinks several times | blinking repeatedly, blinking
    several times | blink, blinks, blinking, eye blink, eye blinks, flutters ~ eyelids
  wink: winks | winking | wink, winked
  brow_raise: raises ~ eyebrows, lifts ~ brows | raising ~ eyebrows, lifting ~ brows |
    eyebrow raise, brow raise, raised eyebrows, raised brows, raises ~ brows, eyebrow
    flash, brows lift, eyebrows raised, lifts ~ eyebrows
  brow_furrow: furrows ~ brow, knits ~ brows | furrowing ~ brow, knitting ~ brows |
    furrowed brow, furrowed brows, brow furrow, knitted brows, furrows ~ eyebrows,
    furrows ~ brows, brow furrowed, brows furrowed
  lip_press: presses ~ lips together | pressing ~ lips together | pressed lips, lip
    press, lips pressed, tightens ~ lips, presses ~ lips, lips pressed together,
    tightening ~ lips, pressing ~ lips
  lip_bite: bites ~ lip | biting ~ lip | lip bite, lip biting, bites ~ lower lip,
    biting ~ lower lip, bitten lip
  pucker: purses ~ lips, puckers ~ lips | pursing ~ lips, puckering ~ lips | pursed
    lips, lip pucker, puckered lips, pucker, puckers
  jaw_drop: drops ~ jaw, opens ~ mouth | dropping ~ jaw, opening ~ mouth | jaw drop,
    open mouth, mouth open, mouth falls open, dropped jaw, jaw drops, opens ~ mouth
    wide, opening ~ mouth wide
  squint: narrows ~ eyes | narrowing ~ eyes | narrowed eyes, eyes narrow, eyes
    narrowed, narrow eyes
  gaze_shift: glances away, glances aside | glancing away, glancing aside | glance,
    glances, glancing, eyes dart, averts ~ gaze, shifts ~ gaze, shifting ~ gaze, looks
    away, looking away, averting ~ gaze
  nose_wrinkle: wrinkles ~ nose, scrunches ~ nose | wrinkling ~ nose, scrunching ~
    nose | wrinkled nose, nose wrinkle, nose scrunch
  cheek_puff: puffs ~ cheeks | puffing ~ cheeks | puffs out ~ cheeks, puffing out ~
    cheeks, puffed cheeks, cheek puff
  """
)

SPEAKING = _table(
  """
  silent: stays silent, says nothing | staying silent, saying nothing | silent,
    silently, silence, without speaking, without a word, wordless, without talking,
    wordlessly, mute, does not speak
  speaking: speaks, talks, speaks to the camera | speaking, talking, speaking to the
    camera | speak, talk, spoke, speech, says, saying, tells, chats, chatting, narrates,
    telling, conversation, continues speaking
  singing: sings, sings a song | singing, singing a song | sing, song, sang, croons,
    crooning, sings softly, singing softly
  """
)

# How one speaks, where it can be seen; whoever does that speaks.
MANNERS = _table(
  """
  soft: speaks softly, speaks in a low voice | speaking softly, speaking in a low voice
    | speaks quietly, speaking quietly, talks softly, talking softly, talks quietly,
    whispers, whispering, mumbles, mumbling, murmurs, murmuring, soft spoken
  loud: speaks loudly, speaks with a full voice | speaking loudly, speaking with a full
    voice | talks loudly, talking loudly, shouts, shouting, yells, yelling, declaims,
    declaiming, speaks emphatically, speaking emphatically
  fast: speaks quickly, speaks in a rush | speaking quickly, speaking in a rush | talks
    fast, talking fast, talks quickly, talking quickly, speaks fast, speaking fast,
    speaks rapidly, speaking rapidly, chatters, chattering, babbles, babbling
  slow: speaks slowly, speaks with long pauses | speaking slowly, speaking with long
    pauses | talks slowly, talking slowly, drawls, drawling
  """
)
# Words between two emotions that put them one after the other ...
THEN_FORMS = listed(
  "then, before, gives way to, giving way to, and ends, ends, ending, becomes, becoming"
  ", fades into, fading into, melts into, melting into, turns into, turning into"
  ", changes to, changing to, followed by, later, afterwards, finally, after that"
  ", gradually, suddenly, leads to, passes into, develops into, until"
)
# ... and words that say so ahead of "X to Y".
FROM_FORMS = listed(
  "shifts from, shifting from, goes from, going from, moves from, moving from"
  ", changes from, changing from, passes from, drifts from, drifting from"
)
# Framing and manner: read and set aside, so that no word of theirs means a motion.
FRAMING_FORMS = listed(
  "warm tone, soft tone, calm tone, calm voice, soft voice, low voice, loud voice"
  ", looks at the camera, looking at the camera, wide shot, deep breath, hard light"
  ", light background, clear background, soft light, closed mouth, head and shoulders"
  ", stable camera, still camera, slight angle, so far, normal speed, bright room"
)
