"""The table of emotion and facial-action labels; `emotion_words` reads it.

One line of the table is one label:

  label: adjectives | nouns | verbs | other forms

A countable noun carries its article ("a smile"); a verb is written as third
person/participle ("smiles/smiling"). Captions are made of adjectives and nouns; verbs
and the other forms are only read. Adverbs (happy -> happily) and plurals are derived.
Valence and arousal (-1..1) follow Russell's circumplex (Russell 1980, "A circumplex
model of affect") and are family-wide: they order words, they do not measure people.
"""

# family -> (valence, arousal, table of labels)
TABLE = {
  "happiness": (
    0.8,
    0.5,
    """
    happy: happy, glad | happiness, gladness | |
    joyful: joyful, delighted, overjoyed | joy, delight | | joyous
    smiling: smiling | a smile | smiles/smiling, beams/beaming | smiled, smiley
    grinning: grinning | a grin | grins/grinning | grinned
    laughing: laughing | laughter, a laugh | laughs/laughing | laughed
    giggling: giggling, giggly | a giggle | giggles/giggling | giggled
    chuckling: chuckling | a chuckle | chuckles/chuckling | chuckled
    amused: amused, entertained | amusement | |
    cheerful: cheerful, merry | cheer, cheerfulness | | jolly, pleasant, pleased
    loving: loving, affectionate, tender | affection, tenderness | | love, adoring
    ecstatic: ecstatic, elated, euphoric | ecstasy, elation | | euphoria, thrilled
    playful: playful, mischievous | playfulness, mischief | | cheeky, impish
    grateful: grateful, thankful | gratitude, thankfulness | | appreciative
    """,
  ),
  "sadness": (
    -0.7,
    -0.4,
    """
    sad: sad, unhappy | sadness, unhappiness | | upset
    grieving: grieving, sorrowful, mournful | grief, sorrow | grieves/grieving |
    crying: crying, tearful, weeping | weeping, crying | cries/crying,
      weeps/weeping | tears, cried, cry
    sobbing: sobbing, blubbering | a sob | sobs/sobbing | sobbed
    melancholic: melancholic, gloomy | melancholy, gloom | | depressed
    disappointed: disappointed, dejected | disappointment, dejection | | let down
    frowning: frowning | a frown | frowns/frowning | frowned
    despairing: despairing, hopeless | despair, hopelessness | | desperate
    lonely: lonely, forlorn | loneliness, isolation | | lonesome, abandoned
    miserable: miserable, wretched | misery, wretchedness | | gutted
    nostalgic: nostalgic, wistful | nostalgia, wistfulness | | homesick, longing
    heartbroken: heartbroken, devastated | heartbreak, devastation | | shattered
    """,
  ),
  "anger": (
    -0.7,
    0.8,
    """
    angry: angry, mad | anger | | angered
    furious: furious, enraged | fury, rage | | raging, livid
    annoyed: annoyed, irritated | annoyance, irritation | | irked
    glaring: glaring, scowling | a glare, a scowl | glares/glaring, scowls/scowling |
    frustrated: frustrated, exasperated | frustration, exasperation | |
    hostile: hostile, menacing | hostility, menace | | aggressive,
      aggression, threatening
    bitter: bitter, embittered | bitterness, acrimony | | sour
    resentful: resentful, grudging | resentment, a grudge | | begrudging
    indignant: indignant, outraged | indignation, outrage | |
    snarling: snarling, growling | a snarl, a growl | snarls/snarling,
      growls/growling | snarled
    impatient: impatient, restless | impatience, restlessness | |
    jealous: jealous, envious | jealousy, envy | |
    """,
  ),
  "fear": (
    -0.7,
    0.7,
    """
    afraid: scared, fearful, frightened | fear, fright | | afraid
    terrified: terrified, petrified | terror | | terrorized
    panicked: panicked, panicky | panic, frenzy | | panicking, frantic
    nervous: nervous, jittery | nervousness, jitters | | edgy, nerves
    anxious: anxious, uneasy | anxiety, unease | | tense, tension
    worried: worried, concerned | worry, concern | | fretful
    alarmed: alarmed, spooked | alarm | | alarming
    dreading: dreading, apprehensive | dread, apprehension | dreads/dreading |
    horrified: horrified, aghast | horror | | mortal fear
    trembling: trembling, shivering | trembling, a shiver | trembles/trembling,
      shivers/shivering | quaking
    flinching: flinching, recoiling | a flinch, a recoil | flinches/flinching,
      recoils/recoiling | flinched, recoiled
    insecure: insecure, vulnerable | insecurity, vulnerability | |
    """,
  ),
  "surprise": (
    0.1,
    0.8,
    """
    surprised: surprised, taken aback | surprise | |
    astonished: astonished, astounded | astonishment | |
    amazed: amazed, marveling | amazement, wonder | marvels/marveling | wondrous
    shocked: shocked, thunderstruck | shock | |
    gasping: gasping | a gasp | gasps/gasping | gasped
    startled: startled, jolted | a startle, a jolt | |
    stunned: stunned, speechless | stupefaction, speechlessness | | stupefied
    awestruck: awestruck, awed | awe | | in awe
    dumbfounded: dumbfounded, flabbergasted | incredulity | | incredulous
    impressed: impressed, admiring | admiration | admires/admiring |
    gaping: gaping, open mouthed | a gape | gapes/gaping, gawks/gawking | agape
    ogling: wide eyed, goggling | a goggle | goggles/goggling | bug eyed
    """,
  ),
  "disgust": (
    -0.7,
    0.3,
    """
    disgusted: disgusted, put off | disgust | |
    revolted: revolted, repulsed | revulsion, repulsion | |
    nauseated: nauseated, queasy | nausea, queasiness | | nauseous
    distaste: displeased, dissatisfied | distaste, displeasure | | distasteful
    loathing: loathing, abhorring | loathing, abhorrence | loathes/loathing |
      detesting, hateful, hatred
    appalled: appalled, scandalized | dismay | | dismayed
    gagging: gagging, retching | a gag, a retch | gags/gagging, retches/retching |
      gagged
    squeamish: squeamish, finicky | squeamishness | | icky
    offended: offended, affronted | offense, umbrage | | offence, insulted
    averse: averse, repelled | aversion | | avoidance
    sickened: sickened, grossed out | sickness | |
    disapproving: disapproving, reproachful | disapproval, reproach | |
    """,
  ),
  "contempt": (
    -0.5,
    0.2,
    """
    contemptuous: contemptuous, despising | contempt | despises/despising |
    scornful: scornful, derisive | scorn, derision | |
    smirking: smirking | a smirk | smirks/smirking | smirked
    sneering: sneering | a sneer | sneers/sneering | sneered
    disdainful: disdainful, haughty | disdain, haughtiness | |
    mocking: mocking, taunting | mockery, a taunt | mocks/mocking, taunts/taunting |
    sarcastic: sarcastic, ironic | sarcasm, irony | | sardonic, wry
    smug: smug, self satisfied | smugness, self satisfaction | | complacent
    arrogant: arrogant, conceited | arrogance, conceit | |
    dismissive: dismissive, scoffing | dismissal, a scoff | scoffs/scoffing |
    condescending: condescending, patronizing | condescension | |
      patronising, superior
    cynical: cynical, jaundiced | cynicism | |
    """,
  ),
  "interest": (
    0.4,
    0.4,
    """
    interested: interested | interest | |
    curious: curious, inquisitive | curiosity | |
    attentive: attentive, alert | attentiveness, alertness | | attention
    engaged: engaged, absorbed | engagement, absorption | |
    fascinated: fascinated, captivated | fascination | | spellbound
    eager: eager, keen | eagerness, keenness | |
    enthusiastic: enthusiastic, animated | enthusiasm, zest | | lively
    excited: excited, exhilarated | excitement, exhilaration | |
    intrigued: intrigued, enticed | intrigue | |
    expectant: expectant, hopeful | expectation, hope | | hoping, anticipation
    listening: listening, heeding | rapt listening | listens/listening | rapt
    inspired: inspired, uplifted | inspiration | |
    """,
  ),
  "confusion": (
    -0.2,
    0.2,
    """
    confused: confused, mixed up | confusion | |
    puzzled: puzzled, quizzical | puzzlement | |
    bewildered: bewildered, perplexed | bewilderment, perplexity | |
    doubtful: doubtful, dubious | doubt, doubtfulness | | doubting
    skeptical: skeptical, unconvinced | skepticism, disbelief | | sceptical, scepticism
    hesitant: hesitant, unsure | hesitation, uncertainty | hesitates/hesitating |
      uncertain
    baffled: baffled, mystified | bafflement, mystification | |
    disoriented: disoriented, lost | disorientation | | discombobulated
    conflicted: conflicted, torn | inner conflict | | ambivalent, ambivalence
    clueless: clueless, oblivious | cluelessness | | unaware
    questioning: questioning, wondering | a query | wonders/wondering |
    incomprehending: uncomprehending, mistaken | incomprehension | |
    """,
  ),
  "neutral": (
    0.0,
    0.0,
    """
    neutral: neutral, expressionless | neutrality | | blank, deadpan
    """,
  ),
  "calm": (
    0.2,
    -0.5,
    """
    calm: calm, placid | calmness | |
    relaxed: relaxed, at ease | relaxation, ease | | loosened
    serene: serene, tranquil | serenity, tranquility | | tranquillity
    composed: composed, poised | composure, poise | |
    peaceful: peaceful, untroubled | peacefulness, peace | |
    content: content, satisfied | contentment, satisfaction | | contented, fulfilled
    patient: patient, forbearing | patience, forbearance | |
    meditative: meditative, reflective | meditation, reflection | | mindful
    dreamy: dreamy, daydreaming | dreaminess, a daydream | | dreaming
    stoic: stoic, impassive | stoicism, impassivity | | stoical, unmoved
    relieved: relieved, reassured | relief, reassurance | |
    """,
  ),
  "embarrassment": (
    -0.4,
    0.1,
    """
    embarrassed: embarrassed, abashed | embarrassment | |
    ashamed: ashamed, disgraced | shame, disgrace | |
    shy: shy, timid | shyness, timidity | |
    bashful: bashful, coy | bashfulness, coyness | |
    sheepish: sheepish, awkward | sheepishness, awkwardness | |
    guilty: guilty, remorseful | guilt, remorse | | contrite
    flustered: flustered, rattled | fluster | |
    humble: humble, modest | humility, modesty | |
    apologetic: apologetic, regretful | an apology, regret | apologizes/apologizing |
      sorry
    blushing: blushing, flushed | a blush | blushes/blushing | blushed
    self_conscious: self conscious, inhibited | self consciousness | |
    humiliated: humiliated, degraded | humiliation | |
    """,
  ),
  "pride": (
    0.6,
    0.4,
    """
    proud: proud, honored | pride, honor | | honoured
    confident: confident, assured | confidence, assurance | | self assured
    triumphant: triumphant, victorious | triumph, victory | |
    determined: determined, resolute | determination, resolve | |
    defiant: defiant, rebellious | defiance, rebellion | |
    boastful: boastful, bragging | a boast | boasts/boasting, brags/bragging |
    brave: brave, courageous | bravery, courage | | bold, boldness
    dignified: dignified, stately | dignity, stateliness | | noble
    stubborn: stubborn, obstinate | stubbornness, obstinacy | | headstrong
    commanding: commanding, authoritative | authority | | imposing
    gloating: gloating, crowing | a gloat | gloats/gloating |
    vain: vain, preening | vanity | |
    """,
  ),
  "tiredness": (
    -0.3,
    -0.8,
    """
    tired: tired, weary | tiredness, weariness, fatigue | | fatigued
    bored: bored, uninterested | boredom, tedium | |
    sleepy: sleepy, drowsy | sleepiness, drowsiness | | sleep
    exhausted: exhausted, drained | exhaustion | | burned out, spent
    yawning: yawning | a yawn | yawns/yawning | yawned
    apathetic: apathetic, listless | apathy, listlessness | | indifferent, indifference
    dozing: dozing, nodding off | a doze | dozes/dozing, nods off/nodding off | asleep
    groggy: groggy, bleary | grogginess, bleariness | | bleary eyed
    sighing: sighing | a sigh | sighs/sighing | sighed
    dazed: dazed, vacant | a daze, vacancy | | absent minded, spaced out
    lethargic: lethargic, sluggish | lethargy, sluggishness | |
    jaded: jaded, world weary | jadedness, world weariness | |
    """,
  ),
  "pain": (
    -0.8,
    0.5,
    """
    pained: pained, hurting | pain, hurt | |
    agonized: agonized, tormented | agony, torment | | tortured
    wincing: wincing | a wince | winces/wincing | winced
    grimacing: grimacing | a grimace | grimaces/grimacing | grimaced
    suffering: suffering, afflicted | suffering, affliction | suffers/suffering |
    cringing: cringing | a cringe | cringes/cringing | cringed
    anguished: anguished, distressed | anguish, distress | |
    straining: straining, strained | strain, effort | strains/straining |
    gritting: gritting | gritted teeth | grits/gritting, clenches/clenching |
      clenched teeth, clenched
    sore: sore, stinging | soreness, a sting | | stung
    uncomfortable: uncomfortable, ill at ease | discomfort | | squirming
    aching: aching, throbbing | an ache | aches/aching | achy
    """,
  ),
  "pout": (
    -0.2,
    0.1,
    """
    pouting: pouting, pouty | a pout | pouts/pouting | pouted, lips pushed forward,
      lower lip out
    sulking: sulking, sulky | sulkiness | sulks/sulking | sulked, sullen
    petulant: petulant, huffy | petulance, huffiness | |
    kissing: kissing, kissy | a kiss | | blows a kiss, blowing a kiss, kissed
    pleading: pleading, imploring | a plea | pleads/pleading | begging, begs
    grumpy: grumpy, cranky | grumpiness, crankiness | grumbles/grumbling | cross
    whining: whining, whiny | a whine | whines/whining | whimpering
    whistling: whistling | a whistle | whistles/whistling | whistled
    blowing: blowing, puffing | a blow | blows/blowing |
    moping: moping, mopey | a mope | mopes/moping |
    cooing: cooing, baby talking | a coo | coos/cooing | cooed
    flirting: flirtatious, seductive | flirtation, seduction | flirts/flirting | flirty
    """,
  ),
  "concentration": (
    0.0,
    0.2,
    """
    focused: focused, intent | focus | focuses/focusing |
    concentrating: concentrating | concentration | concentrates/concentrating |
    squinting: squinting, squinty | a squint | squints/squinting | squinted
    suspicious: suspicious, wary | suspicion, wariness | | distrustful, distrust
    thoughtful: thoughtful, pensive | thoughtfulness, contemplation | | thinking
    scrutinizing: scrutinizing, peering | scrutiny | peers/peering | scrutinising
    serious: serious, grave | seriousness, gravity | |
    stern: stern, strict | sternness, strictness | | severe
    calculating: calculating, scheming | calculation, a scheme | |
    vigilant: vigilant, watchful | vigilance, watchfulness | |
    studious: studious, examining | studiousness | examines/examining | studying
    brooding: brooding, ruminating | rumination | broods/brooding |
    """,
  ),
}
