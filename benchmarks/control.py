"""Does the face do what the sentence says? Judged by geometry, never by a classifier.

  python -m benchmarks.control [--run DIR] [--seeds 8] [--json FILE] [--picture PNG]
  python -m benchmarks.control --tokens [--run DIR] [--seeds 8]
  python -m benchmarks.control --simulated 100

Each sentence is acted out once a seed, at default settings, and measured on head angles
and ARKit's curves with the thresholds of `tdmm_jax.metrics.acts`:

- kinds: sentences of the test split's patterns, which no training has seen: each kind
  of act with its counts, sides, directions, tempos, times and absences;
- written: `exact_words.jsonl`, which no grammar wrote: text, and the acts that geometry
  must show;
- tempo: the rise of "slowly" against that of "quickly", same act and seed.

`--picture` draws one sentence a row, of which each row changes one word.

`--tokens` acts the kinds out by the simulator, from the same sentences, and measures
the motions before and after the run's tokenizer: what no language model of it can
exceed.

`--simulated N` measures N clips of the behaviour simulator against their own attributes
instead: what the meter and the simulator are worth together.
"""

import argparse
import collections
import itertools
import json
import pathlib
from collections.abc import Iterable

import numpy as np

import tdmm_jax
from data_prep import paraphrase, prompts, sentences, simulate
from tdmm_jax.face import face_model, load_model
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon
from tdmm_jax.language.acts import KINDS, Act
from tdmm_jax.metrics import acts as measures
from tdmm_jax.render import contact_sheet, scene

SECONDS = 4.0
WRITTEN = pathlib.Path(__file__).with_name("exact_words.jsonl")
_COLUMNS = 9
COUNTED = ("nod", "shake", "blink", "wink")
ABSENT = (
  *(Act(name, absent=True) for name in ("blink", "brow_raise", "jaw_drop")),
  *(Act(name, True, absent=True) for name in ("smiling", "frowning")),
  Act(acts_lib.STILL),
)
PAIRS = (("nod", "wink"), ("turn", "brow_raise"), ("tilt", "cheek_puff"))
# (label of the row, sentence): each pair differs in one word.
PICTURED = (
  ("left eye", "She winks with her left eye."),
  ("right eye", "She winks with her right eye."),
  ("turns left", "She turns her head to the left."),
  ("turns right", "She turns her head to the right."),
  ("left brow", "She raises her left eyebrow."),
  ("both brows", "She raises both eyebrows."),
  ("looks up", "She looks up with her eyes only."),
  ("looks down", "She looks down with her eyes only."),
  ("smiles", "She smiles."),
  ("no smile", "She does not smile."),
  ("at the start", "She opens her mouth at the start."),
  ("at the end", "She opens her mouth at the end."),
)
TEMPOS = ("turn", "tilt", "look_up", "jaw_drop", "brow_raise", "eyes_closed", "pucker")


def kinds() -> list[tuple[str, list[Act]]]:
  """(name of the kind of sentence, its acts), at least one of every kind of act."""
  rows: list[tuple[str, list[Act]]] = []
  for name, kind in KINDS.items():
    sides = ("left", "right") if kind.sided else ("",)
    for side in sides:
      for direction in kind.directions or ("",):
        what = " ".join(filter(None, (name, side, direction)))
        rows.append((what, [Act(name, side=side, direction=direction)]))
  for name in COUNTED:
    for number in range(1, 5 if name in ("nod", "blink") else 4):
      side = "left" if name == "wink" else ""
      rows.append((f"{name} x{number}", [Act(name, count=number, side=side)]))
  rows += [(f"no {act.name}", [act]) for act in ABSENT]
  for name in ("brow_raise", "jaw_drop", "nod", "cheek_puff"):
    rows.append((f"{name} at the start", [Act(name, when="start")]))
    rows.append((f"{name} after 2 s", [Act(name, when="after", start_s=2.0)]))
    rows.append((f"{name} at the end", [Act(name, when="end")]))
  for name in ("eyes_closed", "jaw_drop", "tilt"):
    direction = "left" if name == "tilt" else ""
    rows.append((f"{name} held", [Act(name, hold="held", direction=direction)]))
  for one, other in PAIRS:
    first = _plain(one)
    rows.append((f"{one} and {other}", [first, _plain(other)]))
    rows.append((f"{one}, then {other}", [first, _plain(other).replace(when="then")]))
  return rows


def _plain(name: str) -> Act:
  kind = KINDS[name]
  return Act(
    name,
    side="left" if kind.sided and name != "cheek_puff" else "",
    direction="left" if kind.directions else "",
    count=2 if name == "nod" else 0,
  )


def sentence(acts: list[Act], seed: int) -> str:
  """One of the test split's sentences of these acts."""
  rng = np.random.default_rng(seed)
  attributes = lexicon.attributes_of(acts, SECONDS)
  patterns = sentences.PATTERNS["test"]["acts"]
  pattern = patterns[seed % len(patterns)]
  subject = paraphrase.subjects_of(rng)[0]
  return paraphrase.fill(pattern, attributes, subject, rng)


def written() -> list[tuple[str, list[Act]]]:
  """(text, the acts it asks for) of the sentences that no grammar wrote."""
  rows = map(json.loads, WRITTEN.read_text(encoding="utf-8").splitlines())
  return [(row["text"], [Act(**act) for act in row["acts"]]) for row in rows]


def summary(rows: Iterable[tuple[str, list[tuple[str, bool]]]]) -> dict:
  """Shares of what was obeyed: whole sentences, aspects, and each kind.

  Args:
    rows: (kind of the sentence, its aspects) of each motion.
  """
  whole, by_aspect = [], collections.defaultdict(list)
  by_kind = collections.defaultdict(list)
  for kind, found in rows:
    whole.append(all(right for _, right in found))
    by_kind[kind].append(whole[-1])
    for name, right in found:
      by_aspect[name].append(right)
  share = lambda values: round(float(np.mean(values)), 3)
  return {
    "obeyed": share(whole),
    "motions": len(whole),
    "aspects": {name: share(v) for name, v in sorted(by_aspect.items())},
    "kinds": {name: share(v) for name, v in by_kind.items()},
  }


def of_run(face, seeds: int) -> dict:
  """The summaries of a run; see the module."""
  told = kinds()
  rows, own, tempo = [], [], []
  for seed in range(seeds):
    texts = [sentence(acts, seed) for _, acts in told]
    rows += _acted(face, texts, [acts for _, acts in told], [k for k, _ in told], seed)
    texts = [text for text, _ in written()]
    own += _acted(face, texts, [acts for _, acts in written()], texts, seed)
    tempo += _tempos(face, seed)
  return {
    "limits": measures.LIMITS._asdict(),
    "kinds": summary(rows),
    "written": summary(own),
    "tempo": _told_apart(tempo),
  }


def _motions(face, texts, seed: int):
  made = face.generate_many(texts, [SECONDS] * len(texts), seed=seed)
  return [measures.tracks_of(face.codec.face, motion) for motion in made]


def _acted(face, texts, acts, names, seed: int):
  tracks = _motions(face, texts, seed)
  rows = zip(names, tracks, acts, strict=True)
  return [(name, measures.aspects(track, asked)) for name, track, asked in rows]


def _paced() -> list[Act]:
  """Acts done slowly, each followed by the same one done quickly."""
  return [_plain(name).replace(tempo=t) for name in TEMPOS for t in ("slow", "quick")]


def _tempos(face, seed: int) -> list[bool]:
  told = _paced()
  return _is_twice(_motions(face, [sentence([act], seed) for act in told], seed))


def _is_twice(tracks) -> list[bool]:
  """Of each two motions of `_paced`: does the first rise half as fast?"""
  told = zip(tracks, _paced(), strict=True)
  rises = [measures.rise_s(measures.track(t, act), t.fps) for t, act in told]
  return [slow >= 2 * quick for slow, quick in zip(rises[::2], rises[1::2])]


def _told_apart(pairs: list[bool]) -> dict:
  share = round(float(np.mean(pairs)), 3)
  return {"slow_at_least_twice_quick": share, "pairs": len(pairs)}


def of_tokens(codec, seeds: int) -> dict:
  """The summaries of simulated kinds: {"simulated", "through_the_tokens"}."""
  basis, told = simulate.head_basis(), kinds()
  paced = [("", [act]) for act in _paced()]
  styles = list(simulate.GENERATORS), list(simulate.TRACKERS)
  names, asked, motions = [], [], []
  each = enumerate([*told, *paced])
  for seed, (i, (name, acts)) in itertools.product(range(seeds), each):
    attributes = lexicon.parse(sentence(acts, seed), SECONDS)
    style = [options[i % len(options)] for options in styles]
    motion = simulate.simulate(attributes, (seed, i), SECONDS, *style, basis)
    names, asked, motions = [*names, name], [*asked, acts], [*motions, motion]
  found = {"limits": measures.LIMITS._asdict()}
  decoded = codec.decode(codec.encode(motions))
  for key, shown in (("simulated", motions), ("through_the_tokens", decoded)):
    tracks = [measures.tracks_of(codec.face, motion) for motion in shown]
    rows = [
      (name, measures.aspects(track, acts))
      for name, track, acts in zip(names, tracks, asked, strict=True)
      if name
    ]
    found[key] = summary(rows)
    pairs = []
    for last in range(len(told) + len(paced), len(tracks) + 1, len(told) + len(paced)):
      pairs += _is_twice(tracks[last - len(paced) : last])
    found[key]["tempo"] = _told_apart(pairs)
  return found


def of_simulator(num_clips: int, seed: int = 7) -> dict:
  """The summary of simulated clips against their own attributes.

  Acts alone: what shows an emotion is not judged here.
  """
  face, basis = load_model.default_head(), simulate.head_basis()
  rows = []
  generators, trackers = list(simulate.GENERATORS), list(simulate.TRACKERS)
  for i, plan in enumerate(prompts.make_suite(num_clips, seed)):
    acts = [a for a in acts_lib.acts_of(plan.attributes) if a.absent or not a.emotion]
    if not acts:
      continue
    motion = simulate.simulate(
      plan.attributes,
      plan.seed,
      plan.duration_s,
      generators[i % len(generators)],
      trackers[i % len(trackers)],
      basis,
    )
    tracks = measures.tracks_of(face, motion)
    rows += [(act.name, list(measures.done(tracks, act).items())) for act in acts]
  return {"limits": measures.LIMITS._asdict(), "simulated": summary(rows)}


def draw(face, path, seed: int = 0, height: int = 120) -> None:
  """Writes a PNG with one row of frames for each of `PICTURED`."""
  texts = [text for _, text in PICTURED]
  motions = face.generate_many(texts, [SECONDS] * len(texts), seed=seed)
  drawn = {}
  for (label, _), motion in zip(PICTURED, motions, strict=True):
    few = motion_lib.take(
      motion, contact_sheet.sheet_indices(motion.num_frames, _COLUMNS)
    )
    vertices = face_model.motion_vertices(face.codec.face, few)
    drawn[label] = scene.render_frames(face.codec.face, vertices, (height, height))
  label, last = drawn.popitem()
  contact_sheet.contact_sheet(
    last,
    path,
    "One word changed from row to row",
    _COLUMNS,
    label,
    drawn,
    height,
    fps=(_COLUMNS - 1) / SECONDS,
  )


def main() -> None:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks.control", description=__doc__.split("\n")[0]
  )
  parser.add_argument("--run", help="a trained run (default: the released checkpoint)")
  parser.add_argument("--seeds", type=int, default=8)
  parser.add_argument(
    "--simulated", type=int, metavar="N", help="measure N simulated clips instead"
  )
  parser.add_argument(
    "--tokens", action="store_true", help="measure the run's tokenizer instead"
  )
  parser.add_argument("--json", help="a file to write, besides")
  parser.add_argument("--picture", metavar="PNG", help="a picture to write, besides")
  args = parser.parse_args()
  if args.simulated:
    found = of_simulator(args.simulated)
  elif args.tokens:
    found = of_tokens(tdmm_jax.load(args.run).codec, args.seeds)
  else:
    face = tdmm_jax.load(args.run)
    if args.picture:
      draw(face, args.picture)
    found = of_run(face, args.seeds)
  text = json.dumps(found, indent=2)
  print(text)
  if args.json:
    pathlib.Path(args.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
  main()
