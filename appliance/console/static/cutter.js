// Marking a stretch in the player and cutting it out: what would go is shown first, then it is asked for.

const { asked, toast, words } = window.vittne;

const seconds = (ms) => (ms / 1000).toFixed(1);

export class Cutter {
  constructor(player) {
    this.player = player;
    this.dialog = player.root.querySelector("[data-cutdialog]");
    this.form = this.dialog.querySelector("form");
    player.cutter = this;
    player.stretch = null;
    const on = (name, does, within = player.root) => within.querySelector(`[data-${name}]`).addEventListener("click", does);
    on("cutfrom", () => this.from(player.at));
    on("cutto", () => this.to(player.at));
    on("cutclear", () => this.set(null));
    on("cutopen", () => this.open());
    on("cuthear", () => this.hear());
    on("cutlook", (event) => void this.look(event.currentTarget));
    this.form.addEventListener("input", () => this.changed());
    this.form.addEventListener("submit", (event) => void this.cut(event));
  }

  text(name, values = {}) {
    return this.dialog.getAttribute(`data-t-${name}`).replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
  }

  // The stretch

  set(stretch) {
    const { player } = this;
    player.stretch = stretch && [Math.max(Math.min(...stretch), 0), Math.min(Math.max(...stretch), player.length)];
    const given = player.stretch;
    player.root.querySelector("[data-stretch]").textContent = given ? `${seconds(given[0])} – ${seconds(given[1])} s` : "";
    player.root.querySelector("[data-cutopen]").disabled = !given || given[1] <= given[0];
    player.root.querySelector("[data-cutclear]").hidden = !given;
    player.paint();
  }

  from(ms) { this.set([ms, Math.max(this.player.stretch?.[1] ?? ms, ms)]); }
  to(ms) { this.set([Math.min(this.player.stretch?.[0] ?? 0, ms), ms]); }
  drag(ms) { this.begun = ms; this.set([ms, ms]); }
  move(ms) { if (this.begun !== undefined) this.set([this.begun, ms]); }
  drop() { this.begun = undefined; }

  // The dialog

  field(name) { return this.form.elements.namedItem(name); }

  open() {
    const [from, to] = this.player.stretch;
    this.field("from").value = seconds(from);
    this.field("to").value = seconds(to);
    this.changed();
    this.dialog.showModal();
  }

  changed() {
    this.say();
    this.form.querySelector("[data-cutgo]").disabled = true;
    const [from, to] = [Number(this.field("from").value), Number(this.field("to").value)];
    if (to > from) this.set([from * 1000, to * 1000]);
  }

  say(...notes) {
    this.form.querySelector("[data-cutsaid]").replaceChildren(...notes.map(([kind, content, link]) => {
      const box = document.createElement("div");
      box.className = `note ${kind}`;
      const said = document.createElement("p");
      said.textContent = content;
      if (link) {
        const to = document.createElement("a");
        to.href = link;
        to.textContent = link.split("/").at(-1).slice(0, 8);
        said.append(" ", to);
      }
      box.append(said);
      return box;
    }));
  }

  // The time line begins at a microsecond, and a moment here has milliseconds: one more at the end.
  span() {
    const begins = Date.parse(this.player.line.begins_at);
    const at = (name, more) => new Date(begins + Math.round(1000 * Number(this.field(name).value)) + more).toISOString();
    return { begin: at("from", 0), end: at("to", 1), party: this.field("party").value };
  }

  async hear() {
    const { player } = this;
    player.audio.pause();
    player.seek(1000 * Number(this.field("from").value));
    player.until = 1000 * Number(this.field("to").value);
    await player.toggle();
  }

  async look(button) {
    if (Number(this.field("to").value) <= Number(this.field("from").value)) return this.say(["bad", this.text("order")]);
    button.disabled = true;
    try {
      const plan = await asked("POST", `${this.player.base}/cut/preview`, this.span());
      const of = (party) => plan.streams.filter((one) => one.party === party).reduce((sum, one) => sum + one.packets, 0);
      const notes = [["warn", this.text("goes", { seconds: seconds(plan.milliseconds), caller: of("caller"), callee: of("callee") })]];
      if (plan.persons > 1) notes.push(["info", this.text("two")]);
      for (const one of plan.related) notes.push(["warn", this.text("related"), `/recordings/${encodeURIComponent(one)}`]);
      this.say(...notes);
      this.form.querySelector("[data-cutgo]").disabled = false;
    } catch (problem) {
      if (problem instanceof Error) throw problem;
      this.say(["bad", words(problem)]);
    } finally {
      button.disabled = false;
    }
  }

  async cut(event) {
    event.preventDefault();
    const button = this.form.querySelector("[data-cutgo]");
    if (button.disabled) return;
    button.disabled = true;
    this.player.audio.pause();
    try {
      const done = await asked("POST", `${this.player.base}/cut`, { ...this.span(), reason: this.field("reason").value.trim() });
      if (!done.waits) return location.reload();
      this.dialog.close();
      this.set(null);
      toast(this.text("waits"), "info");
    } catch (problem) {
      if (problem instanceof Error) throw problem;
      this.say(["bad", words(problem)]);
      button.disabled = false;
    }
  }
}
