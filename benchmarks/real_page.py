"""What `benchmarks.real_world` found, as the generated part of docs/real/README.md.

Everything is read from its JSON file, so the page can be checked against it.
"""

from collections.abc import Mapping, Sequence

MARKS = (
  "<!-- Prompts and clips: written by `python -m benchmarks.real_world` -->",
  "<!-- End of prompts and clips -->",
)
_ASPECTS = ("cor_e", "cor_m", "cor_i")
_ASPECT_NAMES = ("CorE", "CorM", "CorI")
_KINDS = {
  "label": "emotions",
  "intensity": "intensities",
  "head": "head motions",
  "micro": "micro-actions",
  "speaking": "voice",
  "manner": "manner",
}
FIT = ("landmark_error", "frozen_landmark_error")


def reading(attributes: Mapping) -> str:
  """What the lexicon reads in a text: "smiling (happiness) 2, calm 3; speaking"."""
  emotions = []
  for segment in attributes["segments"]:
    label, family = segment["emotion"], segment["family"]
    named = label if label == family else f"{label} ({family})"
    emotions.append(f"{named} {segment['intensity']}")
  order = attributes["segments"][-1]["start_s"] > 0
  moves = [*attributes["head_motion"], *attributes["micro_actions"]]
  voice = attributes["speaking"]
  if attributes["manner"] != "plain":
    voice += f" ({attributes['manner']})"
  words = (", then " if order else ", ").join(emotions)
  return "; ".join([words, *(move.replace("_", " ") for move in moves), voice])


def _row(cells: Sequence) -> str:
  return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _table(head: Sequence[str], rows: Sequence[Sequence]) -> list[str]:
  return [_row(head), "|" + "---|" * len(head), *map(_row, rows)]


def _judged(row: Mapping, beside: str = "") -> list[str]:
  """CorE, CorM, CorI; with those of the row's group `beside` in brackets."""
  return [
    f"{row[name]:.2f}" + (f" ({row[beside][name]:.2f})" if beside else "")
    for name in _ASPECTS
  ]


def _share(error: float, constant: float) -> str:
  return f"{error:.2f} ({error / constant:.2f})"


def _pictures(items: Mapping[str, Mapping], folder: str) -> list[str]:
  lines = []
  for clip_id, item in items.items():
    lines += ["", f"![{clip_id}]({folder}{item['picture']})"]
    if "prompt" in item:  # only in a page that is nobody's but the user's
      lines += ["", f"Its prompt: *{item['prompt']}*"]
  return lines


def markdown(found: Mapping, folder: str) -> str:
  """The generated part.

  Args:
    found: of `real_world.study`.
    folder: of the pictures, seen from the page: "real/".
  """
  prompts, clips, seeds = found["prompts"], found["clips"], found["seeds"]
  versions = found["versions"]
  lines = [
    f"Run {versions['run']}, tokenizer {versions['tokenizer']}, lexicon "
    f"{versions['lexicon']}; {seeds} seeds of each prompt.",
    "",
    "## Prompts acted out",
    "",
    "The caption is the run's own of the first seed's motion, which the picture shows; "
    "the scores are means over the seeds. In brackets: of the same attributes, said in "
    "the corpus' words.",
    "",
    *_table(
      ("prompt of", "the lexicon reads", "the run says of its motion", *_ASPECT_NAMES),
      [
        (f"`{clip_id}`", reading(p["reads"]), p["says"], *_judged(p, "reworded"))
        for clip_id, p in prompts.items()
      ],
    ),
    *_pictures(prompts, folder),
    "",
    "## Clips put into words",
    "",
    "Scored against what the lexicon reads in the clip's prompt.",
    "",
    *_table(
      ("clip", "the run says", *_ASPECT_NAMES, "landmarks, % (frozen face)")
      + ("tokens: face, mm (share)", "tokens: head, ° (share)"),
      [
        (
          f"`{clip_id}`",
          c["says"],
          *_judged(c),
          f"{100 * c['landmark_error']:.2f} ({100 * c['frozen_landmark_error']:.2f})",
          _share(c["face_error_mm"], c["constant_face_error_mm"]),
          _share(c["head_error_deg"], c["constant_head_error_deg"]),
        )
        for clip_id, c in clips.items()
      ],
    ),
    "",
    "Landmarks: mean distance of the fitted ones from the tracked, over the distance "
    "of the outer canthi. Share: of what the mean training frame loses.",
    *_pictures(clips, folder),
    "",
    "## Where it goes wrong",
    "",
    f"**From words to motion**, {seeds} seeds each. Family: share of motions in which "
    f"a regression on true motions ({found['reader_clips']:,} training clips) sees a "
    "family that the text names. In brackets: motions of the other texts.",
    "",
    *_table(
      ("texts", "count", "pieces a word", *_ASPECT_NAMES, "family, %"),
      [
        (
          row["name"],
          row["count"],
          f"{row['pieces_per_word']:.2f}",
          *_judged(row, "floor"),
          f"{100 * row['family']:.0f}",
        )
        for row in found["texts"]
      ],
    ),
    "",
    "Words of the real prompts that no training text has: "
    + (", ".join(found["new_words"]) or "none")
    + ".",
    "",
    "Forms that the lexicon reads and some training text has: "
    + ", ".join(
      f"{_KINDS[kind]} {seen:,} of {read:,}"
      for kind, (seen, read) in sorted(found["forms_seen"].items())
    )
    + ".",
    "",
    "**From motion to words.** In brackets: captions of the other motions. Simulated "
    "clips are of the valid split; the truth of a real clip is its prompt.",
    "",
    *_table(
      ("motions", "count", "landmarks, %", "fit: face, mm", "tokens: face, mm (share)")
      + ("tokens: head, ° (share)", *_ASPECT_NAMES, "family, %"),
      [
        (
          row["name"],
          row["count"],
          _optional(row["landmark_error"], 100),
          _optional(row["fit_face_error_mm"]),
          _share(row["face_error_mm"], row["constant_face_error_mm"]),
          _share(row["head_error_deg"], row["constant_head_error_deg"]),
          *_judged(row, "floor"),
          f"{100 * row['family']:.0f}",
        )
        for row in found["motions"]
      ],
    ),
  ]
  return "\n".join(lines)


def _optional(value: float | None, factor: float = 1) -> str:
  return "" if value is None else f"{factor * value:.2f}"
