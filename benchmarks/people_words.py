"""What a run says of people: `python -m benchmarks.people --run`.

Each clip is fitted as `tdmm fit` does: an actor's clips as one person's, their neutral
clip as `--neutral`, and once more each alone; all others alone. They are described as
`tdmm describe` does. Of the
caption counts what the lexicon reads in it. Beside the run stand two readers of the
fitted face's action units, which see no tokens: one learnt from simulated clips that
came through landmarks and the fit, one from other people's action units.

Shape letters: N clips, F features.
"""

import csv
import pathlib
from collections.abc import Sequence

import numpy as np
import tqdm
from scipy.spatial import transform
from sklearn.model_selection import LeaveOneGroupOut, cross_val_score

from benchmarks.people_clips import ALONE, LABELS, PROMPTED, fit, read_clips
from benchmarks.people_fit import SECONDS, simulated
from data_prep import simulate, tracked
from tdmm_jax import files
from tdmm_jax.face import facs, load_model, motion
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import fit_landmarks
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.language import acts as acts_lib
from tdmm_jax.language import lexicon
from tdmm_jax.language.acts import Act
from tdmm_jax.metrics import acts, attributes, judge

RAVDESS = "ravdess_openface/clip_means.csv"
FAMILIES = tuple(lexicon.LABELS[label].family for label in LABELS.values())
OTHER = "other"  # a family that no actor was asked for
VALENCES = ("positive", "neither", "negative")
# What a prompt asks for and its video does not show, as two people saw it.
NOT_SHOWN = {
  "00001": "nervousness: his brows are lowered and his mouth is tense, as in anger",
  "00002": "the slight smile, the calm: she talks, frowns, and turns to a profile",
  "00004": "contempt, and more than a slight smile",
  "00005": "sadness: his brows are lowered throughout, as in anger",
  "00007": "confidence: she laughs and talks",
  "av_00001": "a smile that widens: it is gone when he speaks",
}
_OPENFACE = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26)
_RAVDESS_LABELS = {
  "neutral": "neutral",
  "happy": "happiness",
  "sad": "sadness",
  "angry": "anger",
  "fearful": "fear",
  "disgust": "disgust",
  "surprised": "surprise",
}
_SHEET_INCHES = 4.2


def family_valence(family: str) -> str:
  """One of VALENCES: the issue's own for FAMILIES, for others the lexicon's sign."""
  if family in ("neutral", "surprise"):
    return "neither"
  value = next(x.valence for x in lexicon.LABELS.values() if x.family == family)
  return "positive" if value > 0 else "negative" if value < 0 else "neither"


def head_track(clip: FaceMotion) -> acts.Tracks:
  """The head beside the clip's own middle pose: how a camera stands is no motion."""
  turns = transform.Rotation.from_rotvec(motion.world_head_rotation(clip))
  angles = np.degrees(turns.as_euler("YXZ"))[:, [1, 0, 2]]
  return acts.Tracks({}, angles - np.median(angles, 0), float(clip.fps))


def head_named(heard: dict) -> list[Act]:
  """The head's motions that a caption names."""
  named = acts_lib.acts_of(heard)
  return [act for act in named if act.what == "head" and not act.absent]


def head_right(named: Sequence[Act], track: acts.Tracks) -> int:
  """How many of them the head does, and in the direction that is named, if one is."""
  done = [acts.done(track, act) for act in named]
  return sum(
    all(d.get(k, True) for k in ("present", "absent", "direction")) for d in done
  )


# --------------------------------------------------------------------- readers


def levels(clip: FaceMotion, face: FaceModel) -> dict[str, np.ndarray]:
  """FACS code -> level over time, the mean of both sides."""
  sides: dict[str, list] = {}
  for (code, _), level in facs.tracks(clip, face).items():
    sides.setdefault(code, []).append(level)
  return {code: np.mean(rows, 0) for code, rows in sides.items()}


def _statistics(found: dict[str, np.ndarray]) -> np.ndarray:
  rows = np.stack(list(found.values()))
  return np.concatenate([rows.mean(1), np.percentile(rows, 90, axis=1)])


def simulated_levels(face: FaceModel, clips: int, work: pathlib.Path):
  """(features [N, F], families) of simulated clips, fitted; `clips` of each family."""
  versions = f"{face.version}-{simulate.VERSION}-{tracked.VERSION}"
  path = work / f"simulated-{versions}-{clips}.npz"
  families = [family for family in FAMILIES for _ in range(clips)]
  if path.is_file():
    return np.load(path)["features"], families
  features = []
  bar = tqdm.tqdm(enumerate(families), "simulating", len(families), unit="clip")
  for i, family in bar:
    rng = np.random.default_rng((i, 21))
    labels = [x.name for x in lexicon.LABELS.values() if x.family == family]
    segment = (rng.choice(labels), int(rng.integers(2, 6)), 0.0, SECONDS)
    speaking = "speaking" if i % 3 else "silent"
    asked = lexicon.make_attributes([segment], speaking=speaking)
    generator = list(simulate.GENERATORS)[i % len(simulate.GENERATORS)]
    acted = simulated(asked, (i, 22), face, generator=generator)
    seen = tracked.tracked(acted, face, rng)
    features.append(_statistics(levels(seen, face)))
  with files.then_rename(path) as temporary:
    np.savez(temporary, features=np.array(features, np.float32))
  return np.array(features), families


def _even(levels_NF: np.ndarray) -> np.ndarray:
  """Each unit in terms of its own spread: OpenFace's levels are not the head's."""
  return levels_NF / np.sqrt((levels_NF**2).mean(0) + 1e-6)


def peoples_levels(folder: pathlib.Path):
  """(mean levels [N, 16] beside each actor's own neutral, families, actors)."""
  path = folder / RAVDESS
  if not path.is_file():
    return None
  with open(path, encoding="utf-8") as file:
    rows = [r for r in csv.DictReader(file) if r["emotion"] in _RAVDESS_LABELS]
  means = np.array([[float(r[f"AU{c:02d}_r"]) / 5 for c in _OPENFACE] for r in rows])
  names = np.array([_RAVDESS_LABELS[r["emotion"]] for r in rows])
  actors = np.array([r["actor"] for r in rows])
  for actor in np.unique(actors):
    own = actors == actor
    means[own] -= means[own & (names == "neutral")].mean(0)
  return means, names, actors


def read_units(clips, motions, face, folder, work, num_simulated: int) -> dict:
  """What the readers say: name -> a family of each clip, and how they were learnt."""
  found = [levels(clip, face) for clip in motions]
  features, families = simulated_levels(face, num_simulated, work)
  reader = attributes.regression().fit(features, families)
  said = {"simulation": list(reader.predict(np.stack(list(map(_statistics, found)))))}
  learnt = {"simulation": {"clips": len(families), "families": len(set(families))}}
  if people := peoples_levels(folder):
    means, names, actors = people
    own = np.array([[x[str(c)].mean() for c in _OPENFACE] for x in found])
    for name in {clip["set"] for clip in clips} - {PROMPTED}:
      of_set = np.array([clip["set"] == name for clip in clips])
      at_rest = of_set & np.array([clip["name"] == "neutral" for clip in clips])
      own[of_set] -= own[at_rest].mean(0) if at_rest.any() else 0.0
    means, own = _even(means), _even(own)
    reader = attributes.regression().fit(means, names)
    said["people"] = list(reader.predict(own))
    fresh = attributes.regression()
    split = {"groups": actors, "cv": LeaveOneGroupOut()}
    unseen = cross_val_score(fresh, means, names, **split)
    learnt["people"] = {
      "clips": len(names),
      "families": len(set(names)),
      "unseen_actor": float(unseen.mean()),
    }
  return {"said": said, "learnt": learnt}


# --------------------------------------------------------------------- scoring


def _asked(clip: dict) -> list[str]:
  """The families that a clip was to show."""
  if "prompt" not in clip:
    return [lexicon.LABELS[LABELS[clip["name"]]].family]
  segments = lexicon.parse(clip["prompt"])["segments"]
  return list(dict.fromkeys(segment["family"] for segment in segments))


def right_emotion(said: Sequence[str], asked: Sequence[Sequence[str]]) -> dict:
  """How many clips' family, and its valence, are among what was asked for."""
  valence = lambda names: {family_valence(name) for name in names}
  pairs = list(zip(said, asked, strict=True))
  return {
    "family": sum(s in a for s, a in pairs),
    "valence": sum(family_valence(s) in valence(a) for s, a in pairs),
    "clips": len(pairs),
  }


def by_chance(asked: Sequence[Sequence[str]]) -> dict:
  """What guesses would get: one of FAMILIES at random, and the commonest answer."""
  each = [right_emotion([family] * len(asked), asked) for family in FAMILIES]
  mean = lambda key: float(np.mean([row[key] for row in each]))
  best = lambda key: max(row[key] for row in each)
  return {
    "random": {"family": mean("family"), "valence": mean("valence")},
    "commonest": {"family": best("family"), "valence": best("valence")},
  }


def _judged(clips, heard) -> dict:
  """CorE, CorM, CorI against each clip's prompt, and against those of the others."""
  truths = [lexicon.parse(clip["prompt"]) for clip in clips]
  own = [judge.judge(t, h) for t, h in zip(truths, heard, strict=True)]
  others = [
    judge.judge(truth, h)
    for i, h in enumerate(heard)
    for j, truth in enumerate(truths)
    if i != j
  ]
  mean = lambda rows, key: float(np.mean([row[key] for row in rows])) if rows else None
  shown = [
    row for clip, row in zip(clips, own, strict=True) if clip["name"] not in NOT_SHOWN
  ]
  return {
    key: {"own": mean(own, key), "others": mean(others, key), "shown": mean(shown, key)}
    for key in judge.ASPECTS
  }


def _scores(clips, rows, tracks, units) -> dict:
  """Of one set: how often the run and the readers are right, and chance."""
  asked = [_asked(clip) for clip in clips]
  heard = [lexicon.parse(row["says"]) for row in rows]
  named = [head_named(h) for h in heard]
  right = lambda i, j: head_right(named[i], tracks[j])
  count, total = len(clips), sum(map(len, named))
  others = [right(i, j) for i in range(count) for j in range(count) if i != j]
  found = {
    "run": right_emotion([h["family"] for h in heard], asked),
    "chance": by_chance(asked),
    "speaking": sum(h["speaking"] == "speaking" for h in heard),
    "head": {
      "named": total,
      "right": sum(right(i, i) for i in range(count)),
      "right_of_other_clips": sum(others) / max(count - 1, 1),
    },
    "readers": {name: right_emotion(said, asked) for name, said in units.items()},
  }
  if "prompt" in clips[0]:
    found["judged"] = _judged(clips, heard)
  return found


def _alone(run, clips, face, work) -> dict:
  """Actor -> how often the run is right of clips whose person no other clip tells."""
  clips = [clip for clip in clips if "prompt" not in clip]
  says = [run.describe(motion) for motion in fit(clips, face, work, ALONE)]
  scores = {}
  for name in dict.fromkeys(clip["set"] for clip in clips):
    rows = [(c, t) for c, t in zip(clips, says, strict=True) if c["set"] == name]
    families = [lexicon.parse(text)["family"] for _, text in rows]
    scores[name] = right_emotion(families, [_asked(clip) for clip, _ in rows])
  return scores


def measure(run, folder: pathlib.Path, work: pathlib.Path, num_simulated: int) -> dict:
  """All that is said, read and scored.

  Args:
    run: a generate.face.Face.
    folder: of real data. work: of fits and features that are kept.
    num_simulated: clips of each family that a reader learns from.
  """
  face = load_model.load_face_model(run.codec.face.name)
  clips = read_clips(folder)
  motions = fit(clips, face, work)
  says = [run.describe(motion) for motion in motions]
  shares = [run.emotions(motion) for motion in motions]
  units = read_units(clips, motions, face, folder, work, num_simulated)
  rows, tracks = [], list(map(head_track, motions))
  for i, (clip, made, text) in enumerate(zip(clips, motions, says, strict=True)):
    heard = lexicon.parse(text)
    peak = {c: np.percentile(x, 90) for c, x in levels(made, face).items()}
    strongest = sorted(peak, key=lambda code: -peak[code])[:6]
    rows.append(
      {
        "set": clip["set"],
        "name": clip["name"],
        "asked": _asked(clip),
        "not_shown": NOT_SHOWN.get(clip["name"], ""),
        "says": text,
        "family": heard["family"],
        "families": {k: round(x, 3) for k, x in list(shares[i].items())[:3]},
        "speaking": heard["speaking"],
        "head_said": [act.to_dict() for act in head_named(heard)],
        "head_deg": np.ptp(tracks[i].head_T3, axis=0).round(1).tolist(),
        "units": {code: round(float(peak[code]), 2) for code in strongest},
        "readers": {name: said[i] for name, said in units["said"].items()},
      }
    )
  scores = {}
  for name in dict.fromkeys(clip["set"] for clip in clips):
    ids = [i for i, clip in enumerate(clips) if clip["set"] == name]
    take = lambda values, ids=ids: [values[i] for i in ids]
    readers = {key: take(said) for key, said in units["said"].items()}
    scores[name] = _scores(take(clips), take(rows), take(tracks), readers)
  for name, found in _alone(run, clips, face, work).items():
    scores[name]["alone"] = found
  return {
    "run": run.version,
    "face_model": {"name": face.name, "version": face.version},
    "fit": fit_landmarks.VERSION,
    "learnt": units["learnt"],
    "scores": scores,
    "clips": rows,
  }


# ------------------------------------------------------------------- reporting


def table(found: dict) -> str:
  """Clip by clip, then the counts, each beside chance."""
  lines = []
  for row in found["clips"]:
    asked = " or ".join(row["asked"])
    read = ", ".join(f"{name}: {said}" for name, said in row["readers"].items())
    units = " ".join(f"{code}={level}" for code, level in row["units"].items())
    head = ", ".join(f"{x:.0f}" for x in row["head_deg"])
    lines += [
      f"{row['set']} {row['name']} ({asked}): {row['says']}",
      f"    units {units}; head {head} deg; readers: {read}",
    ]
    if row["not_shown"]:
      lines.append(f"    not to be seen: {row['not_shown']}")
  for name, s in found["scores"].items():
    n, chance = s["run"]["clips"], s["chance"]
    guess = lambda key, c=chance: (
      f"random {c['random'][key]:.1f}, always the same {c['commonest'][key]}"
    )
    lines += ["", f"{name}, {n} clips"]
    for key in ("family", "valence"):
      others = "".join(f", {k} {v[key]}" for k, v in s["readers"].items())
      alone = f" ({s['alone'][key]} of clips fitted alone)" if "alone" in s else ""
      lines.append(f"  {key}: run {s['run'][key]}{alone}{others}; {guess(key)}")
    head = s["head"]
    lines += [
      f"  speaking heard: {s['speaking']} (all speak)",
      f"  head motions named: {head['named']}, of which seen {head['right']} (in other "
      f"clips {head['right_of_other_clips']:.1f})",
    ]
    for key, row in s.get("judged", {}).items():
      beside = {"of other prompts": row["others"], "where it is shown": row["shown"]}
      said = "".join(f", {k} {v:.2f}" for k, v in beside.items() if v is not None)
      lines.append(f"  {key}: {row['own']:.2f}{said}")
  if people := found["learnt"].get("people"):
    lines += ["", f"reader of people, unseen actor: {people['unseen_actor']:.2f}"]
  return "\n".join(lines)


def confusions(found: dict) -> dict[str, np.ndarray]:
  """Who -> int[asked, said] over actors' clips; the last column is OTHER."""
  rows = [row for row in found["clips"] if row["set"] != PROMPTED]
  said = {"run": [row["family"] for row in rows]}
  for name in rows[0]["readers"] if rows else ():
    said[name] = [row["readers"][name] for row in rows]
  made = {}
  for name, families in said.items():
    counts = np.zeros((len(FAMILIES), len(FAMILIES) + 1), int)
    for row, family in zip(rows, families, strict=True):
      at = FAMILIES.index(family) if family in FAMILIES else len(FAMILIES)
      counts[FAMILIES.index(row["asked"][0]), at] += 1
    made[name] = counts
  return made


def picture(found: dict, path: pathlib.Path) -> None:
  """Draws what actors were asked for against what was said of them."""
  import matplotlib

  matplotlib.use("Agg")
  from matplotlib import pyplot

  panels = confusions(found)
  size = (_SHEET_INCHES * len(panels), _SHEET_INCHES)
  figure, axes = pyplot.subplots(1, len(panels), figsize=size, squeeze=False)
  titles = {"run": f"run {found['run']}", "people": "units, learnt from people"}
  titles["simulation"] = "units, learnt from simulation"
  for axis, (name, counts) in zip(axes[0], panels.items(), strict=True):
    # Pale enough for the numbers.
    axis.imshow(counts, cmap="Blues", vmin=0, vmax=2 * max(counts.sum(1).max(), 1))
    for (i, j), count in np.ndenumerate(counts):
      if count:
        axis.text(j, i, count, ha="center", va="center", color="0.2", fontsize=8)
    axis.set_xticks(range(len(FAMILIES) + 1), [*FAMILIES, OTHER], rotation=90)
    axis.set_yticks(range(len(FAMILIES)), FAMILIES)
    axis.set_title(titles[name], fontsize=9)
    axis.tick_params(labelsize=8)
  axes[0][0].set_ylabel("asked for")
  figure.supxlabel("said", fontsize=9)
  figure.tight_layout()
  with files.then_rename(path) as temporary:
    figure.savefig(temporary, dpi=110, format="png")
  pyplot.close(figure)
