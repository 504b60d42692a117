"""What each label looks like and how it moves: the tables of `expressions`.

A recipe is written in FACS numbers: "6=.6 12L=.8" is cheek raiser 0.6 on both sides and
lip corner puller 0.8 on the left; `jaw` (rad), `lids` (closure 0..1), `gaze_pitch`,
`gaze_yaw`, `head_pitch`, `head_yaw` and `head_roll` (rad; down, subject's left and the
tilt to the subject's right are positive) complete it. A label starts from its family's
recipe and changes what it names. Combinations follow EMFACS and Ekman & Friesen,
"Facial Action Coding System", 1978; Keltner 1995 for embarrassment; Prkachin &
Solomon 2008 for pain; Tracy & Robins 2004 for pride.

Asymmetric recipes are written for the left; the simulator mirrors half of the clips.
"""

import dataclasses

# family -> (recipe of the family, label -> what it changes)
RECIPES = {
  "happiness": (
    "6=.85 12=1 25=.3",
    {
      "happy": "25=.6 16=.25",
      "joyful": "6=.9 12=1.1 25=.65 16=.3 jaw=.05 1=.35 2=.35",
      "smiling": "6=.5 12=1 25=0",
      "grinning": "6=.65 12=1.1 13=.35 25=.85 16=.6 10=.2",
      "laughing": "6=.95 12=1.1 25=.7 16=.35 jaw=.2 lids=.25 head_pitch=-.05",
      "amused": "6=.5 12=.85 7=.3 25=0 lids=.08",
      "cheerful": "12=1.05 25=.6 1=.2 2=.2",
      "loving": "6=.5 12=.8 1=.3 25=0 lids=.2 head_roll=.05",
      "giggling": "6=.85 12=1 25=.5 jaw=.05 1=.3 head_roll=.05",
      "chuckling": "6=.7 12=.85 25=.3 jaw=.06 14=.35",
      "ecstatic": "6=1 12=1.15 25=.8 16=.4 jaw=.1 1=.5 2=.5 5=.5 head_pitch=-.06",
      "playful": "12L=1 12R=.6 6=.5 25=0 2L=.6 head_roll=.07",
      "grateful": "6=.6 12=.75 25=0 17=.25 1=.4 head_pitch=.07 lids=.15",
    },
  ),
  "sadness": (
    "1=.85 4=.35 15=.85 17=.4 lids=.15 gaze_pitch=.12 head_pitch=.06",
    {
      "sad": "",
      "grieving": "1=1 4=.75 15=1 17=.75 20=.25 lids=.3",
      "crying": "1=.85 4=.6 6=.4 7=.4 15=.8 20=.35 25=.35 jaw=.02 lids=.3",
      "melancholic": "1=.65 4=.15 15=.6 17=.15 lids=.28 gaze_pitch=.2",
      "disappointed": "1=.55 15=.9 17=.5 24=.25 head_pitch=.06",
      "frowning": "1=.4 4=.5 15=1 17=.7",
      "despairing": "1=1 4=.5 15=.8 25=.35 jaw=.03 lids=.25",
      "sobbing": "1=.9 4=.65 6=.55 7=.5 15=.7 20=.55 25=.8 jaw=.1 lids=.45",
      "lonely": "1=.7 4=.1 15=.5 17=.05 gaze_yaw=.22 head_yaw=.1 lids=.1 25=.15",
      "miserable": "1=.85 4=.7 15=1 17=.85 lids=.25 11=.4",
      "nostalgic": "1=.6 4=0 15=.45 17=0 12=.2 gaze_pitch=-.1 gaze_yaw=.15",
      "heartbroken": "1=1.05 4=.45 15=.7 20=.3 6=.35 28=.35 lids=.3 head_roll=.06",
    },
  ),
  "anger": (
    "4=1 5=.4 7=.45 23=.55 24=.3 38=.5 29=.5 head_pitch=.05",
    {
      "angry": "",
      "furious": "4=1.05 5=.7 7=.55 10=.5 16=.5 25=.6 23=.35 24=0 jaw=.05 38=.8",
      "annoyed": "4=.8 5=.2 24=.5 14=.25 29=.2",
      "glaring": "4=1.05 5=.8 7=.6 head_pitch=.09 gaze_pitch=-.07",
      "frustrated": "4=.9 5=.3 24=.75 17=.4 33=.2",
      "hostile": "4=1 5=.55 10=.4 25=.35 29=.6 24=.1",
      "bitter": "4=.85 5=.1 7=.5 15=.45 24=.5 14=.35",
      "resentful": "4=.9 5=.15 7=.4 15=.35 17=.45 head_yaw=.09 gaze_yaw=-.16",
      "indignant": "4=.85 5=.75 2=.3 17=.5 23=.4 24=.1 29=.45 head_pitch=-.03",
      "snarling": "4=1 9=.5 10=.9 25=.55 23=.1 24=0 16=.4 38=.7",
      "impatient": "4=.75 5=.25 24=.65 33=.35 head_roll=.06 gaze_pitch=-.12",
      "jealous": "4=.85 5=.2 7=.75 10L=.35 14L=.4 gaze_yaw=.2 24=.2",
    },
  ),
  "fear": (
    "1=.9 2=.45 4=.5 5=.75 20=.95 25=.3 head_pitch=-.05",
    {
      "afraid": "jaw=.02",
      "terrified": "1=1 2=.55 4=.5 5=1 20=1.2 25=.6 jaw=.07 38=.3",
      "panicked": "1=.9 2=.6 5=.95 20=1.05 25=.65 16=.45 jaw=.04",
      "nervous": "1=.8 2=.3 4=.5 5=.5 20=.8 28=.45 25=0 head_pitch=-.02",
      "anxious": "1=.85 2=.3 4=.6 5=.55 20=.85 24=.35 25=0",
      "worried": "1=1 2=.3 4=.65 5=.45 20=.8 17=.25 25=.1",
      "alarmed": "1=.8 2=.75 5=1 20=.75 25=.35 jaw=.03 head_pitch=-.12",
      "dreading": "1=.95 2=.25 4=.7 5=.5 20=.8 25=.1 24=.25 15=.3 head_pitch=0",
      "horrified": "1=1 2=.45 4=.6 5=1 20=1.1 25=.5 jaw=.11 10=.4",
      "trembling": "1=.85 2=.35 4=.55 5=.65 20=.95 25=.25 17=.4",
      "flinching": "1=.7 2=.25 4=.6 20=1.05 25=.2 7=.4 head_pitch=-.07 head_yaw=.09",
      "insecure": "1=.95 2=.25 4=.35 5=.4 20=.7 25=0 28=.3 gaze_pitch=.12",
    },
  ),
  "surprise": (
    "1=1 2=1.1 5=.8 25=.45 22=.35 jaw=.14",
    {
      "surprised": "",
      "astonished": "1=1.25 2=1.3 5=1.1 25=.65 jaw=.22 38=.4",
      "amazed": "2=1 5=.6 12=.35 22=.15 jaw=.1 6=.2",
      "shocked": "2=1 5=1.1 jaw=.2 20=.15 22=.2 head_pitch=-.04",
      "gasping": "1=.85 2=.95 jaw=.16 22=.65 38=.4",
      "startled": "1=.9 2=1 5=1.1 25=.2 20=.25 22=0 jaw=.05 head_pitch=-.12",
      "stunned": "1=.7 2=.8 5=.95 25=.25 22=.1 jaw=.1 4=.3",
      "awestruck": "1=1.05 2=1 5=.65 jaw=.1 6=.25 head_pitch=-.1",
      "dumbfounded": "1=.9 2=1.05 4L=.35 5=.6 25=.4 jaw=.17 head_roll=.05",
      "impressed": "1=.8 2=1.05 5=.45 25=.1 22=.2 jaw=.03 15=.4 17=.5",
      "gaping": "1=.75 2=.85 5=.65 25=.3 jaw=.3",
      "ogling": "1=.85 2=1.15 5=1.2 25=.15 22=.55 jaw=.05",
    },
  ),
  "disgust": (
    "9=.95 10=.75 17=.3 4=.3 head_yaw=.03",
    {
      "disgusted": "15=.25",
      "revolted": "9=1 10=.9 16=.5 25=.45 jaw=.03",
      "nauseated": "9=.8 10=.65 15=.45 25=.25 lids=.25 jaw=.03",
      "distaste": "9=.75 10=.45 15=.5 24=.3",
      "loathing": "9=.9 10=.75 4=.65 7=.35",
      "appalled": "9=.85 10=.7 1=.45 5=.45 25=.4 jaw=.05 4=.2",
      "gagging": "9=.85 10=.85 25=.7 jaw=.1 16=.5 17=0 lids=.3 head_pitch=.07",
      "squeamish": "9=.75 10=.5 20=.55 lids=.3 head_yaw=.07 1=.3",
      "offended": "9=.65 10=.55 17=.65 5=.35 head_pitch=-.06 2=.3",
      "averse": "9=.8 10=.55 head_yaw=.12 gaze_yaw=.2 24=.2",
      "sickened": "9=.8 10=.75 15=.6 17=.5 33=.45 lids=.18",
      "disapproving": "9=.65 10=.4 4=.6 24=.5 15=.35 17=.55 head_pitch=.05",
    },
  ),
  "contempt": (
    "12L=.75 14L=.9 14R=.2 mouthL=.3 lids=.14 head_pitch=-.04",
    {
      "contemptuous": "",
      "scornful": "10L=.5 14L=.8",
      "smirking": "12L=1 13L=.4 14L=.7",
      "sneering": "10L=1 9L=.45 12L=.4 14L=.7",
      "disdainful": "14L=.9 lids=.25 17=.3 head_pitch=-.06 gaze_pitch=.08",
      "mocking": "12L=.85 14L=.8 2R=.55 head_roll=.04",
      "sarcastic": "12L=.7 14L=.7 2=.4 gaze_pitch=-.15 lids=.05",
      "smug": "12L=.9 12R=.35 14=.75 6L=.35 17=.3 lids=.2 head_pitch=-.05",
      "arrogant": "12L=.5 14L=.7 2=.35 lids=.3 head_pitch=-.1 gaze_pitch=.1",
      "dismissive": "12L=.55 14L=.8 head_yaw=.12 gaze_yaw=.2 25=.25 jaw=.03",
      "condescending": "12L=.65 12R=.3 1=.45 2=.3 lids=.2 head_roll=.07",
      "cynical": "12L=.45 14L=1 4=.4 7=.5 15R=.35 lids=.2",
    },
  ),
  "interest": (
    "1=.5 2=.6 5=.4 12=.55 14=.3 head_roll=.07 head_pitch=.03",
    {
      "interested": "",
      "curious": "2=.9 5=.55 25=.3 head_roll=.12",
      "attentive": "1=.45 5=.65 12=.3 24=.35",
      "engaged": "1=.3 2=.4 12=.75 25=.5 6=.45 head_pitch=.09",
      "fascinated": "2=.7 5=.7 12=.5 25=.5 17=.15 head_pitch=.05",
      "eager": "5=.5 12=.7 25=.1 6=.4 head_pitch=.1",
      "enthusiastic": "1=.6 2=.8 12=.85 25=.6 6=.35",
      "excited": "1=.65 2=.7 5=.65 12=.8 25=.65 16=.3 jaw=.05",
      "intrigued": "1L=.3 1R=.75 2L=.4 2R=1 5=.3 12=.5 7=.3",
      "expectant": "1=.75 2=.5 5=.5 12=.4 25=.05 24=.25 gaze_pitch=-.1",
      "listening": "1=.4 2=.5 5=.3 12=.45 head_roll=.14 head_yaw=.06",
      "inspired": "1=.65 2=.45 5=.4 12=.65 25=.1 gaze_pitch=-.18 head_pitch=-.08",
    },
  ),
  "confusion": (
    "4=.5 4R=.65 1L=.4 2L=.95 7R=.4 18=.25 head_roll=.08",
    {
      "confused": "",
      "puzzled": "18=.55 mouthL=.3",
      "bewildered": "4=.6 2R=.2 25=.4 jaw=.03",
      "doubtful": "15=.5 17=.5 2L=.85",
      "skeptical": "2L=1 4R=.75 7R=.5 24=.3 14R=.25",
      "hesitant": "2L=.75 28=.4 18=0 gaze_yaw=.15 25=.1 4=.4 20=.2",
      "baffled": "2L=1.05 25=.5 jaw=.05 18=.05 10R=.3 5=.3",
      "disoriented": "2L=.8 4=.45 lids=.25 25=.3 18=0 gaze_yaw=.2 7R=.15 head_yaw=.08",
      "conflicted": "2L=.8 4=.65 24=.6 18=0 15L=.4 mouthL=.2",
      "clueless": "2L=.95 2R=.45 1R=.4 4=.2 15=.4 17=.35 18=.35 lids=.1 head_roll=.08",
      "questioning": "2L=1.1 4R=.5 5L=.4 18=.05 25=.3 head_pitch=.06 head_roll=.07",
      "incomprehending": "2L=.85 4=.8 7=.55 10L=.35 25=.35 18=0 head_pitch=.05",
    },
  ),
  "neutral": ("", {"neutral": ""}),
  "calm": (
    "lids=.3 12=.35",
    {
      "calm": "24=.1",
      "relaxed": "lids=.34 25=.3 jaw=.03 12=.2",
      "serene": "lids=.45 12=.4",
      "composed": "lids=.18 24=.3 12=.2",
      "peaceful": "lids=.55 12=.15 17=.15 head_roll=.05",
      "content": "lids=.28 12=.42 6=.12 17=.15",
      "patient": "lids=.22 12=.2 24=.2 1=.25 head_roll=.05",
      "meditative": "lids=.65 12=.3 gaze_pitch=.16 head_pitch=.06",
      "dreamy": "lids=.35 12=.3 25=.2 gaze_pitch=-.16 gaze_yaw=.18 head_roll=.06",
      "stoic": "lids=.14 12=0 24=.3 17=.3 14=.15",
      "relieved": "lids=.35 12=.4 25=.4 jaw=.05 1=.3 head_pitch=-.03",
    },
  ),
  "embarrassment": (
    "12=.45 24=.55 gaze_pitch=.28 gaze_yaw=.14 head_pitch=.08 head_yaw=.09 lids=.2",
    {
      "embarrassed": "17=.25",
      "ashamed": "12=.05 15=.35 1=.3 gaze_pitch=.38 head_pitch=.09 lids=.3",
      "shy": "12=.5 1=.3 head_roll=.04",
      "bashful": "12=.7 6=.3 gaze_yaw=.22",
      "sheepish": "12=.5 28=.4 20=.35 1=.35",
      "guilty": "12=.05 1=.4 4=.25 15=.3 gaze_yaw=.24",
      "flustered": "12=.35 1=.45 2=.3 25=.25 24=.2 5=.2 gaze_yaw=.2",
      "humble": "12=.3 24=.3 head_pitch=.12 gaze_pitch=.36 lids=.3",
      "apologetic": "12=.2 1=.7 24=.5 17=.3 head_roll=.06",
      "blushing": "12=.6 6=.45 14=.3 33=.15 lids=.25",
      "self_conscious": "12=.3 28=.35 24=.25 14=.2 gaze_yaw=.22 head_yaw=.11",
      "humiliated": "12=0 1=.55 4=.45 15=.45 17=.45 gaze_pitch=.4 head_pitch=.1",
    },
  ),
  "pride": (
    "12=.5 17=.65 23=.2 head_pitch=-.09 gaze_pitch=.06",
    {
      "proud": "lids=.1",
      "confident": "12=.6 7=.3 17=.45",
      "triumphant": "12=.85 6=.35 25=.4 17=.45",
      "determined": "12=.2 4=.25 23=.5 24=.4 17=.85",
      "defiant": "12=.2 17=.85 29=.35 4=.15",
      "boastful": "12=.7 17=.4 2=.45 25=.3 head_pitch=-.1",
      "brave": "12=.25 17=.75 4=.15 5=.35 38=.35 24=.25",
      "dignified": "12=.25 17=.45 lids=.2 24=.2 head_pitch=-.1",
      "stubborn": "12=.1 17=1.05 23=.4 24=.5 4=.2 29=.15",
      "commanding": "12=.25 17=.6 4=.3 7=.3 5=.3 23=.35",
      "gloating": "12=.8 17=.4 6=.3 13=.35 14=.45 lids=.12",
      "vain": "12=.4 17=.4 18=.3 2=.4 lids=.28 head_yaw=.08 head_roll=.05",
    },
  ),
  "tiredness": (
    "lids=.55 gaze_pitch=.08 1=.25 15=.3 jaw=.03 head_pitch=.07 head_roll=.05",
    {
      "tired": "25=.1",
      "bored": "lids=.46 14=.35 gaze_yaw=.2 head_roll=.1",
      "sleepy": "lids=.72 1=.35 15=0 head_pitch=.1 25=.2",
      "exhausted": "lids=.6 25=.4 jaw=.06 1=.4 head_pitch=.09",
      "yawning": "lids=.7 jaw=.3 25=.2 4=.3 15=.3 head_pitch=-.03",
      "apathetic": "lids=.46 15=.3 1=0",
      "dozing": "lids=.85 head_pitch=.12 1=.05 25=.2 15=.05",
      "groggy": "lids=.56 7=.5 4=.25 25=.2 15=.1",
      "sighing": "lids=.46 25=.4 jaw=.05 33=.3 22=.3 1=.35",
      "dazed": "lids=.42 25=.35 jaw=.04 1=.05 15=0 gaze_yaw=.1",
      "lethargic": "lids=.6 15=.45 17=.25 head_roll=.07 1=.1",
      "jaded": "lids=.48 15=.3 14L=.4 4=.2 gaze_yaw=.12 2=.2",
    },
  ),
  "pain": (
    "4=.85 6=.7 7=.75 lids=.55 10=.4 20=.55 25=.3",
    {
      "pained": "",
      "agonized": "lids=.75 25=.65 20=.85 16=.4 jaw=.06",
      "wincing": "lids=.7 12L=.55 6L=1 25=.1 20=.3",
      "grimacing": "20=1 25=.7 16=.65 10=.5 lids=.45",
      "suffering": "1=.45 15=.35 lids=.6",
      "cringing": "20=.75 9=.35 17=.35 lids=.55 head_yaw=.05",
      "anguished": "1=.8 4=.7 lids=.5 25=.5 20=.6 jaw=.04 10=.2",
      "straining": "lids=.5 24=.7 25=0 23=.5 20=.3 17=.45 38=.4",
      "gritting": "25=.85 20=.7 16=.75 10=.75 lids=.4 23=.3 24=0",
      "sore": "lids=.35 20=.35 25=.05 10=.2 14=.35 head_roll=.05",
      "uncomfortable": "4=.65 6=.45 7=.5 lids=.35 20=.45 24=.45 25=0 14=.3",
      "aching": "4=.75 6=.5 lids=.65 20=.3 25=.15 15=.35 head_pitch=.06",
    },
  ),
  "pout": (
    "17=1 18=.75 22=.35 lips_toward=.3",
    {
      "pouting": "",
      "sulking": "4=.45 15=.3 head_pitch=.05 gaze_pitch=.1",
      "petulant": "4=.3 33=.3 head_yaw=.05",
      "kissing": "18=1 22=.55 17=.3 lids=.3",
      "pleading": "1=.8 4=.2 5=.3 gaze_pitch=-.06",
      "grumpy": "17=1 18=.55 4=.75 15=.55 23=.2",
      "whining": "17=.8 18=.55 22=.4 1=.7 4=.35 25=.45 jaw=.04 15=.35",
      "whistling": "17=.4 18=1.1 22=.75 25=.3 jaw=.03 33=.3",
      "blowing": "17=.35 18=.85 22=.7 33=.8",
      "moping": "17=.9 18=.55 15=.55 1=.5 gaze_pitch=.2 head_pitch=.06 lids=.25",
      "cooing": "17=.45 18=.9 22=.6 1=.6 2=.6 6=.35",
      "flirting": "17=.45 18=.7 12L=.55 6=.3 2L=.5 lids=.25 head_roll=.06",
    },
  ),
  "concentration": (
    "4=.6 7=.85 28=.5 24=.25 lids=.1 head_pitch=.02",
    {
      "focused": "7=.7 24=.4 lids=0",
      "concentrating": "24=.6 17=.3 28=.6",
      "squinting": "7=1.1 6=.5 4=.45 28=.25 lids=.24",
      "suspicious": "7=1 14R=.35 head_yaw=.09 gaze_yaw=-.12 24=.2",
      "thoughtful": "7=.7 gaze_pitch=-.16 gaze_yaw=.18 24=.3",
      "scrutinizing": "7=1 28=.35 head_pitch=.07 lids=.18",
      "serious": "4=.5 7=.55 24=.35 15=.2 17=.2",
      "stern": "4=.7 7=.6 24=.5 15=.3 head_pitch=.05 23=.3",
      "calculating": "4=.5 7=.9 14L=.45 12L=.25 gaze_yaw=.12 head_pitch=.04",
      "vigilant": "4=.5 7=.65 5=.35 28=.4 38=.3 24=.1",
      "studious": "7=.7 gaze_pitch=.24 head_pitch=.08 28=.65",
      "brooding": "4=.7 7=.5 15=.3 lids=.25 gaze_pitch=.18 gaze_yaw=.12 24=.25",
    },
  ),
}


@dataclasses.dataclass(frozen=True)
class Manner:
  """How a label moves in time, where it does more than rise, hold and fall.

  pulse_hz, pulse_depth: a rhythm of the whole expression (laughing, sobbing).
  pulses: the expression comes this many times and goes again; 0 = it stays.
  blink_factor: blinks against the usual rate.
  gaze_factor: amplitude and rate of gaze shifts against the usual.
  onset_factor: duration of the onset against the usual.
  """

  pulse_hz: float = 0.0
  pulse_depth: float = 0.0
  pulses: int = 0
  blink_factor: float = 1.0
  gaze_factor: float = 1.0
  onset_factor: float = 1.0


USUAL = Manner()
MANNERS = {
  "laughing": Manner(pulse_hz=4.0, pulse_depth=0.3),
  "crying": Manner(pulse_hz=2.6, pulse_depth=0.2, blink_factor=1.5),
  "gasping": Manner(onset_factor=0.4),
  "surprised": Manner(onset_factor=0.6),
  "shocked": Manner(onset_factor=0.5),
  "panicked": Manner(onset_factor=0.6, gaze_factor=2.0),
  "nervous": Manner(gaze_factor=2.5),
  "anxious": Manner(gaze_factor=2.0),
  "wincing": Manner(pulses=2, onset_factor=0.6),
  "yawning": Manner(pulses=1, onset_factor=2.0),
  "kissing": Manner(pulses=2),
  "tired": Manner(onset_factor=1.6),
  "sleepy": Manner(onset_factor=1.8, gaze_factor=0.4),
  "serene": Manner(onset_factor=1.8, gaze_factor=0.4),
  "calm": Manner(onset_factor=1.6, gaze_factor=0.5),
  "focused": Manner(blink_factor=0.4, gaze_factor=0.3),
  "glaring": Manner(blink_factor=0.2, gaze_factor=0.2),
  "giggling": Manner(pulse_hz=5.2, pulse_depth=0.3),
  "chuckling": Manner(pulse_hz=2.8, pulse_depth=0.35),
  "ecstatic": Manner(onset_factor=0.6),
  "sobbing": Manner(pulse_hz=3.4, pulse_depth=0.35, blink_factor=1.5),
  "nostalgic": Manner(onset_factor=1.8, gaze_factor=0.5),
  "impatient": Manner(gaze_factor=2.0, blink_factor=1.6),
  "snarling": Manner(onset_factor=0.6),
  "alarmed": Manner(onset_factor=0.4),
  "trembling": Manner(pulse_hz=6.5, pulse_depth=0.35),
  "flinching": Manner(pulses=2, onset_factor=0.5),
  "startled": Manner(pulses=1, onset_factor=0.4),
  "stunned": Manner(onset_factor=0.5, blink_factor=0.1, gaze_factor=0.2),
  "gagging": Manner(pulses=3, onset_factor=0.7),
  "disoriented": Manner(gaze_factor=2.2),
  "hesitant": Manner(pulses=2, onset_factor=1.3),
  "flustered": Manner(gaze_factor=2.2, blink_factor=2.0),
  "meditative": Manner(onset_factor=2.0, gaze_factor=0.3, blink_factor=0.4),
  "dozing": Manner(pulses=2, onset_factor=2.0, gaze_factor=0.3),
  "sighing": Manner(pulses=1, onset_factor=1.8),
  "dazed": Manner(gaze_factor=0.2, blink_factor=0.3),
  "aching": Manner(pulse_hz=1.0, pulse_depth=0.4),
  "straining": Manner(pulse_hz=7.0, pulse_depth=0.2),
  "blowing": Manner(pulses=2, onset_factor=1.2),
  "vigilant": Manner(gaze_factor=2.2, blink_factor=0.5),
}

# Acts of the face at full strength: on both sides, or in the middle ...
MICRO_RECIPES = {
  "brow_raise": "1=.85 2=1",
  "brow_furrow": "4=1.1",
  "lip_press": "24=1 23=.7 17=.55 28=.35",
  "lip_bite": "28=.6 lower_lip_press=.9 jaw=.03",
  "pucker": "18=1.05 22=.35",
  "jaw_drop": "jaw=.3 25=.3",
  "squint": "7=1.1 6=.85 4=.35 9=.2 lids=.3",
  "nose_wrinkle": "9=1 10=.25",
  "cheek_puff": "33=1.1 24=.4",
  "eyes_closed": "lids=.97 7=.15",
  "wide_eyes": "5=1.15 1=.3 2=.3",
  "duck_face": "18=.9 22=.9 cheek_suck=.7 25=.15",
  "mouth_shrug": "17=1 15=.9 24=.25",
  "swallow": "24=.75 17=.6 lower_lip_press=.4 29=.35 lids=.25",
  "sniff": "9=.8 39=.9 10=.25",
  "deep_breath": "38=1 25=.45 22=.35 jaw=.09",
}
# ... and on the subject's left alone.
LEFT_RECIPES = {
  "brow_raise": "1L=.55 2L=1.15 4R=.2",
  "squint": "7L=1.2 6L=1 4L=.35 lid_l=.35",
  "cheek_puff": "33L=1.2 24=.35",
  "eyes_closed": "lid_l=.97 7L=.4 6L=.4",
  "wink": "6L=1 7L=.6 12L=.45 4L=.4 lid_l=.95",
  "lopsided_smile": "12L=1.1 13L=.3 14L=.3 6L=.35",
  "mouth_shift": "mouth_left=1.1 12L=.1",
  "jaw_shift": "jaw_sideways_l=1.1 25=.15",
}
