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

# name -> third person | participle | forms that are only read. The base form and the
# past of a verb ("raise", "raised") are derived. A row "name left" is of forms that say
# the side or direction themselves.
HEAD_MOTIONS = _table(
  """
  nod: nods, nods ~ head | nodding, nodding ~ head | nod, nods of ~ head, a nod of ~
    head
  shake: shakes ~ head | shaking ~ head | head shake, shake of ~ head, head shakes,
    head shaking, shook ~ head
  tilt: tilts ~ head | tilting ~ head | head tilt, head tilted, tilted head, tilt of ~
    head, cocks ~ head, tilted ~ head, cocking ~ head, tilts to the side, leans ~ head
    to one side, leaning ~ head to one side, leans ~ head, leaning ~ head, cocked
    head, lean ~ head
  turn: turns ~ head | turning ~ head | head turn, turns to the side, turned head, turn
    of ~ head, turns away, turning away, turns ~ face, turning ~ face, turns ~ head to
    the side, turning ~ head to the side
  look_up: looks up, raises ~ head | looking up, raising ~ head | look up, upward
    look, head raised, lifts ~ head, lifting ~ head, looks upward, looking upward, looks
    upwards, looked up
  look_down: looks down, lowers ~ head | looking down, lowering ~ head | look down,
    downward look, head lowered, bows ~ head, bowing ~ head, looks downward, looking
    downward, lowered head, looked down, hangs ~ head, hanging ~ head
  lean: leans | leaning |
  dip: dips ~ head | dipping ~ head | head dip, dip of ~ head
  look_away: looks away and back | looking away and back | looks away and then back,
    looks away and back again, looking away and back again, turns away and back, turning
    away and back, looks away and returns ~ gaze
  double_take: does a double take | doing a double take | double take, double takes
  """
)
_LATERAL = {
  "turn": ("turns", "turning", "turn"),
  "tilt": ("leans", "leaning", "tilts", "tilting"),
  "gaze_shift": ("looks", "looking", "glances", "glancing", "peeks", "peeking", "eyes"),
}
STILL_FORMS = listed(
  "keeps ~ head still, keeping ~ head still, head still, motionless, stays still"
  ", staying still, keeps still, keeping still, holds still, holding still"
  ", holds ~ head still, holding ~ head still, without moving, does not move"
  ", without moving ~ head, does not move ~ head, not moving ~ head, sits still"
  ", remains still, perfectly still, completely still, without any head movement"
)

MICRO_ACTIONS = _table(
  """
  blink: blinks | blinking | blink, eye blink, eye blinks, flutters ~ eyelids
  wink: winks | winking | wink, winked
  brow_raise: raises ~ eyebrows, lifts ~ eyebrows | raising ~ eyebrows, lifting ~
    eyebrows | eyebrow raise, raised eyebrows, eyebrow flash, eyebrows lift, eyebrows
    raised, arches ~ eyebrows, arching ~ eyebrows, eyebrows go
    up, eyebrows goes up, eyebrows up, cocks ~
    eyebrows, quirks ~ eyebrows
  brow_furrow: furrows ~ brow, knits ~ brows | furrowing ~ brow, knitting ~ brows |
    furrowed brow, brow furrow, knitted brows, brow furrowed, lowers ~ brows, lowering ~
    brows, draws ~ brows together, drawing ~ brows together
  lip_press: presses ~ lips together | pressing ~ lips together | pressed lips, lip
    press, lips pressed, tightens ~ lips, presses ~ lips, lips pressed together,
    tightening ~ lips, pressing ~ lips
  lip_bite: bites ~ lip | biting ~ lip | lip bite, lip biting, bites ~ lower lip,
    biting ~ lower lip, bitten lip, chews ~ lip, chewing ~ lip
  pucker: purses ~ lips, puckers ~ lips | pursing ~ lips, puckering ~ lips | pursed
    lips, lip pucker, puckered lips, pucker, puckers, puckers up
  jaw_drop: opens ~ mouth, drops ~ jaw | opening ~ mouth, dropping ~ jaw | jaw drop,
    open mouth, mouth open, mouth falls open, dropped jaw, jaw drops, mouth opens, mouth
    opening
  squint: narrows ~ eyes | narrowing ~ eyes | narrowed eyes, eyes narrow, eyes
    narrowed, screws up ~ eyes, scrunches ~ eyes
  gaze_shift: glances, shifts ~ gaze | glancing, shifting ~ gaze | glance, glances away,
    glancing away, glances aside, glancing aside, eyes dart, averts ~ gaze, looks
    away, looking away, averting ~ gaze, darts ~ eyes, darting ~ eyes, eyes shift, moves
    ~ eyes, moving ~ eyes, shifts ~ eyes, shifting ~ eyes, eyes move, eyes flick, eyes
    darting, eyes go, turns ~ eyes, turning ~ eyes
  nose_wrinkle: wrinkles ~ nose, scrunches ~ nose | wrinkling ~ nose, scrunching ~
    nose | wrinkled nose, nose wrinkle, nose scrunch, scrunches up ~ nose, crinkles ~
    nose
  cheek_puff: puffs out ~ cheeks, puffs ~ cheeks | puffing out ~ cheeks, puffing ~
    cheeks | puffed cheeks, cheek puff, puffed out cheeks, puffs up ~ cheeks, inflates ~
    cheeks, inflating ~ cheeks, blows out ~ cheeks, puffs ~ cheeks out, fills ~ cheeks
    with air
  eyes_closed: closes ~ eyes, shuts ~ eyes | closing ~ eyes, shutting ~ eyes | eyes
    closed, closed eyes, eyes shut, keeps ~ eyes closed, keeps ~ eyes shut, keeping ~
    eyes closed, keeping ~ eyes shut, eyes close
  wide_eyes: opens ~ eyes wide, widens ~ eyes | opening ~ eyes wide, widening ~ eyes |
    wide eyes, eyes wide, eyes widen, widened eyes, wide open eyes, eyes wide open, eyes
    go wide, opens ~ eyes very wide, stares with wide eyes
  eye_roll: rolls ~ eyes | rolling ~ eyes | eye roll, eye rolls, roll of ~ eyes
  lopsided_smile: gives a lopsided smile, smiles lopsidedly | giving a lopsided smile,
    smiling lopsidedly | lopsided smile, crooked smile, one sided smile, half smile,
    lopsided grin, crooked grin, smiles crookedly, smiling crookedly, smile on one side
  duck_face: makes a duck face | making a duck face | duck face, duck lips
  mouth_shrug: shrugs with ~ mouth | shrugging with ~ mouth | mouth shrug, shrugs ~
    mouth, turns down the corners of ~ mouth in a shrug, mouth shrugs, shrugs ~ lips
  mouth_shift: pulls ~ mouth, twists ~ mouth | pulling ~ mouth, twisting ~ mouth | mouth
    twists, moves ~ mouth, moving ~ mouth, twisted mouth, mouth moves
  jaw_shift: shifts ~ jaw, slides ~ jaw | shifting ~ jaw, sliding ~ jaw | moves ~ jaw,
    moving ~ jaw, jaw shifts
  swallow: swallows, gulps | swallowing, gulping | swallow, gulp, swallows hard,
    swallowing hard
  sniff: sniffs, sniffles | sniffing, sniffling | sniff, sniffle
  deep_breath: takes a deep breath, breathes in deeply | taking a deep breath, breathing
    in deeply | deep breath, inhales deeply, inhaling deeply, deep breaths, takes deep
    breaths, breathes deeply, breathing deeply
  """
)
# Forms that say how often, how long or how large by themselves: -> field, value.
PRESET_FORMS = (
  ("blink", "flutters ~ eyelashes", {}),
  *(
    ("lean", f"{verb} {words}", {"direction": direction})
    for verb in ("leans", "leaning", "lean")
    for words, direction in (
      ("in", "forward"),
      ("forward", "forward"),
      ("closer", "forward"),
      ("back", "back"),
      ("~ head forward", "forward"),
      ("~ head back", "back"),
    )
  ),
  *(
    ("gaze_shift", form, {"direction": direction})
    for direction in ("up", "down")
    for verb in ("looks", "looking", "look")
    for form in (
      f"{verb} {direction} with ~ eyes only",
      f"{verb} {direction} with only ~ eyes",
      f"{verb} {direction} with just ~ eyes",
      f"only ~ eyes {verb} {direction}",
    )
  ),
  *(
    ("gaze_shift", f"{verb} ~ eyes", {"direction": direction})
    for verbs, direction in (
      (("raises", "raising", "raise", "lifts", "lifting", "lift"), "up"),
      (("lowers", "lowering", "lower", "drops", "dropping", "drop"), "down"),
    )
    for verb in verbs
  ),
  ("eyes_closed", "keeps ~ eyes closed", {"hold": "held"}),
  ("eyes_closed", "keeps ~ eyes shut", {"hold": "held"}),
  ("eyes_closed", "keeping ~ eyes closed", {"hold": "held"}),
  ("eyes_closed", "keeping ~ eyes shut", {"hold": "held"}),
  ("eyes_closed", "closes ~ eyes and keeps them shut", {"hold": "held"}),
  ("eyes_closed", "closing ~ eyes and keeping them shut", {"hold": "held"}),
  ("jaw_drop", "mouth hangs open", {"hold": "held"}),
  ("jaw_drop", "mouth hangs wide open", {"hold": "held", "size": 4}),
  ("jaw_drop", "mouth wide open", {"hold": "held", "size": 4}),
  ("jaw_drop", "keeps ~ mouth open", {"hold": "held"}),
  ("jaw_drop", "keeping ~ mouth open", {"hold": "held"}),
  ("jaw_drop", "keeps ~ mouth shut", {"absent": True}),
  ("jaw_drop", "keeps ~ mouth closed", {"absent": True}),
  ("jaw_drop", "keeping ~ mouth closed", {"absent": True}),
  ("brow_raise", "eyebrows never move", {"absent": True}),
  ("brow_raise", "a raised eyebrow", {"side": "one"}),
  ("look_away", "looks away to ~ left and back", {"direction": "left"}),
  ("look_away", "looks away to ~ right and back", {"direction": "right"}),
  ("jaw_drop", "opens ~ mouth wide", {"size": 4}),
  ("jaw_drop", "opening ~ mouth wide", {"size": 4}),
  ("eyes_closed", "squeezes ~ eyes shut", {"size": 4}),
  ("eyes_closed", "squeezing ~ eyes shut", {"size": 4}),
)
# Asked for, but the head cannot do it.
UNABLE_FORMS = {
  "tongue": listed(
    "sticks out ~ tongue, sticking out ~ tongue, sticks ~ tongue out, tongue out"
    ", licks ~ lips, licking ~ lips, pokes out ~ tongue"
  ),
  "ears": listed("wiggles ~ ears, wiggling ~ ears"),
}

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
  ", leads to, passes into, develops into, until"
)
# ... and words that say so ahead of "X to Y".
FROM_FORMS = listed(
  "shifts from, shifting from, goes from, going from, moves from, moving from"
  ", changes from, changing from, passes from, drifts from, drifting from"
)
# Framing and manner: read and set aside, so that no word of theirs means a motion.
FRAMING_FORMS = listed(
  "warm tone, soft tone, calm tone, calm voice, soft voice, low voice, loud voice"
  ", looks at the camera, looking at the camera, wide shot, hard light"
  ", light background, clear background, soft light, closed mouth, head and shoulders"
  ", stable camera, still camera, slight angle, so far, normal speed, bright room"
  ", close up, at once, camera movement, looks into the camera, looking into the camera"
)

# Words that say more of an act. Adverbs look back first ("nods twice"), adjectives
# only ahead ("two slow nods").
COUNT_ADVERBS = {
  1: listed("once, one time, a single time, just once"),
  2: listed("twice, two times"),
  3: listed("three times, thrice"),
  4: listed("four times"),
  5: listed("five times"),
  6: listed("six times"),
  7: listed("seven times"),
  8: listed("eight times"),
  10: listed("ten times"),
}
REPEATED_FORMS = listed(  # as often as usual, which is more than once
  "repeatedly, several times, a few times, many times, again and again, over and over"
)
COUNT_ADJECTIVES = {
  1: listed("one, a single, single"),
  2: listed("two, a double, double, a pair of, a couple of"),
  3: listed("three, a triple, triple"),
  4: listed("four"),
  5: listed("five"),
  6: listed("six"),
}
# value -> adverbs | adjectives
TEMPOS = _table(
  """
  slow: slowly, gradually, in slow motion, lazily, unhurriedly, at a slow pace,
    bit by bit | slow, gradual, lazy, unhurried
  quick: quickly, suddenly, rapidly, swiftly, abruptly, in a flash, sharply, fast,
    hastily | quick, sudden, rapid, swift, abrupt, hasty, sharp
  """
)
HOLDS = _table(
  """
  brief: briefly, for a moment, momentarily, for an instant, for a second, for a split
    second, for a brief moment | brief, momentary, short
  held: and holds it, holding it, and keeps them shut, and keeps it up, and keeps them
    up, and keeps it there, and keeps them there, keeping it there, keeping them shut,
    and keeps them closed, keeping them closed, and holds the pose, and stays that way,
    staying that way, and keeps it that way, and does not let go, and keeps them wide,
    and keeps it open, keeping it open, and holds them there, and stays there | held,
    sustained, lasting
  """
)
WHENS = {
  "start": listed(
    "at the start, at first, at the beginning, in the beginning, at the outset"
    ", initially, right away, immediately, to begin with, straight away"
  ),
  "end": listed(
    "at the end, in the end, at the very end, at last, towards the end, toward the end"
    ", to finish, at the finish, just before the end, eventually"
  ),
  "throughout": listed(
    "throughout, the whole time, all the time, all along, from start to end"
    ", the entire time, from beginning to end, from start to finish, all through"
    ", the whole while"
  ),
}
WHILE_FORMS = listed(
  "while, at the same time, simultaneously, all the while, meanwhile"
)
NOT_FORMS = listed(
  "not, never, without, no, isn t, doesn t, don t, neither, nor, without any"
  ", without a trace of, with no, no sign of, without so much as, avoids, avoiding"
)
NUMBERS = {
  "a": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
  "eight": 8, "nine": 9, "ten": 10, "half": 0.5,
}  # fmt: skip
# Body parts that a side can be said of, as forms spell them -> one of them.
PAIRED = {
  "eyes": "eye",
  "eyebrows": "eyebrow",
  "brows": "brow",
  "cheeks": "cheek",
  "eyelids": "eyelid",
  "corners": "corner",
}


def base_form(third: str) -> str:
  """ "presses ~ lips" -> "press ~ lips": of a verb in the third person."""
  verb, _, rest = third.partition(" ")
  base = verb[:-1]
  if verb.endswith(("shes", "sses", "ches", "xes", "zzes")) or verb == "does":
    base = verb[:-2]
  elif verb.endswith("ies"):
    base = verb[:-3] + "y"
  return f"{base} {rest}".strip()


_IRREGULAR = {"shake": "shook", "bite": "bit", "take": "took", "hang": "hung"}
_IRREGULAR |= {"shut": "shut", "give": "gave", "make": "made", "do": "did"}


def _verb_forms(third: str) -> tuple[str, str]:
  """ "raises ~ eyebrows" -> the base form and the past of its verb."""
  base, _, rest = base_form(third).partition(" ")
  if base in ("nod", "dip", "knit", "shrug"):
    past = base + base[-1] + "ed"
  else:
    past = base + ("d" if base.endswith("e") else "ed")
  past = _IRREGULAR.get(base, past)
  return f"{base} {rest}".strip(), f"{past} {rest}".strip()


def act_forms():
  """Yields (form, name, fields said by the form) of all acts but emotions."""
  seen: dict[str, tuple] = {}
  preset = {form for _, form, _ in PRESET_FORMS}
  for table in (HEAD_MOTIONS, MICRO_ACTIONS):
    for name, cells in table.items():
      derived = [form for third in cells[0] for form in _verb_forms(third)]
      for form in (*(form for cell in cells for form in cell), *derived):
        if form not in preset and seen.setdefault(form, name) == name:
          yield form, name, {}
  for name, form, fields in PRESET_FORMS:
    yield form, name, fields
  for name, verbs in _LATERAL.items():
    for verb in verbs:
      for side in ("left", "right"):
        for form in (f"{verb} {side}", f"{verb} to ~ {side}", f"{verb} {side}wards"):
          yield form, name, {"direction": side}
