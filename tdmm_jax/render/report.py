"""The report of a run: one HTML page with relative files, for any browser, offline.

The page lies in `report.html.j2` beside this module. Everything shown comes from the
caller and is escaped.
"""

import colorsys
import dataclasses
import os
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import matplotlib
from matplotlib.backends import backend_svg
from matplotlib.figure import Figure

from tdmm_jax import files
from tdmm_jax.render import report_tables

ABOUT = (
  "TDMM-JAX treats facial motion as a language: a tokenizer turns each frame of a 3D "
  "face into one token, and one T5-style model writes those tokens from a sentence, or "
  "a sentence from the tokens. "
  "This page shows one run: what it scored on clips kept out of training, beside what "
  "guessing scores, and what it makes of each prompt and each motion."
)


@dataclasses.dataclass(frozen=True)
class Card:
  """One clip on the page; what is empty is not shown.

  Attributes:
    title: the prompt, or the clip's name.
    sheet, video: the contact sheet's and the video's file; a relative path is taken
      from the report's folder.
    says: what the model says of the motion.
    reference: the caption that came with the motion.
    tokens: the motion tokens, 0 <= token < K.
    attributes: name -> value, shown as tags.
    notes: short remarks, such as a measured error.
  """

  title: str
  sheet: str | os.PathLike | None = None
  video: str | os.PathLike | None = None
  says: str = ""
  reference: str = ""
  tokens: Sequence[int] = ()
  attributes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  notes: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Section:
  """A heading, a sentence or two about what is shown, and the cards."""

  title: str
  intro: str = ""
  cards: Sequence[Card] = ()


def token_color(token: int) -> str:
  """A colour for a token; neighbours in number are far apart in hue."""
  hue = (int(token) * 0.61803398875) % 1.0
  light = 0.52 + 0.2 * ((int(token) * 0.41421356) % 1.0)
  red, green, blue = colorsys.hls_to_rgb(hue, light, 0.55)
  return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def draw_curves(
  path: pathlib.Path, curves: Mapping[str, Sequence[tuple[float, float]]]
) -> None:
  """Draws curves to an SVG: one panel for each part of the names before a `/`."""
  panels: dict[str, dict] = {}
  for name, points in curves.items():
    panel, _, line = name.rpartition("/")
    panels.setdefault(panel or name, {})[line] = points
  columns = min(len(panels), 3)
  rows = -(-len(panels) // columns)
  with matplotlib.rc_context({"svg.hashsalt": "tdmm", "font.size": 9}):
    figure = Figure(figsize=(4.2 * columns, 2.8 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
      axis.set_axis_off()
    for axis, (title, lines) in zip(axes, panels.items()):
      values = [value for points in lines.values() for _, value in points]
      for label, points in lines.items():
        steps, heights = zip(*points) if points else ((), ())
        marker = "o" if len(points) < 2 else None
        axis.plot(steps, heights, label=label, linewidth=1.4, marker=marker)
      if values and min(values) > 0 and max(values) > max(1, 10 * min(values)):
        axis.set_yscale("log")
      axis.set(title=title, xlabel="step")
      axis.spines[["top", "right"]].set_visible(False)
      axis.grid(alpha=0.25)
      if len(lines) > 1:
        axis.legend(frameon=False)
    with files.then_rename(path) as temporary:
      backend_svg.FigureCanvasSVG(figure).print_svg(temporary, metadata={"Date": None})


def _link(path: str | os.PathLike | None, out_dir: pathlib.Path) -> str:
  """A file as a relative, quoted URL; empty for none."""
  if path is None:
    return ""
  full = os.path.abspath(os.path.join(out_dir, os.fspath(path)))
  relative = os.path.relpath(full, os.path.abspath(out_dir))
  return urllib.parse.quote(pathlib.Path(relative).as_posix())


def _card(card: Card, out_dir: pathlib.Path) -> dict[str, Any]:
  """What the template shows of a card."""
  return {
    "title": card.title,
    "sheet": _link(card.sheet, out_dir),
    "video": _link(card.video, out_dir),
    "says": card.says,
    "reference": card.reference,
    "tokens": [(int(token), token_color(token)) for token in card.tokens],
    "attributes": [
      (key, ", ".join(map(str, value)) if isinstance(value, list | tuple) else value)
      for key, value in card.attributes.items()
      if value not in (None, "", [], ())
    ],
    "notes": card.notes,
  }


def write_report(
  out_dir: str | os.PathLike,
  summary: Mapping[str, Any],
  sections: Sequence[Section] = (),
  curves: Mapping[str, Sequence[tuple[float, float]]] | None = None,
  title: str = "TDMM-JAX",
  about: str = ABOUT,
) -> pathlib.Path:
  """Writes `report.html` (and `curves.svg`) into a folder.

  Args:
    out_dir: the run's folder; the cards' files should lie inside it, so that the folder
      can be moved.
    summary: nested numbers, as in `summary.json`; what no table names is listed too.
    sections: what is shown, in order.
    curves: name -> (step, value) points. Names such as "lm/train" and "lm/valid" share
      a panel.
    title: of the page.
    about: what this is, in two sentences.

  Returns:
    The path of `report.html`.
  """
  out_dir = pathlib.Path(out_dir)
  if curves:
    draw_curves(out_dir / "curves.svg", curves)
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  page = environment.get_template("report.html.j2").render(
    title=title,
    about=about,
    tiles=report_tables.tiles(summary),
    tables=report_tables.tables(summary),
    curves="curves.svg" if curves else "",
    sections=[
      {
        "title": section.title,
        "intro": section.intro,
        "anchor": f"section-{i}",
        "cards": [_card(card, out_dir) for card in section.cards],
      }
      for i, section in enumerate(sections)
    ],
  )
  path = out_dir / "report.html"
  files.write_text(path, page)
  return path
