"""The page of `data_prep.stats`: pictures as inline SVG, one self-contained file."""

import colorsys
import io
import pathlib

import jinja2
import markupsafe
import matplotlib
import numpy as np
import wordcloud
from matplotlib.backends import backend_svg
from matplotlib.figure import Figure

_BLUE = "#30638e"
# What every prompt says, whatever it is about.
_PLAIN_WORDS = frozenset(
  ("the", "and", "her", "his", "with", "she", "him", "has", "for", "then", "while")
)
_SIDES = ("split", "intensity", "speaking", "manner of speaking", "emotions in a clip")


def _svg(figure: Figure) -> markupsafe.Markup:
  stream = io.StringIO()
  # Text stays text, and the same figure is the same file.
  with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "stats"}):
    backend_svg.FigureCanvasSVG(figure).print_svg(stream, metadata={"Date": None})
  text = stream.getvalue()
  return markupsafe.Markup(text[text.index("<svg") :])


def bars(counts: dict[str, int], width: float = 3.7) -> markupsafe.Markup:
  """Horizontal bars, the count beside each."""
  figure = Figure((width, 0.35 + 0.2 * len(counts)), layout="constrained")
  axes = figure.add_subplot()
  drawn = axes.barh(list(counts), list(counts.values()), color=_BLUE, height=0.72)
  axes.bar_label(drawn, fmt="{:,.0f}", fontsize=7, padding=2)
  axes.invert_yaxis()
  axes.margins(x=0.15, y=0.01)
  axes.tick_params(labelsize=7, length=0)
  axes.set_xticks([])
  axes.spines[["top", "right", "bottom"]].set_visible(False)
  return _svg(figure)


def label_chart(counts: dict[str, int]) -> markupsafe.Markup:
  """One thin column for each label, in four rows so that names can be read."""
  names = sorted(counts)
  rows = min(4, max(1, len(names) // 8))
  size = -(-len(names) // rows)
  figure = Figure((11, 1.7 * rows), layout="constrained")
  for i in range(rows):
    axes = figure.add_subplot(rows, 1, i + 1)
    part = names[i * size : (i + 1) * size]
    axes.bar(part, [counts[name] for name in part], color=_BLUE)
    axes.set_ylim(0, 1.1 * max(counts.values()))
    axes.set_xlim(-0.7, size - 0.3)
    axes.tick_params(axis="x", rotation=90, labelsize=7, length=0)
    axes.tick_params(axis="y", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)
  return _svg(figure)


def histogram(values, label: str) -> markupsafe.Markup:
  figure = Figure((3.7, 2.2), layout="constrained")
  axes = figure.add_subplot()
  # Whole frames of 25 fps: bins of a whole number of them, or the comb shows.
  frames = np.rint(25 * np.asarray(values))
  step = max(1, int(np.ceil((frames.max() - frames.min() + 1) / 40)))
  edges = np.arange(frames.min() - 0.5, frames.max() + step, step) / 25
  axes.hist(values, bins=edges, color=_BLUE)
  axes.set_xlabel(label, fontsize=8)
  axes.set_ylabel("clips", fontsize=8)
  axes.tick_params(labelsize=7)
  axes.spines[["top", "right"]].set_visible(False)
  return _svg(figure)


def cloud(words: dict[str, int]) -> markupsafe.Markup | str:
  """The prompts' words, as large as they are frequent."""
  shown = {word: n for word, n in words.items() if word not in _PLAIN_WORDS}
  if not shown:
    return ""
  drawn = wordcloud.WordCloud(
    width=1000,
    height=380,
    background_color="white",
    colormap="viridis",
    random_state=0,
    max_words=150,
    prefer_horizontal=1.0,
  ).generate_from_frequencies(shown)
  # The words only fit in the font they were laid out with.
  return markupsafe.Markup(drawn.to_svg(embed_font=True))


def embedding(points) -> markupsafe.Markup | str:
  """The map of motions, a colour for each family."""
  if not points:
    return ""
  figure = Figure((11, 7), layout="constrained")
  axes = figure.add_subplot()
  families = sorted({family for _, _, family in points})
  for i, family in enumerate(families):
    # Neighbours in the list differ in hue by two fifths of the circle.
    shade = colorsys.hls_to_rgb(0.4 * i % 1.0, 0.36 + 0.2 * (i % 3) / 2, 0.75)
    marker = "os^D"[i % 4]
    own = [(x, y) for x, y, name in points if name == family]
    xs, ys = zip(*own)
    axes.scatter(xs, ys, s=11, color=shade, marker=marker, label=family, linewidths=0)
  axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=2)
  axes.set_xticks([])
  axes.set_yticks([])
  return _svg(figure)


def page(found: dict) -> str:
  """The HTML of what `stats.collect` returns."""
  folder = pathlib.Path(__file__).parent
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True
  )
  counts = found["counts"]
  sides = {name: bars(dict(sorted(counts[name].items()))) for name in _SIDES}
  others = {
    name.capitalize(): bars(counts[name])
    for name in ("family", "generator", "tracker", "micro actions", "head motion")
  }
  return environment.get_template("stats.html.j2").render(
    found=found,
    labels=label_chart(counts["label"]),
    charts=others | {name.capitalize(): chart for name, chart in sides.items()},
    durations=histogram(found["durations_s"], "seconds"),
    cloud=cloud(found["words"]),
    map=embedding(found["map"]),
    dropped=bars(found["dropped"]) if found["dropped"] else "",
  )
