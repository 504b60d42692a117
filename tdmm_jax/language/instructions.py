"""Wordings of every task, partitioned so that test uses none of train's.

Slots: {seconds} is the length of the motion to make, {prompt} what it should show.
Where a task is given a motion, its tokens follow the text. Questions are in
question_wordings.py.
"""

from tdmm_jax.language import question_wordings

SPLITS = question_wordings.SPLITS

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

# task -> wordings of train, valid, test
_WORDINGS = {
  "l2m": (
    L2M_TRAIN,
    ("Show {seconds} seconds of a face: {prompt}",),
    (
      "Produce a facial animation of {seconds} seconds: {prompt}",
      "Motion for {seconds} seconds, as described: {prompt}",
    ),
  ),
  "m2l": (
    M2L_TRAIN,
    ("Tell what happens in the face.",),
    (
      "Give a short natural-language description of this face.",
      "Which expression and motion do these codes show?",
    ),
  ),
  "continuation": (
    (
      "Continue this face motion for {seconds} seconds.",
      "What comes next? Write {seconds} seconds more.",
      "Go on with this motion: {seconds} seconds.",
      "Add {seconds} seconds to the end of this motion.",
      "Predict the next {seconds} seconds of the face.",
    ),
    ("Extend the motion by {seconds} seconds.",),
    (
      "Write the {seconds} seconds that follow.",
      "Keep the face moving for another {seconds} seconds.",
    ),
  ),
  "inbetween": (
    (
      "Fill the gap of {seconds} seconds in this face motion.",
      "Write the missing {seconds} seconds.",
      "Join these two motions by {seconds} seconds.",
      "What happens in the {seconds} seconds between?",
      "Complete the middle of the motion: {seconds} seconds.",
    ),
    ("Connect the start and the end in {seconds} seconds.",),
    (
      "Bridge the two parts with {seconds} seconds.",
      "Restore the {seconds} seconds that were cut out.",
    ),
  ),
  "unconditional": (
    (
      "Generate any face motion of {seconds} seconds.",
      "Move a face freely for {seconds} seconds.",
      "Some facial motion, {seconds} seconds.",
      "Make up a face motion that lasts {seconds} seconds.",
      "Animate a face as you like: {seconds} seconds.",
    ),
    ("Invent {seconds} seconds of facial motion.",),
    (
      "Show a face doing anything for {seconds} seconds.",
      "Write a random face motion of {seconds} seconds.",
    ),
  ),
  "denoising": (
    (
      "Clean up this face motion of {seconds} seconds.",
      "Some codes are wrong: write the right {seconds} seconds.",
      "Repair this motion, {seconds} seconds.",
      "Remove the noise from {seconds} seconds of motion.",
      "Correct the tracking errors: {seconds} seconds.",
    ),
    ("Denoise {seconds} seconds of this face.",),
    (
      "Write these {seconds} seconds without the errors.",
      "Restore the damaged motion of {seconds} seconds.",
    ),
  ),
}


def templates(task: str, split: str) -> tuple[str, ...]:
  """Wordings of a task (see tasks.py) of "train", "valid" or "test"."""
  return _WORDINGS[task][SPLITS.index(split)]


def captions_asked_for(text: str) -> bool:
  """Whether the text is one of Motion2Language's wordings, of any split."""
  return any(text in options for options in _WORDINGS["m2l"])


def fill(template: str, seconds: float, prompt: str = "") -> str:
  """The text of a wording; the duration is stated to a tenth of a second."""
  return template.format(seconds=f"{seconds:.1f}", prompt=prompt)


def around_prompt(template: str, seconds: float) -> tuple[str, str]:
  """What `fill` has before the prompt and after it."""
  before, after = template.split("{prompt}")
  return fill(before, seconds), fill(after, seconds)


def training_texts(tasks) -> list[str]:
  """The training wordings of tasks, each with many durations and no prompt."""
  wordings = [text for task in tasks for text in _WORDINGS.get(task, ((),))[0]]
  found = [fill(text, tenths / 10) for text in wordings for tenths in range(3, 103, 7)]
  return found + (question_wordings.training_texts() if "qa" in tasks else [])
