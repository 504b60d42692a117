// A timeline to drag, over the studio's text box: timeline.html?box=ID&longest=S&total=S
// A part's right edge changes its length, the part itself its place. What is written is
// the text that a person could type: "0-3: a slight smile".
const query = new URLSearchParams(location.search);
const longest = Number(query.get("longest")), total = Number(query.get("total"));
const SHORTEST = 0.4, STEP = 0.2, HUES = [222, 190, 150, 285, 22, 48];
const $ = (id) => document.getElementById(id);
const round = (seconds) => Math.round(seconds * 100) / 100;

let box = null;  // the studio's <textarea>
let parts = [];  // {seconds, words, hue}
let chosen = 0, scale = 40, nextHue = 0;

function read(text) {
  const rows = text.split(/[;\n]/).map((row) => row.match(/^\s*([\d.]+)\s*-\s*([\d.]+)\s*:\s*(.*\S)\s*$/));
  return rows.filter(Boolean).map(([, from, to, words]) => ({
    seconds: Math.max(Number(to) - Number(from), 0.04), words, hue: HUES[nextHue++ % HUES.length],
  }));
}

function write() {
  let at = 0;
  const rows = parts.map((part) => {
    const from = at;
    at = round(at + part.seconds);
    return `${from}-${at}: ${part.words || "..."}`;
  });
  const text = rows.join("\n");
  const setter = Object.getOwnPropertyDescriptor(
    Object.getPrototypeOf(box), "value").set;  // the page's framework listens to `input`
  setter.call(box, text);
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

const used = () => parts.reduce((sum, part) => sum + part.seconds, 0);

function draw() {
  const strip = $("strip");
  scale = strip.clientWidth / Math.max(used() + 1, 8);
  strip.replaceChildren(...parts.map((part, i) => {
    const block = document.createElement("div");
    block.className = i === chosen ? "part chosen" : "part";
    block.style.width = `${part.seconds * scale}px`;
    block.style.backgroundColor = `hsl(${part.hue} 52% 48%)`;
    block.title = part.words;
    for (const [name, text] of [["", part.words || "..."], ["time", `${round(part.seconds)} s`]]) {
      const line = document.createElement("span");
      line.className = name;
      line.textContent = text;
      block.append(line);
    }
    const edge = document.createElement("i");
    edge.title = "drag: longer or shorter";
    block.append(edge);
    edge.onpointerdown = (event) => stretch(event, part, block);
    block.onpointerdown = (event) => event.target === edge || carry(event, part);
    return block;
  }));
  const ticks = Math.floor(strip.clientWidth / scale);
  $("ruler").replaceChildren(...Array.from({ length: ticks + 1 }, (_, second) => {
    const tick = document.createElement("span");
    tick.style.left = `${second * scale}px`;
    tick.textContent = second % 2 ? "" : `${second} s`;
    return tick;
  }));
  if (document.activeElement !== $("words")) $("words").value = parts[chosen]?.words ?? "";
}

// Follows the pointer until it is let go.
function follow(event, moved) {
  event.preventDefault();
  addEventListener("pointermove", moved);
  addEventListener("pointerup", () => {
    removeEventListener("pointermove", moved);
    draw();
    write();
  }, { once: true });
}

function stretch(event, part, block) {
  const start = event.clientX, before = part.seconds;
  const room = Math.min(longest, total - used() + before);
  chosen = parts.indexOf(part);
  follow(event, (now) => {
    const wanted = before + (now.clientX - start) / scale;
    part.seconds = round(Math.min(Math.max(Math.round(wanted / STEP) * STEP, SHORTEST), room));
    block.style.width = `${part.seconds * scale}px`;
    block.querySelector(".time").textContent = `${part.seconds} s`;
  });
}

function carry(event, part) {
  chosen = parts.indexOf(part);
  $("words").blur();
  draw();
  follow(event, (now) => {
    const x = now.clientX - $("strip").getBoundingClientRect().left;
    let at = 0, place = 0;
    for (const other of parts) {  // behind every part whose middle lies left of the pointer
      if (other !== part && x > (at + other.seconds / 2) * scale) place++;
      at += other.seconds;
    }
    if (place === parts.indexOf(part)) return;
    parts = parts.filter((other) => other !== part);
    parts.splice(place, 0, part);
    chosen = place;
    draw();
    $("strip").children[place].classList.add("moved");
  });
}

function take() {
  nextHue = 0;
  parts = read(box.value);
  chosen = Math.min(chosen, Math.max(parts.length - 1, 0));
  draw();
}

function start() {
  box = parent.document.querySelector(`#${query.get("box")} textarea`);
  if (!box || !$("strip").clientWidth) return void setTimeout(start, 200);
  box.addEventListener("input", (event) => event.isTrusted && take());
  $("words").oninput = () => {
    if (!parts[chosen]) return;
    parts[chosen].words = $("words").value.replace(/[;\n]/g, ",").trim();
    draw();
    write();
  };
  $("add").onclick = () => {
    const seconds = round(Math.min(2, total - used()));
    if (seconds < SHORTEST) return;
    parts.push({ seconds, words: "She smiles.", hue: HUES[nextHue++ % HUES.length] });
    chosen = parts.length - 1;
    draw();
    write();
  };
  $("drop").onclick = () => {
    if (parts.length < 2) return;
    parts.splice(chosen, 1);
    chosen = Math.max(chosen - 1, 0);
    draw();
    write();
  };
  addEventListener("resize", draw);
  take();
  document.body.dataset.ready = "true";
}

start();
