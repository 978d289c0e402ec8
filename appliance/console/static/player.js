// The player of a recording: what player.html has, filled and moved. Sound comes from the API in ranges; the waveform in
// pieces, coarse first. Everything is drawn with the variables of console.css; every text is in the page.

const { api, words } = await import(document.querySelector('script[src*="/console.js"]').src);

const PIECE_MS = 300_000;
const COARSE_MS = 100; // a point of the waveform that is kept
const MOST_POINTS = 60_000;
const FINE_SPAN_MS = 60_000; // what is shown in more detail once it is so short
const QUIET = 15; // thousandths: below it nobody speaks
const SILENCE_MS = 1_000;
const BANDS = ["pause", "gap", "cut", "hold", "digits"];

const clock = (ms) => {
  const s = Math.max(0, Math.floor(ms / 1000));
  const [h, m] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return `${h ? `${h}:${String(m).padStart(2, "0")}` : m}:${String(s % 60).padStart(2, "0")}`;
};

class Player {
  constructor(root) {
    this.root = root;
    this.recording = root.closest("[data-recording]").dataset.recording;
    this.base = `/api/v1/recordings/${encodeURIComponent(this.recording)}`;
    this.ground = {};
    this.view = [0, 1];
    this.at = 0; // ms
    this.muted = { caller: false, callee: false };
    this.fine = null;
    this.audio = this.one("audio");
    this.canvas = this.one("canvas");
    this.bind();
    void this.open();
  }

  one(name) { return this.root.querySelector(`[data-${name}]`); }
  all(name) { return [...this.root.querySelectorAll(`[data-${name}]`)]; }
  text(name) { return this.root.getAttribute(`data-t-${name}`) ?? name; }
  get canHear() { return Boolean(this.listening); }

  // Opening

  async open() {
    this.say(this.text("loading"), "info");
    try {
      const line = await api("GET", `${this.base}/timeline`);
      if (line.state === "erased" || line.state === "nothing") return this.say(this.text(line.state), "info");
      if (!line.may_hear) return this.say(this.text("deaf"), "info");
      const missing = line.asks.filter((name) => !this.ground[name]);
      this.asks = line.asks;
      if (missing.length) return this.offer(line);
      await this.listen();
    } catch (problem) {
      this.fail(problem);
    }
  }

  async listen() {
    this.listening = await api("POST", `${this.base}/listening`, this.ground);
    this.line = await api("GET", `${this.base}/timeline?listening=${this.listening.id}`);
    this.length = Math.max(this.listening.length_ms, 1);
    this.view = [0, this.length];
    this.step = Math.max(COARSE_MS, Math.ceil(this.length / MOST_POINTS));
    const points = Math.ceil(this.length / this.step);
    this.peaks = { caller: new Int16Array(points * 2), callee: new Int16Array(points * 2), done: 0 };
    this.fine = null;
    this.hush();
    this.one("desk").hidden = false;
    this.one("live").hidden = !this.listening.is_live;
    this.root.querySelector("header [data-again]").hidden = !this.listening.is_live;
    this.showLine();
    this.resize();
    this.goTo();
    await this.draw_all();
  }

  // "#at=12.3": the place that whoever sent us here means.
  goTo() {
    const wanted = /^#at=(\d+(?:\.\d+)?)$/.exec(location.hash);
    if (wanted) this.seek(1000 * Number(wanted[1]));
  }

  async draw_all() {
    const wave = this.one("wave");
    const mine = this.listening;
    wave.setAttribute("aria-busy", "true");
    try {
      for (let from = 0; from < this.length; from += PIECE_MS - (PIECE_MS % this.step)) {
        const to = Math.min(from + PIECE_MS - (PIECE_MS % this.step), this.length);
        this.one("progress").textContent = this.length > PIECE_MS ? `${this.text("drawing")} ${Math.round((100 * from) / this.length)} %` : this.text("drawing");
        const points = Math.ceil((to - from) / this.step);
        const found = await api("GET", `${this.base}/peaks?listening=${mine.id}&from_ms=${from}&to_ms=${to}&points=${points}`);
        if (mine !== this.listening) return;
        const at = Math.round(from / this.step);
        for (const side of ["caller", "callee"]) this.put(this.peaks[side], at, found[side], found.points, points);
        this.peaks.done = to;
        this.paint();
      }
    } catch (problem) {
      return this.fail(problem);
    } finally {
      wave.removeAttribute("aria-busy");
      this.one("progress").textContent = "";
    }
    if (!["caller", "callee"].some((side) => this.peaks[side].some((value) => Math.abs(value) > 0))) this.one("progress").textContent = this.text("silent");
  }

  put(into, at, found, has, points) {
    for (let n = 0; found && n < points; n += 1) {
      const from = Math.min(Math.floor((n * has) / points), has - 1);
      if ((at + n) * 2 + 1 < into.length) into.set([found[2 * from], found[2 * from + 1]], (at + n) * 2);
    }
  }

  // Words

  say(text, kind, { retry = false, ask = false } = {}) {
    const box = this.one("said");
    box.className = `note ${kind}`;
    this.one("words").textContent = text;
    this.one("retry").hidden = !retry && !ask;
    box.querySelector("[data-again]").hidden = !retry;
    this.one("ask").hidden = !ask;
    box.hidden = false;
  }

  hush() { this.one("said").hidden = true; }

  fail(problem) {
    if (problem instanceof Error) throw problem;
    if (problem.asks) return this.offer(problem);
    const text = problem.type === "/problems/locked" ? this.text("locked") : words(problem);
    this.say(text, problem.status === 423 ? "warn" : "bad", { retry: true });
  }

  offer({ asks }) {
    this.asks = asks;
    const needs = this.all("need").filter((one) => asks.includes(one.dataset.need));
    this.all("need").forEach((one) => { one.hidden = !needs.includes(one); });
    this.say(needs.map((one) => one.querySelector(".help").textContent).join(" "), "warn", { ask: true });
  }

  // The time line

  showLine() {
    const { line } = this;
    this.one("length").textContent = clock(this.length);
    const wave = this.one("wave");
    wave.setAttribute("aria-valuemax", String(Math.round(this.length / 1000)));
    this.showMarks(line.marks);
    this.showTalk(line);
    for (const [name, count] of [["digits", line.digits], ["lost", line.lost_packets]]) {
      this.one(name).hidden = !count;
      this.one(name).querySelector("b").textContent = String(count);
    }
    const hidden = ["caller", "callee"].filter((side) => !this.listening.parties.includes(side));
    const notes = [...hidden.map((side) => this.text(`${side}-hidden`)), ...this.listening.notes];
    this.one("notes").hidden = !notes.length;
    this.one("notes").replaceChildren(...notes.map((text) => this.element("li", text)));
    hidden.forEach((side) => { this.root.querySelector(`[data-voice="${side}"]`).classList.add("hidden-party"); });
    const take = this.one("take");
    take.hidden = !line.may_export;
    for (const link of take.querySelectorAll("[data-format]")) link.href = `${this.base}/audio?listening=${this.listening.id}&download=true&format=${link.dataset.format}`;
  }

  element(name, text, className = "") {
    const made = document.createElement(name);
    made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  label(mark) {
    const more = [mark.name && !["paused", "cut"].includes(mark.name) ? mark.name : "", mark.language, mark.permille ? `${(mark.permille / 10).toFixed(0)} % ${this.text("heard")}` : ""];
    return [this.text(mark.kind), ...more.filter(Boolean)].join(": ");
  }

  showMarks(marks) {
    this.one("marks").hidden = !marks.length;
    this.one("count").textContent = String(marks.length);
    const rows = this.one("rows");
    rows.replaceChildren(...marks.map((mark) => {
      const row = document.createElement("tr");
      const jump = this.element("button", clock(mark.from_ms), "small quiet");
      jump.type = "button";
      jump.addEventListener("click", () => this.seek(mark.from_ms));
      const what = document.createElement("td");
      what.append(this.element("span", "", `swatch ${mark.kind}`), this.label(mark));
      const cells = [document.createElement("td"), what, this.element("td", mark.party ? this.text(mark.party) : mark.to_ms > mark.from_ms ? this.text("both") : "–"), this.element("td", mark.to_ms > mark.from_ms ? ((mark.to_ms - mark.from_ms) / 1000).toFixed(1) : "–", "num")];
      cells[0].append(jump);
      ["at", "what", "party", "seconds"].forEach((name, n) => { cells[n].dataset.label = rows.getAttribute(`data-l-${name}`); });
      row.append(...cells);
      return row;
    }));
    const kinds = [...new Set(marks.map((mark) => mark.kind))];
    this.one("legend").replaceChildren(...kinds.map((kind) => {
      const one = this.element("span", "", "small legend-item");
      one.append(this.element("span", "", `swatch ${kind}`), this.text(kind).split(":")[0]);
      return one;
    }));
  }

  showTalk({ caller_speech: caller = [], callee_speech: callee = [] }) {
    const box = this.one("talk");
    box.hidden = !(caller.length || callee.length);
    if (box.hidden) return;
    const sum = (some) => some.reduce((total, [from, to]) => total + to - from, 0);
    let both = 0;
    for (let i = 0, j = 0; i < caller.length && j < callee.length;) {
      both += Math.max(0, Math.min(caller[i][1], callee[j][1]) - Math.max(caller[i][0], callee[j][0]));
      if (caller[i][1] < callee[j][1]) i += 1; else j += 1;
    }
    const parts = { caller: sum(caller) - both, both, callee: sum(callee) - both };
    parts.nobody = Math.max(this.length - parts.caller - parts.callee - both, 0);
    this.one("talkbar").replaceChildren(...Object.entries(parts).map(([name, ms]) => {
      const bar = this.element("i", "", name);
      bar.style.flexGrow = String(ms);
      return bar;
    }));
    const shown = { ...parts, caller: sum(caller), callee: sum(callee) };
    for (const one of this.one("talkwords").querySelectorAll("[data-of]")) {
      const ms = shown[one.dataset.of];
      one.textContent = `${clock(ms)} (${Math.round((100 * ms) / this.length)} %)`;
    }
  }

  // Drawing

  colours() {
    const style = getComputedStyle(this.root);
    return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${name}`).trim() });
  }

  resize() {
    for (const canvas of [this.canvas, this.one("overview")]) {
      const ratio = window.devicePixelRatio || 1;
      canvas.width = Math.round(canvas.clientWidth * ratio);
      canvas.height = Math.round(canvas.clientHeight * ratio);
    }
    this.paint();
  }

  paint() {
    if (!this.line) return;
    const is_zoomed = this.view[1] - this.view[0] < this.length - 1;
    const overview = this.one("overview");
    if (overview.hidden === is_zoomed) {
      overview.hidden = !is_zoomed;
      if (is_zoomed) return this.resize();
    }
    this.paintOn(this.canvas, this.view, true);
    if (is_zoomed) this.paintOverview(overview);
    this.moveHead();
  }

  paintOverview(canvas) {
    this.paintOn(canvas, [0, this.length], false);
    const pen = canvas.getContext("2d");
    const [from, to] = this.view.map((ms) => (ms / this.length) * canvas.width);
    pen.fillStyle = this.colours().accent;
    pen.globalAlpha = 0.18;
    pen.fillRect(from, 0, Math.max(to - from, 2), canvas.height);
    pen.globalAlpha = 1;
  }

  paintOn(canvas, [from, to], with_marks) {
    const pen = canvas.getContext("2d");
    const { width, height } = canvas;
    const colour = this.colours();
    const x = (ms) => ((ms - from) / (to - from)) * width;
    pen.clearRect(0, 0, width, height);
    const middle = height / 2;
    if (with_marks) this.paintBands(pen, colour, x, width, height);
    ["caller", "callee"].forEach((side, n) => {
      const top = n * middle;
      pen.globalAlpha = this.muted[side] ? 0.3 : 1;
      pen.fillStyle = colour[side];
      this.paintVoice(pen, side, top, middle, width, from, to);
      if (with_marks) this.paintSpeech(pen, side, n, x, height);
      pen.globalAlpha = 1;
    });
    pen.fillStyle = colour["line-strong"];
    pen.fillRect(0, middle - 0.5, width, 1);
    if (with_marks) this.paintMoments(pen, colour, x, height);
    if (this.stretch) this.paintStretch(pen, colour, x, height);
  }

  paintVoice(pen, side, top, size, width, from, to) {
    const { values, at, step } = this.pointsFor(side, from, to);
    const half = size / 2;
    const scale = (half - 3) / 1000;
    const root = (value) => Math.sign(value) * Math.sqrt(Math.abs(value) * 1000); // quiet voices are seen too
    const bar = Math.max(Math.round(window.devicePixelRatio || 1), 1) * 2;
    for (let column = 0; column < width; column += bar + 1) {
      const begin = Math.floor((from + ((to - from) * column) / width - at) / step);
      const end = Math.max(Math.ceil((from + ((to - from) * (column + bar)) / width - at) / step), begin + 1);
      let [low, high] = [0, 0];
      for (let n = Math.max(begin, 0); n < end && 2 * n + 1 < values.length; n += 1) {
        low = Math.min(low, values[2 * n]);
        high = Math.max(high, values[2 * n + 1]);
      }
      const [above, below] = [root(high) * scale, root(-low) * scale];
      pen.fillRect(column, top + half - Math.max(above, 0.5), bar, Math.max(above + below, 1));
    }
  }

  pointsFor(side, from, to) {
    const { fine } = this;
    if (fine && fine.from <= from && fine.to >= to) return { values: fine[side], at: fine.from, step: fine.step };
    return { values: this.peaks[side], at: 0, step: this.step };
  }

  paintSpeech(pen, side, n, x, height) {
    const thick = 3 * (window.devicePixelRatio || 1);
    for (const [from, to] of this.line[`${side}_speech`] ?? []) pen.fillRect(x(from), n ? height - thick : 0, Math.max(x(to) - x(from), 1), thick);
  }

  side(mark, height) {
    if (mark.party === "caller") return [0, height / 2];
    return mark.party === "callee" ? [height / 2, height / 2] : [0, height];
  }

  paintBands(pen, colour, x, width, height) {
    const fills = { pause: colour.pause, gap: colour["text-3"], cut: colour.bad, hold: colour.info, digits: colour.warn, announcement: colour.accent, prompt: colour.accent, state: colour["line-strong"] };
    for (const mark of this.line.marks) {
      const [top, tall] = this.side(mark, height);
      const [left, right] = [x(mark.from_ms), x(mark.to_ms)];
      if (right < 0 || left > width || mark.to_ms <= mark.from_ms || !fills[mark.kind]) continue;
      pen.fillStyle = fills[mark.kind];
      pen.globalAlpha = mark.kind === "state" ? 0.25 : 0.16;
      pen.fillRect(left, top, Math.max(right - left, 2), tall);
      pen.globalAlpha = 0.75;
      if (BANDS.includes(mark.kind)) this.hatch(pen, fills[mark.kind], left, top, Math.max(right - left, 2), tall);
      pen.globalAlpha = 1;
    }
  }

  // What somebody marked to be cut out: [from, to] in ms.
  paintStretch(pen, colour, x, height) {
    const [left, right] = this.stretch.map(x);
    pen.fillStyle = colour.bad;
    pen.globalAlpha = 0.22;
    pen.fillRect(left, 0, Math.max(right - left, 2), height);
    pen.globalAlpha = 1;
    pen.fillRect(left, 0, 2, height);
    pen.fillRect(right - 2, 0, 2, height);
  }

  hatch(pen, colour, left, top, wide, tall) {
    pen.save();
    pen.beginPath();
    pen.rect(left, top, wide, tall);
    pen.clip();
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let at = left - tall; at < left + wide; at += 9) {
      pen.moveTo(at, top + tall);
      pen.lineTo(at + tall, top);
    }
    pen.globalAlpha = 0.35;
    pen.stroke();
    pen.restore();
  }

  paintMoments(pen, colour, x, height) {
    const flags = { answer: colour["text-2"], missing: colour.bad, consent: colour.good };
    for (const mark of this.line.marks) {
      if (!flags[mark.kind]) continue;
      const at = Math.round(x(mark.from_ms));
      pen.strokeStyle = pen.fillStyle = flags[mark.kind];
      pen.setLineDash([4, 4]);
      pen.lineWidth = 2;
      pen.beginPath();
      pen.moveTo(at, 0);
      pen.lineTo(at, height);
      pen.stroke();
      pen.setLineDash([]);
      pen.beginPath();
      pen.moveTo(at, 0);
      pen.lineTo(at + 9, 5);
      pen.lineTo(at, 10);
      pen.fill();
    }
  }

  moveHead() {
    const [from, to] = this.view;
    const share = (this.at - from) / (to - from);
    const head = this.one("head");
    head.hidden = share < 0 || share > 1;
    head.style.left = `${100 * Math.min(Math.max(share, 0), 1)}%`;
    this.one("at").textContent = clock(this.at);
    const wave = this.one("wave");
    wave.setAttribute("aria-valuenow", String(Math.round(this.at / 1000)));
    const here = this.line?.marks.filter((mark) => mark.from_ms <= this.at && this.at < mark.to_ms).map((mark) => this.label(mark)) ?? [];
    wave.setAttribute("aria-valuetext", [`${clock(this.at)} ${this.text("of")} ${clock(this.length ?? 0)}`, ...here].join(", "));
  }

  // Zoom

  zoom(factor, around = this.at) {
    const span = this.view[1] - this.view[0];
    const wide = factor === 0 ? this.length : Math.min(Math.max(span / factor, 2_000), this.length);
    const share = Math.min(Math.max((around - this.view[0]) / span, 0), 1);
    this.show(around - wide * share, wide);
  }

  show(from, wide) {
    const begin = Math.min(Math.max(from, 0), this.length - wide);
    this.view = [begin, begin + wide];
    this.paint();
    clearTimeout(this.detail);
    if (wide <= FINE_SPAN_MS && this.length > FINE_SPAN_MS / 4) this.detail = setTimeout(() => void this.refine(), 200);
  }

  async refine() {
    const [from, to] = [Math.floor(this.view[0]), Math.ceil(this.view[1])];
    if (this.fine && this.fine.from <= from && this.fine.to >= to) return;
    try {
      const found = await api("GET", `${this.base}/peaks?listening=${this.listening.id}&from_ms=${from}&to_ms=${to}&points=3000`);
      this.fine = { ...found, from: found.from_ms, to: found.to_ms, step: (found.to_ms - found.from_ms) / found.points, caller: found.caller ?? [], callee: found.callee ?? [] };
      this.paint();
    } catch { /* the coarse one stays */ }
  }

  // Hearing

  source() {
    const end = this.listening.is_live ? `&to_ms=${this.length}` : "";
    return `${this.base}/audio?format=wav&listening=${this.listening.id}${end}`;
  }

  wire() {
    if (this.context) return;
    this.context = new AudioContext();
    const from = this.context.createMediaElementSource(this.audio);
    const split = this.context.createChannelSplitter(2);
    const join = this.context.createChannelMerger(2);
    this.gains = {};
    ["caller", "callee"].forEach((side, n) => {
      const gain = this.gains[side] = this.context.createGain();
      split.connect(gain, n);
      gain.connect(join, 0, n);
    });
    from.connect(split);
    join.connect(this.context.destination);
    this.volumes();
  }

  volumes() {
    for (const voice of this.all("voice")) {
      const side = voice.dataset.voice;
      if (this.gains) this.gains[side].gain.value = this.muted[side] ? 0 : Number(voice.querySelector("[data-volume]").value);
      voice.querySelector("[data-mute]").setAttribute("aria-pressed", String(this.muted[side]));
      voice.classList.toggle("muted-party", this.muted[side]);
    }
  }

  async toggle() {
    if (!this.canHear) return;
    if (!this.audio.paused) return this.audio.pause();
    this.wire();
    if (!this.audio.src) await this.load();
    if (this.at >= this.length - 50) this.seek(0);
    try {
      await this.context.resume();
      await this.audio.play();
    } catch (error) {
      if (error.name !== "AbortError") this.say(this.text("broken"), "bad", { retry: true });
    }
  }

  load() {
    this.audio.src = this.source();
    this.audio.preservesPitch = true;
    this.audio.playbackRate = this.audio.defaultPlaybackRate = Number(this.one("speed").value);
    this.audio.load();
    return new Promise((resolve) => {
      const ready = () => {
        if (this.at) this.audio.currentTime = this.at / 1000;
        resolve();
      };
      this.audio.addEventListener("loadedmetadata", ready, { once: true });
      this.audio.addEventListener("error", resolve, { once: true });
    });
  }

  seek(ms) {
    this.at = Math.min(Math.max(ms, 0), this.length);
    if (this.audio.src && this.audio.readyState) this.audio.currentTime = this.at / 1000;
    if (this.at < this.view[0] || this.at > this.view[1]) this.show(this.at - (this.view[1] - this.view[0]) / 2, this.view[1] - this.view[0]);
    this.moveHead();
  }

  run() {
    if (this.audio.paused) return;
    this.at = this.audio.currentTime * 1000;
    if (this.until && this.at >= this.until) {
      this.until = null;
      this.audio.pause();
    }
    if (this.one("skip").checked) this.leap();
    const [from, to] = this.view;
    if (this.at > to || this.at < from) this.show(this.at, to - from);
    this.moveHead();
    requestAnimationFrame(() => this.run());
  }

  is_quiet(ms) {
    const n = Math.floor(ms / this.step) * 2;
    return n + 1 < this.peaks.caller.length && ["caller", "callee"].every((side) => Math.max(-this.peaks[side][n], this.peaks[side][n + 1]) < QUIET);
  }

  leap() {
    let end = this.at;
    while (end < this.peaks.done && this.is_quiet(end)) end += this.step;
    if (end - this.at > SILENCE_MS) this.seek(Math.min(end - 200, this.length));
  }

  async lost() {
    if (!this.audio.src || !this.audio.error || this.healing) return;
    this.healing = true;
    const was_playing = this.wants;
    this.audio.removeAttribute("src");
    try {
      // It may only be that nobody used it for a while: then another one is opened on the same ground.
      this.listening = { ...this.listening, id: (await api("POST", `${this.base}/listening`, this.ground)).id };
      this.showLine();
      await this.load();
      if (this.audio.error) throw { title: this.text("broken") };
      if (was_playing) await this.audio.play();
    } catch (problem) {
      this.audio.removeAttribute("src");
      this.fail(problem);
    } finally {
      this.healing = false;
    }
  }

  close() {
    if (!this.listening) return;
    const token = document.querySelector('meta[name="csrf"]')?.content ?? "";
    void fetch(`${this.base}/listening/${this.listening.id}`, { method: "DELETE", headers: { "X-CSRF-Token": token }, keepalive: true, credentials: "same-origin" });
  }

  // What people do

  bind() {
    this.one("play").addEventListener("click", () => void this.toggle());
    this.all("leap").forEach((one) => one.addEventListener("click", () => this.seek(this.at + 1000 * Number(one.dataset.leap))));
    this.all("zoom").forEach((one) => one.addEventListener("click", () => this.zoom(Number(one.dataset.zoom))));
    this.all("again").forEach((one) => one.addEventListener("click", () => this.again()));
    this.one("ask").addEventListener("click", () => this.one("ground").showModal());
    this.one("speed").addEventListener("change", (event) => { this.audio.playbackRate = this.audio.defaultPlaybackRate = Number(event.target.value); });
    for (const voice of this.all("voice")) {
      voice.querySelector("[data-volume]").addEventListener("input", () => this.volumes());
      voice.querySelector("[data-mute]").addEventListener("click", () => this.mute([voice.dataset.voice]));
    }
    this.one("groundform").addEventListener("submit", (event) => this.grounded(event));
    for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, () => this.state());
    this.audio.addEventListener("error", () => void this.lost());
    this.audio.addEventListener("waiting", () => this.root.classList.add("waiting"));
    this.audio.addEventListener("playing", () => this.root.classList.remove("waiting"));
    this.bindWave(this.one("wave"));
    this.root.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.resize()).observe(this.one("wave"));
    new MutationObserver(() => this.paint()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    window.addEventListener("pagehide", () => this.close());
    window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }

  bindWave(wave) {
    const place = (event) => {
      const box = wave.getBoundingClientRect();
      return this.view[0] + Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * (this.view[1] - this.view[0]);
    };
    wave.addEventListener("pointerdown", (event) => {
      if (event.button || !this.line) return;
      wave.setPointerCapture(event.pointerId);
      wave.focus();
      if (event.shiftKey && this.cutter) return this.cutter.drag(place(event));
      this.dragging = true;
      this.seek(place(event));
    });
    wave.addEventListener("pointermove", (event) => {
      if (this.dragging) this.seek(place(event));
      this.cutter?.move(place(event));
      if (this.line) this.hint(place(event), event.clientX - wave.getBoundingClientRect().left, wave.clientWidth);
    });
    for (const name of ["pointerup", "pointercancel"]) wave.addEventListener(name, () => { this.dragging = false; this.cutter?.drop(); });
    wave.addEventListener("pointerleave", () => { this.one("tip").hidden = true; });
    wave.addEventListener("wheel", (event) => {
      if (!this.line || !(event.ctrlKey || event.metaKey || Math.abs(event.deltaX) > Math.abs(event.deltaY))) return;
      event.preventDefault();
      const span = this.view[1] - this.view[0];
      if (event.ctrlKey || event.metaKey) this.zoom(event.deltaY < 0 ? 1.25 : 0.8, place(event));
      else this.show(this.view[0] + (event.deltaX / wave.clientWidth) * span, span);
    }, { passive: false });
    const overview = this.one("overview");
    overview.addEventListener("pointerdown", (event) => {
      const box = overview.getBoundingClientRect();
      const span = this.view[1] - this.view[0];
      this.show(((event.clientX - box.left) / box.width) * this.length - span / 2, span);
    });
  }

  hint(ms, x, width) {
    const near = ((this.view[1] - this.view[0]) / width) * 5;
    const here = this.line.marks.filter((mark) => mark.from_ms - near <= ms && ms <= mark.to_ms + near);
    const tip = this.one("tip");
    tip.textContent = [clock(ms), ...here.map((mark) => this.label(mark))].join(" · ");
    tip.hidden = false;
    tip.style.left = `${Math.min(Math.max(x, tip.offsetWidth / 2), width - tip.offsetWidth / 2)}px`;
  }

  state() {
    const is_playing = !this.audio.paused && !this.audio.ended;
    this.wants = is_playing;
    const button = this.one("play");
    button.setAttribute("aria-label", this.text(is_playing ? "stop" : "play"));
    for (const sign of button.querySelectorAll("[data-sign]")) sign.hidden = (sign.dataset.sign === "pause") !== is_playing;
    if (is_playing) requestAnimationFrame(() => this.run());
    else this.moveHead();
  }

  mute(sides) {
    const all = sides.every((side) => this.muted[side]);
    for (const side of sides) this.muted[side] = !all;
    this.volumes();
    this.paint();
  }

  grounded(event) {
    const form = event.target;
    const given = Object.fromEntries(this.asks.map((name) => [name, form.elements.namedItem(name).value.trim()]));
    const missing = this.asks.find((name) => !given[name]);
    if (missing) {
      event.preventDefault();
      form.elements.namedItem(missing).setAttribute("aria-invalid", "true");
      return form.elements.namedItem(missing).focus();
    }
    this.ground = given;
    void this.open();
  }

  again() {
    this.close();
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.listening = null;
    void this.open();
  }

  key(event) {
    if (!this.canHear || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.target;
    if (at.closest("dialog, select, textarea, summary, input")) return;
    const space = event.key === " " && !at.closest("button, a");
    const does = {
      k: () => void this.toggle(),
      j: () => this.seek(this.at - 10_000),
      l: () => this.seek(this.at + 10_000),
      m: () => this.mute(["caller", "callee"]),
      ArrowLeft: () => this.seek(this.at - (event.shiftKey ? 1000 : 5000)),
      ArrowRight: () => this.seek(this.at + (event.shiftKey ? 1000 : 5000)),
      Home: () => this.seek(0),
      End: () => this.seek(this.length),
      "+": () => this.zoom(2),
      "-": () => this.zoom(0.5),
      ...(this.cutter ? { i: () => this.cutter.from(this.at), o: () => this.cutter.to(this.at) } : {}),
    }[event.key] ?? (space ? () => void this.toggle() : null);
    if (!does) return;
    event.preventDefault();
    does();
  }
}

for (const root of document.querySelectorAll("[data-player]")) {
  const player = new Player(root);
  if (root.querySelector("[data-cutdialog]")) import(root.dataset.cutter).then(({ Cutter }) => new Cutter(player));
}
