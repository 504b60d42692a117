"""Instruction templates of both tasks, partitioned so that test uses none of train's.

L2M templates have the slots {seconds} and {prompt}; M2L templates have none: the motion
tokens follow the text.
"""

L2M_TRAIN = (
  "Generate a face motion of {seconds} seconds: {prompt}",
  "Face motion, {seconds} seconds: {prompt}",
  "Animate a face for {seconds} seconds. {prompt}",
  "Write {seconds} seconds of motion codes for: {prompt}",
  "{prompt} Length: {seconds} seconds.",
  "Turn this into {seconds} seconds of facial motion: {prompt}",
  "Make a {seconds} seconds clip: {prompt}",
  "Act this out for {seconds} seconds: {prompt}",
)
L2M_VALID = ("Show {seconds} seconds of a face: {prompt}",)
L2M_TEST = (
  "Produce a facial animation of {seconds} seconds: {prompt}",
  "Motion for {seconds} seconds, as described: {prompt}",
)

M2L_TRAIN = (
  "Describe the face.",
  "Write a brief description of the face from the codes.",
  "What does the face look like according to these tokens? Reply briefly.",
  "What is this face doing?",
  "Caption this facial motion.",
  "Put the motion of this face into words.",
  "Say what the face shows.",
  "Summarize this face motion in a sentence.",
)
M2L_VALID = ("Tell what happens in the face.",)
M2L_TEST = (
  "Give a short natural-language description of this face.",
  "Which expression and motion do these codes show?",
)

_TEMPLATES = {
  "train": (L2M_TRAIN, M2L_TRAIN),
  "valid": (L2M_VALID, M2L_VALID),
  "test": (L2M_TEST, M2L_TEST),
}


def templates(split: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """The (L2M, M2L) templates of "train", "valid" or "test"."""
  return _TEMPLATES[split]


def l2m_text(prompt: str, seconds: float, template: str = L2M_TRAIN[0]) -> str:
  """Encoder text of Language2Motion; the duration is stated to a tenth of a second."""
  return template.format(seconds=f"{seconds:.1f}", prompt=prompt)


def m2l_text(index: int, split: str = "train") -> str:
  """Encoder text of Motion2Language ahead of the motion tokens."""
  options = templates(split)[1]
  return options[index % len(options)]
