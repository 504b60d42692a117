"""Sentences that the released checkpoint obeys, and what must be seen of each.

Help texts, the studio, the README and the docs show prompts of this list and no others:
tests/test_examples.py collects all that are shown, has the release act each of them out
five times, and judges by geometry alone.
"""

from typing import NamedTuple


class Sign(NamedTuple):
  """One thing that must be seen in a motion.

  Attributes:
    what: an ARKit curve, or both sides of one ("MouthSmile": the mean of left and
      right), of which the peak counts; "Wink": by how much one lid is more closed than
      the other; "Yaw", "Pitch", "Roll": the head's swing in degrees.
    least, most: limits, curves in 0 .. 1.
    part: (start, stop) as shares of the clip.
  """

  what: str
  least: float
  most: float = float("inf")
  part: tuple[float, float] = (0.0, 1.0)


_START, _END = (0.0, 0.35), (0.75, 1.0)
_HAPPY, _SAD = Sign("MouthSmile", 0.4), Sign("MouthFrown", 0.35)
_SURPRISED, _ANGRY = Sign("BrowOuterUp", 0.4), Sign("BrowDown", 0.4)
_SPEAKS, _NODS = Sign("JawOpen", 0.2), Sign("Pitch", 8.0)

FIRST = "A woman looks very happy, nodding."
EXAMPLES: dict[str, tuple[Sign, ...]] = {
  FIRST: (_HAPPY, _NODS),
  # One emotion.
  "She smiles.": (Sign("MouthSmile", 0.3),),
  "She looks slightly happy.": (Sign("MouthSmile", 0.2, 0.65),),
  "She looks very happy.": (_HAPPY,),
  "She looks extremely happy.": (Sign("MouthSmile", 0.65),),
  "She looks very surprised.": (_SURPRISED, Sign("EyeWide", 0.3)),
  "She looks very angry.": (Sign("BrowDown", 0.6),),
  "He frowns.": (_SAD,),
  "He looks very sleepy.": (Sign("EyeBlink", 0.55),),
  # One emotion, and more.
  "The man looks furious, shaking his head.": (_ANGRY, Sign("Yaw", 11.0)),
  "She speaks calmly, tilting her head.": (_SPEAKS, Sign("Roll", 9.0)),
  "He looks sad, looking down.": (_SAD, Sign("Pitch", 10.0)),
  "A man talks, frowning.": (_SPEAKS, Sign("MouthFrown", 0.3)),
  "She winks.": (Sign("Wink", 0.5),),
  # One after the other.
  "He looks calm, then very surprised.": (
    Sign("BrowOuterUp", 0.0, 0.35, part=_START),
    Sign("BrowOuterUp", 0.4, part=_END),
  ),
  # Parts of timelines.
  "a slight smile": (Sign("MouthSmile", 0.25, 0.75),),
  "surprise, nodding": (_SURPRISED, _NODS),
}
TIMELINE = "0-3: a slight smile; 3-7: surprise, nodding"
