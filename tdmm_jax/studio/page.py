"""The studio's page: controls on the left, the face on the right."""

import functools
import html
import logging
import pathlib

import gradio as gr

from tdmm_jax.errors import UserError
from tdmm_jax.language import examples, timeline
from tdmm_jax.studio import actions as actions_lib
from tdmm_jax.studio.actions import Actions

STYLE = pathlib.Path(__file__).with_name("web") / "page.css"
_LOG = logging.getLogger(__name__)
# All of them are of tdmm_jax.language.examples: a test has the release act them out.
EXAMPLES = (
  examples.FIRST,
  "The man looks furious, shaking his head.",
  "He looks calm, then very surprised.",
  "She speaks calmly, tilting her head.",
  "He looks sad, looking down.",
)
COMPARED = ("She looks slightly happy.", "She looks extremely happy.")
TIMELINE = (
  "0-2: She looks slightly happy.\n2-5: She looks very surprised.\n"
  "5-8: She looks very angry."
)
QUESTIONS = (
  "What is this face doing?",
  "What emotion does the face show?",
  "Does the head move?",
  "Is the person speaking?",
)
PLAYED = (".mp4", ".webm")  # by every browser
SECONDS, VARIETY, GUIDANCE = 4.0, "Natural", "Default"  # at first
ABOUT = """# TDMM studio
A sentence becomes a moving face, and a moving face becomes a sentence.
"""
NOTE = """
The face is a model's guess, trained on a simulated corpus: emotion words work best,
small details are often lost. Do not pass generated motion off as a person's recording.
"""


def viewer(ids=()) -> str:
  """The 3D view of clips, side by side and in step."""
  ids = ",".join(ids)
  return (
    f'<iframe title="The face in 3D" src="/studio/viewer.html?clips={ids}"></iframe>'
  )


def live_viewer() -> str:
  """The 3D view of a face that never stops; it does while the page shows this."""
  return '<iframe title="A live face" src="/studio/viewer.html?live=1"></iframe>'


def _plain(function):
  """Shows the user's errors as they are, the program's with an apology."""

  @functools.wraps(function)
  def call(*arguments, progress):
    say = lambda share, text: progress(share, desc=text)
    try:
      return function(*arguments, say)
    except UserError as error:
      text = html.escape(str(error))
      raise gr.Error(text, print_exception=False, duration=20) from error
    except Exception as error:
      _LOG.exception("studio: %s", function.__name__)
      raise gr.Error(
        "The program failed here, sorry; its terminal says more. Try something else.",
        print_exception=False,
      ) from error

  return call


def _tell(face, prompt: str, seconds: float) -> None:
  """Shows what was understood of a prompt, and what is doubtful of it."""
  told = face.understand(prompt, seconds)
  if told.text:
    gr.Info(html.escape(f"Understood as: {told.text}"))
  for warning in told.warnings:
    gr.Warning(html.escape(warning, quote=False))


def _lines(texts) -> str:
  """One line for each motion, numbered where there are several."""
  many = len(texts) > 1
  return "\n".join(f"{n}. {text}" if many else text for n, text in enumerate(texts, 1))


class _Stage:
  """The right side: what every button shows its motions on."""

  def __init__(self, actions: Actions, first=()):
    self.actions = actions
    ids = [clip.id for clip in first]
    self.ids = gr.State(ids)
    self.view = gr.HTML(viewer(ids), elem_id="viewer", container=False, padding=False)
    with gr.Column() as self.of_motions:
      self.files = gr.File(
        [clip.save_npz() for clip in first] or None,
        label="Files to download",
        file_count="multiple",
        interactive=False,
        visible=bool(first),
        elem_id="files",
      )
      self.film = gr.Button("Make a video, and all files to download", elem_id="film")
      self.video = gr.Video(
        label="Video",
        visible=False,
        height=400,
        autoplay=True,
        loop=True,
        elem_id="video",
      )
      self.heard = gr.Textbox(
        _lines([clip.caption for clip in first]),
        label="What the model reads in it",
        info="The motion goes back through the model, which describes what it sees.",
        interactive=False,
        lines=1,
        elem_id="heard",
      )
      self.question = gr.Textbox(
        label="Ask about the motion",
        info="In your own words.",
        placeholder=QUESTIONS[0],
        max_length=actions_lib.MAX_PROMPT,
        submit_btn="Ask",
        elem_id="question",
      )
      gr.Examples(
        [[text] for text in QUESTIONS], [self.question], label="Questions to click"
      )
      self.answer = gr.Textbox(
        label="Answer", interactive=False, visible=False, elem_id="answer"
      )

  @property
  def outputs(self):
    texts = [self.heard, self.answer]
    return [self.ids, self.view, *texts, self.video, self.files, self.of_motions]

  def show(self, clips):
    """Values of `outputs`."""
    ids = [clip.id for clip in clips]
    return (
      ids,
      viewer(ids),
      _lines([clip.caption for clip in clips]),
      gr.update(value="", visible=False),
      gr.update(value=None, visible=False),
      gr.update(value=[clip.save_npz() for clip in clips], visible=True),
      gr.update(visible=True),
    )

  def connect(self, queue: dict):
    """Ask and film; `queue` says how requests wait."""

    def ask(ids, question, progress=gr.Progress()):
      say = lambda ids, question, _: self.actions.ask(ids, question)
      answers = _plain(say)(ids, question, progress=progress)
      return gr.update(value=_lines(answers), visible=True)

    def film(ids, progress=gr.Progress()):
      movie, files = _plain(self.actions.films)(ids, progress=progress)
      return gr.update(value=movie, visible=True), gr.update(value=files, visible=True)

    inputs = [self.ids, self.question]
    self.question.submit(ask, inputs, self.answer, api_name="ask", **queue)
    outputs = [self.video, self.files]
    self.film.click(film, self.ids, outputs, api_name="film", **queue)


def _settings(face, variants: bool = False, seconds: bool = True) -> dict:
  """The controls that every way of making a motion shares."""
  found = {}
  if seconds:
    found["seconds"] = gr.Slider(
      *(0.4, face.max_seconds),
      value=min(SECONDS, face.max_seconds),
      step=0.04,
      label="Length, seconds",
      info="How long the motion is; a frame is 0.04 s.",
    )
  found["variety"] = gr.Radio(
    list(actions_lib.VARIETY),
    value=VARIETY,
    label="Variety",
    info="How freely it is acted. Likeliest is the same every time.",
  )
  found["guidance"] = gr.Radio(
    list(actions_lib.GUIDANCE),
    value=GUIDANCE,
    label="Guidance",
    info="How closely the words are followed; close exaggerates.",
  )
  with gr.Row():
    found["seed"] = gr.Number(
      value=0,
      precision=0,
      minimum=0,
      label="Seed",
      info="Another number, another take.",
    )
    if variants:
      found["variants"] = gr.Slider(
        *(1, actions_lib.MAX_VARIANTS),
        value=1,
        step=1,
        label="Variants",
        info="Takes side by side.",
      )
  return found


def _prompt(label: str, value: str, name: str) -> gr.Textbox:
  return gr.Textbox(
    value=value,
    label=label,
    info="Say what the face does: an emotion, how strong, what head and eyes do.",
    lines=2,
    max_length=actions_lib.MAX_PROMPT,
    elem_id=name,
  )


def _generate_tab(face, actions: Actions, stage: _Stage, queue: dict):
  prompt = _prompt("Prompt", EXAMPLES[0], "prompt")
  button = gr.Button("Make the motion", variant="primary", elem_id="generate")
  gr.Examples([[text] for text in EXAMPLES], [prompt], label="Examples to click")
  knobs = _settings(face, variants=True)

  def generate(
    prompt, seconds, variety, guidance, seed, variants, progress=gr.Progress()
  ):
    count = min(max(int(variants), 1), actions_lib.MAX_VARIANTS)
    made = _plain(actions.generate)(
      *([prompt] * count, seconds, seed, variety, guidance), progress=progress
    )
    _tell(face, prompt, seconds)
    return stage.show(made)

  inputs = [
    prompt,
    *(knobs[k] for k in ("seconds", "variety", "guidance", "seed", "variants")),
  ]
  for event in (button.click, prompt.submit):
    event(generate, inputs, stage.outputs, api_name="generate", **queue)


def _timeline_tab(face, actions: Actions, stage: _Stage, queue: dict):
  limits = f"longest={face.max_seconds:g}&total={actions_lib.MAX_SECONDS:g}"
  gr.Markdown(
    "Drag an edge for another length, a part for another place. A key, above the "
    "parts, is a pose that the face meets there; drag it to another time."
  )
  gr.HTML(
    '<iframe title="A timeline to drag" '
    f'src="/studio/timeline.html?box=timeline&keys=keys&{limits}"></iframe>',
    elem_id="drag",
    padding=False,
  )
  text = gr.Textbox(
    value=TIMELINE,
    label="The same as text",
    info="One line for each part: from-to in seconds, a colon, what the face does. Up "
    f"to {actions_lib.MAX_SECONDS:g} s, each part up to {face.max_seconds:g} s.",
    lines=5,
    max_length=2000,
    elem_id="timeline",
  )
  keys = gr.Textbox(
    label="Keys",
    info="One line for each: a time in seconds, a colon, a pose in words, as "
    '"2: eyes closed", or "neutral". The whole face meets it.',
    lines=2,
    max_length=2000,
    elem_id="keys",
  )
  button = gr.Button("Make the timeline", variant="primary", elem_id="make_timeline")
  knobs = _settings(face, seconds=False)

  def make_timeline(text, variety, guidance, seed, keys, progress=gr.Progress()):
    what = (text, seed, variety, guidance)
    made = _plain(actions.timeline)(*what, keys=keys, progress=progress)
    for part in timeline.parse(text):
      _tell(face, part.prompt, part.stop_s - part.start_s)
    return stage.show(made)

  inputs = [text, *(knobs[k] for k in ("variety", "guidance", "seed")), keys]
  button.click(make_timeline, inputs, stage.outputs, api_name="timeline", **queue)


def _describe_tab(no_video, actions: Actions, stage: _Stage, queue: dict):
  if no_video:
    gr.Markdown(f"**No videos here**, only motions: {no_video}", elem_id="no_video")
  videos = () if no_video else actions_lib.VIDEO_TYPES
  file = gr.File(
    label="A motion" if no_video else "A motion, or a video of a face",
    file_types=[*actions_lib.MOTION_TYPES, *videos],
    elem_id="upload",
    height=160,
  )
  button = gr.Button("Describe it", variant="primary", elem_id="describe")
  of_videos = (
    "**A video** (mp4, mov, webm, avi, mkv) shows one face, from the front or nearly. "
    "The face is followed first, which can take a minute. "
  )
  gr.Markdown(
    ("" if no_video else of_videos)
    + "**A motion** is a file made here (npz, glb, csv) or by a face tracker such as "
    "SMIRK (pkl, npz).\n\n"
    f"Up to 20 MB and {actions_lib.MAX_SECONDS:g} s. The file stays on the machine "
    "that the studio runs on, and is deleted when it ends."
  )

  def describe(path, progress=gr.Progress()):
    shown = stage.show(_plain(actions.read)(path, progress=progress))
    if pathlib.Path(path).suffix.lower() in PLAYED:  # beside what was fitted to it
      video = gr.update(value=path, visible=True)
      shown = tuple(
        video if output is stage.video else value
        for output, value in zip(stage.outputs, shown, strict=True)
      )
    return shown

  button.click(describe, file, stage.outputs, api_name="describe", **queue)


def _compare_tab(face, actions: Actions, stage: _Stage, queue: dict):
  first = _prompt("Left", COMPARED[0], "left")
  second = _prompt("Right", COMPARED[1], "right")
  button = gr.Button("Compare", variant="primary", elem_id="compare")
  knobs = _settings(face)

  def compare(first, second, seconds, variety, guidance, seed, progress=gr.Progress()):
    prompts = [first, second]
    made = _plain(actions.generate)(
      prompts, seconds, seed, variety, guidance, progress=progress
    )
    for prompt in prompts:
      _tell(face, prompt, seconds)
    return stage.show(made)

  inputs = [
    first,
    second,
    *(knobs[k] for k in ("seconds", "variety", "guidance", "seed")),
  ]
  button.click(compare, inputs, stage.outputs, api_name="compare", **queue)


def _live_tab(stage: _Stage):
  gr.Markdown(
    "The face breathes, looks about and blinks until you type a sentence below it and "
    "press Enter; it acts it out and idles again. A new sentence takes over at once."
  )
  with gr.Row():
    start = gr.Button("Start", variant="primary", elem_id="start_live")
    stop = gr.Button("Stop", elem_id="stop_live")
  # A live face is no motion that could be asked about, or downloaded.
  shown = [stage.view, stage.of_motions]
  now = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
  start.click(lambda: (live_viewer(), gr.update(visible=False)), None, shown, **now)

  def end(ids):
    return viewer(ids), gr.update(visible=True)

  stop.click(end, stage.ids, shown, **now)


def build(
  actions: Actions, first=(), no_video: str | None = None
) -> tuple[gr.Blocks, dict]:
  """The page, and how it looks (the keywords of `gr.mount_gradio_app`).

  Args:
    actions: what its buttons do; the motions on their shelf are what it shows.
    first: clips that it opens with.
    no_video: why no video can be read here, if so.
  """
  face = actions.face
  name = html.escape(pathlib.Path(face.name).name)
  # One model, two cores: requests wait in one queue, and a full queue says so.
  queue = {"concurrency_id": "model", "concurrency_limit": 1}
  tabs = (
    ("Words → motion", functools.partial(_generate_tab, face)),
    ("Timeline", functools.partial(_timeline_tab, face)),
    ("Motion → words", functools.partial(_describe_tab, no_video)),
    ("Compare", functools.partial(_compare_tab, face)),
  )
  blocks = gr.Blocks(
    title="TDMM studio", analytics_enabled=False, delete_cache=(600, 3600)
  )
  with blocks:
    gr.Markdown(ABOUT, elem_id="about")
    with gr.Row():
      with gr.Column(scale=3, min_width=320, render=False) as right:
        stage = _Stage(actions, first)
        queue["show_progress_on"] = [
          stage.view
        ]  # and errors, once instead of six times
      with gr.Column(scale=2, min_width=320):
        for title, fill in tabs:
          with gr.Tab(title):
            fill(actions, stage, queue)
        with gr.Tab("Live"):
          _live_tab(stage)
        gr.Markdown(f"{NOTE}\nCheckpoint: `{name}`", elem_id="note")
      right.render()
    stage.connect(queue)
  blocks.queue(max_size=64)
  fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
  mono = ["ui-monospace", "Menlo", "Consolas", "monospace"]
  theme = gr.themes.Soft(primary_hue="blue", font=fonts, font_mono=mono).set(
    block_title_background_fill="transparent",
    block_title_padding="0",
    block_title_text_color="*body_text_color",
    block_label_background_fill="transparent",
    block_label_text_color="*body_text_color",
  )
  return blocks, {"theme": theme, "css_paths": [STYLE]}
