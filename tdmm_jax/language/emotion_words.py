"""The emotion and facial-action labels, their families and their surface forms.

One line of the table is one label:

  label: adjectives | nouns | verbs | other forms

A countable noun carries its article ("a smile"); a verb is written as third
person/participle ("smiles/smiling"). Captions are made of adjectives, nouns and
verbs; the other forms are only read. Adverbs (happy -> happily) are derived.
Valence and arousal (-1..1) follow Russell's circumplex (Russell 1980, "A circumplex
model of affect") and are family-wide: they order words, they do not measure people.
"""

import dataclasses
import re

# family -> (valence, arousal, table of labels)
_TABLE = {
  "happiness": (
    0.8,
    0.5,
    """
    happy: happy, glad | happiness, gladness | |
    joyful: joyful, elated, overjoyed, delighted | joy, elation, delight | |
    smiling: smiling | a smile | smiles/smiling, beams/beaming | smiled
    grinning: grinning | a grin | grins/grinning | grinned
    laughing: laughing, giggling | laughter | laughs/laughing, giggles/giggling,
      chuckles/chuckling | laughed, laugh, chuckle
    amused: amused, entertained | amusement | |
    cheerful: cheerful, merry | cheer, cheerfulness | | jolly, pleasant, pleased
    loving: loving, affectionate, tender | affection, tenderness | | love, adoring
    """,
  ),
  "sadness": (
    -0.7,
    -0.4,
    """
    sad: sad, unhappy | sadness, unhappiness | | upset
    grieving: grieving, sorrowful, mournful | grief, sorrow | grieves/grieving |
    crying: crying, tearful, weeping | weeping | cries/crying, weeps/weeping,
      sobs/sobbing | tears, cried, cry, sob
    melancholic: melancholic, gloomy | melancholy, gloom | | wistful, depressed
    disappointed: disappointed, dejected | disappointment, dejection | | let down
    frowning: frowning | a frown | frowns/frowning | frowned
    despairing: despairing, heartbroken, hopeless | despair, heartbreak | | hopelessness
    """,
  ),
  "anger": (
    -0.7,
    0.8,
    """
    angry: angry, mad | anger | |
    furious: furious, enraged | fury, rage | | raging, livid
    annoyed: annoyed, irritated | annoyance, irritation | | irked
    glaring: glaring, scowling | a glare, a scowl | glares/glaring, scowls/scowling |
    frustrated: frustrated, exasperated | frustration, exasperation | |
    hostile: hostile, menacing | hostility, menace | | aggressive,
      aggression, threatening
    """,
  ),
  "fear": (
    -0.7,
    0.7,
    """
    afraid: scared, fearful, frightened | fear, fright | | afraid
    terrified: terrified, horrified | terror, horror | |
    panicked: panicked, alarmed | panic, alarm | | panicky, panicking
    nervous: nervous, jittery | nervousness | | edgy, nerves
    anxious: anxious, uneasy | anxiety, unease | | tense, tension
    worried: worried, apprehensive | worry, apprehension | | concerned, concern
    """,
  ),
  "surprise": (
    0.1,
    0.8,
    """
    surprised: surprised, startled | surprise | |
    astonished: astonished, astounded | astonishment | |
    amazed: amazed, awestruck | amazement, awe | | wonder
    shocked: shocked, stunned | shock | |
    gasping: gasping | a gasp | gasps/gasping | gasped
    """,
  ),
  "disgust": (
    -0.7,
    0.3,
    """
    disgusted: disgusted | disgust | |
    revolted: revolted, repulsed | revulsion, repulsion | |
    nauseated: nauseated, queasy | nausea, queasiness | | sickened
    distaste: displeased, put off | distaste, displeasure | | distasteful
    loathing: loathing, abhorring | loathing, abhorrence | | detesting
    """,
  ),
  "contempt": (
    -0.5,
    0.2,
    """
    contemptuous: contemptuous | contempt | |
    scornful: scornful | scorn | |
    smirking: smirking | a smirk | smirks/smirking | smirked
    sneering: sneering | a sneer | sneers/sneering | sneered
    disdainful: disdainful, haughty | disdain, haughtiness | |
    mocking: mocking, sarcastic | mockery, sarcasm | | derision,
      derisive, smug, smugness
    """,
  ),
  "interest": (
    0.4,
    0.4,
    """
    interested: interested | interest | |
    curious: curious, inquisitive | curiosity | |
    attentive: attentive, alert | attentiveness, alertness | |
    engaged: engaged, absorbed | engagement, absorption | |
    fascinated: fascinated, captivated | fascination | |
    """,
  ),
  "confusion": (
    -0.2,
    0.2,
    """
    confused: confused | confusion | |
    puzzled: puzzled | puzzlement | |
    bewildered: bewildered, perplexed | bewilderment, perplexity | | baffled
    doubtful: doubtful, unsure | doubt, uncertainty | | uncertain, hesitant
    skeptical: skeptical, unconvinced | skepticism, disbelief | | sceptical, scepticism
    """,
  ),
  "calm": (
    0.2,
    -0.5,
    """
    neutral: neutral, expressionless | neutrality | | blank, deadpan
    calm: calm, placid | calmness | |
    relaxed: relaxed, at ease | relaxation, ease | |
    serene: serene, peaceful, tranquil | serenity, tranquility | | peace
    composed: composed, poised | composure, poise | |
    """,
  ),
  "embarrassment": (
    -0.4,
    0.1,
    """
    embarrassed: embarrassed | embarrassment | |
    ashamed: ashamed | shame | |
    shy: shy, timid | shyness, timidity | |
    bashful: bashful, coy | bashfulness | |
    sheepish: sheepish, awkward | sheepishness, awkwardness | |
    guilty: guilty, remorseful | guilt, remorse | |
    """,
  ),
  "pride": (
    0.6,
    0.4,
    """
    proud: proud | pride | |
    confident: confident, assured | confidence, assurance | | self-assured
    triumphant: triumphant, victorious | triumph, victory | |
    determined: determined, resolute | determination, resolve | |
    defiant: defiant, bold | defiance, boldness | |
    """,
  ),
  "tiredness": (
    -0.3,
    -0.8,
    """
    tired: tired, weary | tiredness, weariness, fatigue | |
    bored: bored, uninterested | boredom | |
    sleepy: sleepy, drowsy | sleepiness, drowsiness | | sleep
    exhausted: exhausted, drained | exhaustion | |
    yawning: yawning | a yawn | yawns/yawning | yawned
    apathetic: apathetic, listless | apathy, listlessness | | indifferent, indifference
    """,
  ),
  "pain": (
    -0.8,
    0.5,
    """
    pained: pained, hurting | pain, hurt | |
    agonized: agonized, tormented | agony, torment | |
    wincing: wincing | a wince | winces/wincing | winced
    grimacing: grimacing | a grimace | grimaces/grimacing | grimaced
    suffering: suffering, aching | suffering, distress | suffers/suffering | ache
    cringing: cringing | a cringe | cringes/cringing | cringed
    """,
  ),
  "pout": (
    -0.2,
    0.1,
    """
    pouting: pouting | a pout | pouts/pouting | pouted, lips pushed forward,
      lower lip out, pouty
    sulking: sulking, sulky | sulkiness | sulks/sulking | sulked
    petulant: petulant, huffy | petulance, huffiness | |
    kissing: kissing, kissy | a kiss | | blows a kiss, blowing a kiss
    pleading: pleading, imploring | a plea | pleads/pleading | begging
    """,
  ),
  "concentration": (
    0.0,
    0.2,
    """
    focused: focused, intent | focus | | focuses, focusing
    concentrating: concentrating | concentration | concentrates/concentrating |
    squinting: squinting | a squint | squints/squinting | squinted
    suspicious: suspicious, wary | suspicion, wariness | | distrustful, distrust
    thoughtful: thoughtful, pensive | thoughtfulness, contemplation | | thinking
    scrutinizing: scrutinizing, peering | scrutiny | peers/peering | scrutinising
    """,
  ),
}

NEUTRAL = "neutral"


@dataclasses.dataclass(frozen=True)
class Label:
  """One emotion or facial-action word.

  `adjectives`, `nouns` (with the article where countable) and `verbs` (third
  person, participle) make captions; `surface_forms` is all that the parser reads.
  """

  name: str
  family: str
  adjectives: tuple[str, ...]
  nouns: tuple[str, ...]
  verbs: tuple[tuple[str, str], ...]
  surface_forms: tuple[str, ...]
  valence: float
  arousal: float


def adverb(adjective: str) -> str:
  """happy -> happily, tragic -> tragically, humble -> humbly, sad -> sadly."""
  if adjective.endswith("y") and adjective not in ("shy", "coy"):
    return adjective[:-1] + "ily"
  if adjective.endswith("ic"):
    return adjective + "ally"
  if adjective.endswith("le"):
    return adjective[:-1] + "y"
  return adjective + "ly"


def _split(cell: str) -> tuple[str, ...]:
  return tuple(part.strip() for part in cell.split(",") if part.strip())


def _label(name, family, cells, valence, arousal) -> Label:
  adjectives, nouns, verbs, others = (_split(cell) for cell in cells)
  pairs = tuple(tuple(verb.split("/")) for verb in verbs)
  bare_nouns = [re.sub(r"^an? ", "", noun) for noun in nouns]
  plurals = [bare + "s" for noun, bare in zip(nouns, bare_nouns) if noun != bare]
  forms = [*adjectives, *bare_nouns, *plurals, *(form for p in pairs for form in p)]
  forms += [*others, *(adverb(a) for a in adjectives if " " not in a)]
  return Label(
    name=name,
    family=family,
    adjectives=adjectives,
    nouns=nouns,
    verbs=pairs,
    surface_forms=tuple(dict.fromkeys(forms)),
    valence=valence,
    arousal=arousal,
  )


def _build() -> dict[str, Label]:
  labels = {}
  for family, (valence, arousal, text) in _TABLE.items():
    joined = re.sub(r",\s*\n\s*", ", ", text.strip())
    for line in joined.splitlines():
      name, _, rest = line.strip().partition(":")
      cells = [cell.strip() for cell in rest.split("|")]
      cells += [""] * (4 - len(cells))
      labels[name] = _label(name, family, cells, valence, arousal)
  return labels


LABELS: dict[str, Label] = _build()
FAMILIES: tuple[str, ...] = tuple(_TABLE)
