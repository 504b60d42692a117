// A face that never stops, as a clip that grows; of its frames the newest are kept.
const KEPT = 16;
// Frames between the newest one and what is shown, so that a late one is no pause.
const BEHIND = 1;
const HURRY = 0.1;  // of the pace, for each frame more or less than that

export class Live {
  // size: numbers in a frame. told: called with what there is to be said.
  constructor(size, told) {
    Object.assign(this, { size, told, kept: KEPT, frames: 0, curves: [], tokens: [] });
    this.points = new Uint16Array(KEPT * size);
    const address = new URL("live", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.begun = new Promise((begin, fail) => {
      this.socket.onmessage = ({ data }) => {
        if (typeof data !== "string") {
          this.keep(data);
          if (this.frames === 2) begin(this);
          return;
        }
        const { error, ...about } = JSON.parse(data);
        Object.assign(this, about);
        if (error) this.told(this.error = error);
      };
      this.socket.onclose = () => {
        const end = this.error && !this.frames ? this.error : "The live face has stopped";
        fail(new Error(end));
        this.told(end);
      };
    });
  }

  keep(data) {
    this.points.set(new Uint16Array(data), (this.frames % KEPT) * this.size);
    this.frames += 1;
    this.socket.send("");  // the next one may come
  }

  say(prompt, seconds) {
    this.told("");
    this.socket.send(JSON.stringify({ prompt, seconds }));
  }

  // The frame to be shown so many seconds after another one.
  after(frame, seconds) {
    const newest = this.frames - 1, early = newest - BEHIND - frame;
    return Math.min(frame + seconds * this.fps * (1 + HURRY * early), newest);
  }
}
