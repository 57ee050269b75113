// Disagreements: a reviewer ranks a task blind, as annotators do, and is told afterwards what they said.
import * as answers from "./answers.js";
import { newKey } from "./calls.js";
import { Cards, drawPrompt } from "./cards.js";
import { make } from "./dom.js";
import { Line } from "./line.js";
import { Order } from "./order.js";
import * as ranking from "./ranking.js";
import { Stopwatch } from "./stopwatch.js";
import { drawn, table } from "./team-section.js";

const AT_FIRST = 20;

export function disputes(page, place, entry) {
  return drawn(page, place, entry, async (section, body) => {
    const rows = section.disputes.map((one) => row(page, place, entry, one));
    const list = make("ol", { class: "disputes" }, ...rows.slice(0, AT_FIRST));
    const more = make("button", { type: "button", class: "quiet", on: { click: () => (list.append(...rows.slice(AT_FIRST)), rows[AT_FIRST].querySelector("button").focus(), more.remove()) } }, `Show all ${rows.length}`);
    const none = make("p", { class: "sheet" }, "Nothing is left for you to adjudicate.");
    body.querySelector(".lead").after(rows.length ? list : none, rows.length > AT_FIRST ? more : "");
  });
}

function row(page, place, entry, one) {
  const prompt = make("p", { class: "excerpt", dir: "auto" });
  prompt.textContent = one.prompt;
  const told = `${Math.round(100 * one.share)} % of ${one.meetings} comparisons of two annotators disagree · ${one.annotators} annotators`;
  const take = make("button", { type: "button", class: "primary", on: { click: () => start(page, place, entry, one) } }, "Adjudicate");
  const meter = make("span", { class: "meter", "aria-hidden": "true" }, make("span", {}));
  meter.firstChild.style.inlineSize = `${Math.round(100 * one.share)}%`;
  return make("li", { class: "sheet dispute" }, make("div", {}, prompt, make("p", { class: "hint" }, meter, told)), take);
}

async function start(page, place, entry, one) {
  try {
    const { task } = await page.ask("POST", "/v1/team/adjudicate", { task: one.task });
    if (entry.still()) new Desk(page, place, entry, task);
  } catch (error) {
    page.tell(error.message);
    place.querySelector("h1").after(make("p", { class: "problem", role: "alert" }, error.message));
  }
}

class Desk {
  constructor(page, place, entry, task) {
    Object.assign(this, { page, place, entry, task, said: answers.empty(), confirmed: false, busy: false });
    this.watch = new Stopwatch();
    this.line = new Line(page.me.name, (_, text) => this.show(text));
    const prompt = make("div", { class: "prompt" });
    const cards = make("div", { class: "cards" });
    this.state = make("p", { class: "hint", role: "status" });
    this.tray = make("div", { class: "order" });
    this.send = make("button", { type: "button", class: "primary", on: { click: () => this.submit() } }, "Submit");
    const back = make("button", { type: "button", class: "quiet", on: { click: () => this.back() } }, "Back to the list");
    const help = make("p", { class: "hint" }, "You see what the annotators saw, in an order of your own. Press a letter to rank it next, drag it, or use ▲ ▼ = on the cards.");
    this.desk = make("div", { class: "desk" }, help, prompt, cards, make("div", { class: "sheet desk-order", role: "group", "aria-label": "Your order" }, this.tray, make("div", { class: "send" }, back, this.send)), this.state);
    place.replaceChildren(place.querySelector("h1"), this.desk);
    drawPrompt(prompt, task.prompt, false);
    const by = (move) => (slot) => this.rank(move(this.said.tiers, slot), slot);
    this.cards = new Cards(cards, { up: by(ranking.up), down: by(ranking.down), tie: by(ranking.tie), flag: (slot, word) => this.flag(slot, word) }, page.me.flags);
    this.order = new Order(this.tray, this.desk, (tiers, slot) => this.rank(tiers, slot));
    this.cards.draw(task, false);
    this.refresh();
    scrollTo({ top: 0 });
    place.querySelector("h1").focus({ preventScroll: true });
  }

  rank(tiers, slot) {
    this.said.tiers = tiers;
    this.confirmed = false;
    this.refresh();
    this.page.tell(`${slot}: ${ranking.placeInWords(tiers, slot)}. Order: ${ranking.inWords(tiers) || "empty"}.`);
  }

  flag(slot, word) {
    const words = this.said.flags[slot] ?? [];
    this.said.flags = { ...this.said.flags, [slot]: words.includes(word) ? words.filter((one) => one !== word) : [...words, word].sort() };
    this.refresh();
  }

  refresh() {
    this.cards.update(this.said);
    this.order.draw(this.task.cards.map((card) => card.slot), this.said.tiers);
    this.send.classList.toggle("ready", !answers.missing(this.task, this.said));
    this.send.textContent = this.confirmed ? "Submit anyway" : "Submit";
  }

  show(text) {
    this.state.textContent = text;
  }

  async submit() {
    if (this.busy) return;
    const problem = answers.missing(this.task, this.said);
    if (problem && !(this.confirmed && answers.maySendPart(this.task, this.said))) {
      this.confirmed = answers.maySendPart(this.task, this.said);
      this.show(this.confirmed ? `${problem} Submit again to send it as not compared.` : problem);
      return this.refresh();
    }
    this.busy = true;
    const sent = await this.line.send("/v1/submit", { lease: this.task.lease, answer: answers.toStore(this.task, this.said, this.watch.seconds), key: newKey(), edits: null });
    this.busy = false;
    if (sent && this.entry.still()) await this.reveal();
  }

  // What the others said, once one's own answer is saved.
  async reveal() {
    const told = await this.line.ask("GET", `/v1/team/answers/${this.task.lease}`);
    const inOrder = ({ tiers, unranked }) => `${ranking.inWords(tiers)}${unranked.length ? `; not compared: ${unranked.join(", ")}` : ""}`;
    const rows = [["you", ranking.inWords(this.said.tiers)], ...told.answers.map((one) => [one.annotator || "nobody named", inOrder(one)])];
    const shown = table({ caption: "What everybody said", head: ["who", "order"], rows, note: "Your answer is saved as one more label; nothing was overwritten." });
    const on = make("button", { type: "button", class: "primary ready", on: { click: () => this.back() } }, "Back to the list");
    this.desk.querySelector(".desk-order").replaceWith(shown, on);
    for (const tool of this.desk.querySelectorAll(".card-tools, .flags")) tool.remove();
    this.show("Saved.");
    on.focus();
    shown.scrollIntoView({ block: "nearest" });
  }

  async back() {
    if (!this.entry.still()) return;
    this.place.replaceChildren(this.place.querySelector("h1"));
    await disputes(this.page, this.place, this.entry);
    this.place.querySelector("h1")?.focus({ preventScroll: true });
  }
}
