"""Every prompt that the project shows is one that its released checkpoint obeys.

Judged by geometry: ARKit's curves fitted to the motion, lids, and the head's angles. No
model and no parser has a say.
"""

import json
import re

import numpy as np
import pytest
import tiny
from scipy.spatial import transform

import tdmm_jax
from tdmm_jax.cli import main
from tdmm_jax.face import arkit, load_model
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.language import examples, timeline
from tdmm_jax.runs import locate, packed
from tdmm_jax.studio import page

SEEDS, SECONDS = 5, 4.0
EVERY = 10  # frames: curves are slow, and fitting them takes most of the time
# Where prompts are shown as text; help and studio are asked themselves.
SHOWN_IN = (
  "README.md",
  "tdmm_jax/__init__.py",
  "tdmm_jax/generate/face.py",
  "tdmm_jax/model_card.md.j2",
  "tdmm_jax/release/MODEL_CARD.md",
  "tdmm_jax/studio/web/timeline.js",
  *(
    str(path.relative_to(tiny.REPO))
    for path in sorted((tiny.REPO / "docs").glob("*.md"))
    if path.name != "lab_notebook.md"
  ),
)
_SENTENCE = r"""["']([A-Za-z][^"'\n]*)["']"""
_PATTERNS = (
  rf"tdmm generate {_SENTENCE}(?! --rewrite)",  # what that says, another model writes
  rf"tdmm (?:edit|continue) \S+ {_SENTENCE}",
  rf"tdmm inbetween [^\"'\n]+ {_SENTENCE}",
  rf"\.(?:generate|stream|edit|extend|inbetween)\((?:[\w.]+, )*\\?{_SENTENCE}",
  rf"words: {_SENTENCE}",
  rf"say what the face does, e\.g\. {_SENTENCE}",
)
_TIMELINE = r"""["'](\d[\d.]*-[\d.]+: [^"'\n]*)["']"""


def shown_in(text: str) -> set[str]:
  """The prompts of a text's commands and calls, those of timelines apart."""
  found = {prompt for pattern in _PATTERNS for prompt in re.findall(pattern, text)}
  for line in re.findall(_TIMELINE, text):
    found |= {segment.prompt for segment in timeline.parse(line)}
  return found


def test_only_prompts_of_the_list_are_shown():
  shown = {name: shown_in((tiny.REPO / name).read_text()) for name in SHOWN_IN}
  notebook = json.loads((tiny.REPO / "docs" / "tour.ipynb").read_text())
  source = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
  shown["tour.ipynb"] = shown_in(source)
  (commands,) = [a for a in main._parser()._actions if isinstance(a.choices, dict)]
  for parser in (main._parser(), *commands.choices.values()):
    text = " ".join(parser.format_help().split())
    shown["--help"] = shown.get("--help", set()) | shown_in(text)
  shown["studio"] = {*page.EXAMPLES, *page.COMPARED}
  shown["studio"] |= {segment.prompt for segment in timeline.parse(page.TIMELINE)}
  assert examples.FIRST in shown["README.md"] and examples.FIRST in shown["--help"]
  for name, prompts in shown.items():
    strange = prompts - set(examples.EXAMPLES)
    assert not strange, f"{name} shows {strange}, not of language.examples"
  assert set(examples.EXAMPLES) <= set().union(*shown.values())  # nor in vain


def measured(face_model, motions) -> list[dict[str, np.ndarray]]:
  """Tracks of each motion: curves of every EVERY-th frame, lids and angles of all."""
  joined = motions[0].replace(
    **{
      name: np.concatenate([getattr(m, name)[::EVERY] for m in motions])
      for name in (*motion_lib.TRACKS, "valid")
    }
  )
  curves, _ = arkit.from_motion(face_model, joined)
  weights = np.split(curves.weights_TA, len(motions))
  return [tracks(m, w) for m, w in zip(motions, weights, strict=True)]


def tracks(motion, weights_TA) -> dict[str, np.ndarray]:
  turns = transform.Rotation.from_rotvec(motion_lib.world_head_rotation(motion))
  angles = np.degrees(turns.as_euler("YXZ"))
  left, right = motion.eyelids.T
  result = dict(zip(("Yaw", "Pitch", "Roll"), angles.T, strict=True))
  result |= {"Wink": abs(left - right), "EyeBlink": np.minimum(left, right)}
  result["JawOpen"] = motion.jaw_pose[:, 0] / arkit.JAW_OPEN_RAD  # speech is quick
  for curve in {
    name.removesuffix("Left").removesuffix("Right") for name in arkit.SHAPES
  }:
    sides = [i for i, name in enumerate(arkit.SHAPES) if name.startswith(curve)]
    result.setdefault(curve, weights_TA[:, sides].mean(axis=1))
  return result


def value(seen: dict[str, np.ndarray], sign: examples.Sign) -> float:
  track = seen[sign.what]
  start, stop = (round(share * len(track)) for share in sign.part)
  part = track[start:stop]
  return float(np.ptp(part) if sign.what in ("Yaw", "Pitch", "Roll") else part.max())


@pytest.mark.skipif(
  not (locate.RELEASE_DIR / packed.CHECKSUMS).exists(),
  reason="the checkout carries no checkpoint",
)
def test_the_release_obeys_every_example():
  face = tdmm_jax.load("release")
  prompts = [prompt for prompt in examples.EXAMPLES for _ in range(SEEDS)]
  motions = face.generate_many(prompts, [SECONDS] * len(prompts), seed=0)
  failures = []
  for prompt, seen in zip(prompts, measured(face.codec.face, motions), strict=True):
    for sign in examples.EXAMPLES[prompt]:
      if not sign.least <= (got := value(seen, sign)) <= sign.most:
        failures.append(f"{prompt} {sign.what} {got:.2f}, wanted {sign[1:]}")
  assert not failures, "\n".join(failures)


def test_a_motion_that_does_not_obey_is_seen():
  """The judge: a still face lacks something of every example."""
  still = motion_lib.zeros(int(SECONDS * 25))
  (seen,) = measured(load_model.load_face_model("default_v2"), [still])
  for prompt, signs in examples.EXAMPLES.items():
    assert any(value(seen, sign) < sign.least for sign in signs), prompt
