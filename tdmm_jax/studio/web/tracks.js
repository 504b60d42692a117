// Under the picture: the motions' tokens as strips of colours, and their curves, one
// over the other. A drag scrubs.
const ROW = 26, STRIP = 15, LEFT = 164, RIGHT = 12;
const HUES = [222, 22, 150, 285, 48, 190];  // of a single motion's curves
const CLIPS = [222, 14, 150, 285];  // of several motions

export class Tracks {
  constructor(parent, clips, frames, seek) {
    Object.assign(this, { clips, frames });
    this.rows = clips[0].curves.length;
    this.top = 8 + (STRIP + 3) * clips.length;
    this.height = this.top + 4 + ROW * this.rows;
    this.canvas = document.createElement("canvas");
    this.canvas.style.height = `${this.height}px`;
    parent.append(this.canvas);
    this.still = document.createElement("canvas");
    const at = (event) => {
      const box = this.canvas.getBoundingClientRect();
      seek(((event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT)) * (frames - 1));
    };
    this.canvas.onpointerdown = (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      at(event);
    };
    this.canvas.onpointermove = (event) => event.buttons && at(event);
  }

  x(frame) {
    return LEFT + (frame / Math.max(this.frames - 1, 1)) * (this.width - LEFT - RIGHT);
  }

  colour(clip, row) {
    return `hsl(${(this.clips.length > 1 ? CLIPS[clip] : HUES[row]) ?? 0} 60% 55%)`;
  }

  // Everything but the playhead and its values, drawn once for each width.
  paint() {
    const ratio = devicePixelRatio || 1;
    const style = getComputedStyle(document.body);
    this.ink = style.color;
    this.dim = style.getPropertyValue("--dim");
    for (const canvas of [this.canvas, this.still]) {
      canvas.width = this.width * ratio;
      canvas.height = this.height * ratio;
      const pen = canvas.getContext("2d");
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.font = `11px ${style.fontFamily}`;
      pen.textBaseline = "middle";
    }
    const pen = this.still.getContext("2d");
    this.clips.forEach((clip, c) => this.strip(pen, clip, c));
    for (let row = 0; row < this.rows; row++) this.curve(pen, row);
  }

  strip(pen, clip, c) {
    const top = 6 + c * (STRIP + 3), wide = this.x(1) - this.x(0) + 0.6;
    clip.tokens.forEach((token, t) => {
      const share = token / clip.num_codes;
      pen.fillStyle = `hsl(${(share * 3600) % 360} 45% ${42 + 26 * share}%)`;
      pen.fillRect(this.x(t) - wide / 2, top, wide, STRIP);
    });
    pen.fillStyle = this.clips.length > 1 ? this.colour(c, 0) : this.dim;
    const name = this.clips.length > 1 ? `tokens ${c + 1}` : "motion tokens";
    if (clip.tokens.length) pen.fillText(name, 12, top + STRIP / 2);
  }

  curve(pen, row) {
    const top = this.top + row * ROW;
    const curves = this.clips.map((clip) => clip.curves[row]);
    const low = Math.min(...curves.map((curve) => curve.low));
    const span = Math.max(...curves.map((curve) => curve.high)) - low || 1;
    pen.fillStyle = this.dim;
    pen.fillText(curves[0].name, 12, top + ROW / 2);
    pen.lineWidth = 1.5;
    curves.forEach((curve, c) => {
      pen.strokeStyle = this.colour(c, row);
      pen.beginPath();
      curve.values.forEach((value, t) => {
        pen.lineTo(this.x(t), top + ROW - 4 - ((value - low) / span) * (ROW - 8));
      });
      pen.stroke();
    });
  }

  draw(frame) {
    const width = this.canvas.clientWidth;
    if (!width) return;
    if (width !== this.width) {
      this.width = width;
      this.paint();
    }
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, width, this.height);
    pen.drawImage(this.still, 0, 0, width, this.height);
    pen.fillStyle = this.ink;
    pen.fillRect(this.x(frame) - 0.75, 2, 1.5, this.height - 4);
    pen.textAlign = "right";
    const at = (clip) => Math.min(Math.round(frame), clip.frames - 1);
    this.clips.forEach((clip, c) => {
      const y = 6 + c * (STRIP + 3) + STRIP / 2;
      pen.fillText(String(clip.tokens[at(clip)] ?? ""), LEFT - 10, y);
    });
    if (this.clips.length > 2) return;  // no room for more than two numbers
    for (let row = 0; row < this.rows; row++) {
      const { unit } = this.clips[0].curves[row];
      const numbers = this.clips.map((clip) =>
        clip.curves[row].values[at(clip)].toFixed(unit === "" ? 2 : 1));
      pen.fillText(`${numbers.join(" · ")} ${unit}`, LEFT - 10,
        this.top + row * ROW + ROW / 2);
    }
    pen.textAlign = "left";
  }
}
