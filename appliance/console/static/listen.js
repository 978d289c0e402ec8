// Listening to a call while it lasts: the same stream that a program reads (WAV, 16 bits, stereo), into an AudioWorklet.
// Texts are in the page. What somebody may hear the server decides; nothing is kept here.

const { showLevel } = await import(document.querySelector(`script[src*="/now.js"]`).src);

const HEADER = 44; // bytes of a WAV header
const RATE = 8000;
const SHOWN_MS = 100;

const root = document.getElementById("listen");
const why = document.getElementById("listen-why");
const one = (name) => root.querySelector(`[data-${name}]`);
const text = (name) => root.getAttribute(`data-t-${name}`);
const meters = Object.fromEntries([...root.querySelectorAll("[data-vu]")].map((vu) => [vu.dataset.vu, vu]));

let current = null;

const say = (words) => { if (one("said").textContent !== words) one("said").textContent = words; };
const decibels = (power) => (power > 0 ? 10 * Math.log10(power) : null);

class Ear {
  constructor(recording, who) {
    this.recording = recording;
    this.stopper = new AbortController();
    this.behind = null; // ms, of the first sample when it came
    this.left = new Uint8Array(0);
    one("who").textContent = who;
    one("behind").textContent = "";
    say(text("begins"));
    root.hidden = false;
  }

  async listen(reason) {
    try {
      await this.open();
      const query = reason ? `?${new URLSearchParams({ reason })}` : "";
      const answer = await fetch(`/api/v1/live/${encodeURIComponent(this.recording)}/audio${query}`, { signal: this.stopper.signal, credentials: "same-origin" });
      if (!answer.ok) return this.end(vittne.words(await answer.json()));
      this.behind = { ms: Number(answer.headers.get("Vittne-Live-Behind-Ms")), at: performance.now() };
      await this.read(answer.body.getReader());
      this.end(text("over"));
    } catch (problem) {
      if (this.stopper.signal.aborted) return;
      this.end(text(this.behind === null ? "unheard" : "over"));
      if (this.behind === null) throw problem;
    }
  }

  async open() {
    try {
      this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    } catch {
      this.context = new AudioContext({ latencyHint: "interactive" }); // the worklet then fits the rates
    }
    await this.context.audioWorklet.addModule(root.dataset.worklet);
    this.player = new AudioWorkletNode(this.context, "listen", { numberOfInputs: 0, outputChannelCount: [2], processorOptions: { rate: RATE } });
    this.player.port.onmessage = ({ data }) => this.show(data);
    this.gain = new GainNode(this.context);
    this.volume();
    this.player.connect(this.gain).connect(this.context.destination);
    await this.context.resume();
  }

  volume() { this.gain?.gain.setValueAtTime(Number(document.getElementById("listen-volume").value) / 100, 0); }

  async read(reader) {
    for (let skip = HEADER; ;) {
      const { done, value } = await reader.read();
      if (done) return;
      const skipped = Math.min(skip, value.length);
      skip -= skipped;
      this.put(value.subarray(skipped));
    }
  }

  put(bytes) {
    const whole = new Uint8Array(this.left.length + bytes.length);
    whole.set(this.left);
    whole.set(bytes, this.left.length);
    const count = whole.length >> 2;
    this.left = whole.slice(count << 2);
    const view = new DataView(whole.buffer);
    const sides = [new Float32Array(count), new Float32Array(count)];
    for (let n = 0; n < count; n += 1) {
      sides[0][n] = view.getInt16(4 * n, true) / 32768;
      sides[1][n] = view.getInt16(4 * n + 2, true) / 32768;
    }
    this.player.port.postMessage(sides, sides.map((side) => side.buffer));
  }

  show({ played, powers }) {
    if (this !== current || this.behind === null) return;
    showLevel(meters.caller, decibels(powers[0]));
    showLevel(meters.callee, decibels(powers[1]));
    const row = document.getElementById(`call-${this.recording}`);
    say(text(row && "paused" in row.dataset ? "paused" : "live"));
    const spoken = this.behind.ms + performance.now() - this.behind.at - (1000 * played) / RATE + 1000 * (this.context.outputLatency || 0);
    if (played) {
      root.dataset.behindMs = String(Math.round(spoken));
      one("behind").textContent = text("behind").replace("{s}", new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(Math.max(0, spoken) / 1000));
    }
  }

  stop() {
    this.stopper.abort();
    void this.context?.close();
    for (const vu of Object.values(meters)) showLevel(vu, null);
  }

  end(words) {
    this.stop();
    if (this !== current) return;
    current = null;
    say(words);
    one("behind").textContent = "";
    mark();
  }
}

function mark() {
  for (const button of document.querySelectorAll("button[data-listen]")) button.toggleAttribute("disabled", current?.recording === button.dataset.listen);
}

function stop() {
  current?.stop();
  current = null;
  root.hidden = true;
  mark();
}

async function reason() {
  const field = document.getElementById("listen-reason");
  why.returnValue = "cancel";
  why.showModal();
  await new Promise((resolve) => { why.addEventListener("close", resolve, { once: true }); });
  return why.returnValue === "listen" ? field.value.trim() : null;
}

document.getElementById("now").addEventListener("click", async (event) => {
  if (event.target.closest("[data-stop]")) return stop();
  const button = event.target.closest("button[data-listen]");
  if (!button) return;
  const { listen: recording, who } = button.dataset;
  const because = "asks" in button.dataset ? await reason() : "";
  if (because === null) return;
  stop();
  current = new Ear(recording, who);
  mark();
  await current.listen(because);
});
document.getElementById("listen-volume").addEventListener("input", () => current?.volume());
document.getElementById("now").addEventListener("htmx:afterSwap", mark);
setInterval(() => current?.player?.port.postMessage("tell"), SHOWN_MS);
