// The labeling page: the task on it, and what has been said of it.
import * as answers from "./answers.js";
import { Cards, drawPrompt } from "./cards.js";
import { Commands } from "./commands.js";
import { Drafts } from "./drafts.js";
import { Extras } from "./extras.js";
import { recall } from "./memory.js";
import { Order } from "./order.js";
import { Line } from "./line.js";
import { Progress } from "./progress.js";
import * as ranking from "./ranking.js";
import { Sending } from "./sending.js";
import { bannerText, guidelines, nothingLeft, showWritten } from "./surroundings.js";
import { Stopwatch } from "./stopwatch.js";
import { Voice } from "./voice.js";
import { Writing } from "./writing.js";

const WORDS = { write: "write a response", edit: "improve the best response", judge: "judge a response" };

export class Page {
  constructor(root, me) {
    this.root = root;
    this.me = me;
    this.task = null;
    this.busy = false;
    this.watch = new Stopwatch();
    this.voice = new Voice((selector) => this.find(selector));
    this.drafts = new Drafts(me.name);
    this.line = new Line(me, (state, text) => this.voice.show(state, text));
    this.sending = new Sending(this);
    this.progress = new Progress(this.find(".goal"));
    this.order = new Order(this.find(".order"), root, (tiers, slot) => this.rank(tiers, slot));
    this.extras = new Extras(this.find(".extras"), (part) => this.say(part));
    this.writing = new Writing(this.find(".writing"), (text) => this.say({ text }));
    this.cards = new Cards(this.find(".cards"), this.cardActions(), me.flags);
    this.asWritten = recall("as-written") === true;
    this.commands = new Commands(this);
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  cardActions() {
    const by = (move) => (slot) => this.rank(move(this.said.tiers, slot), slot);
    return { up: by(ranking.up), down: by(ranking.down), tie: by(ranking.tie), choose: (slot) => this.choose(slot), flag: (slot, word) => this.flag(slot, word) };
  }

  // Tasks

  async begin() {
    this.find("[data-team]").hidden = this.me.role === "annotator";
    this.find("[data-do=logout]").hidden = !this.me.logout;
    showWritten(this);
    guidelines(this, innerWidth > 1100 && recall("guidelines") !== false, false);
    const { saved, refused } = await this.line.outbox.flush();
    if (saved) this.voice.show("saved", "An answer from before is saved.");
    if (refused) this.voice.notice(`An answer from before was not saved: ${refused}. See History.`);
    await this.next();
  }

  async next() {
    const answer = await this.line.ask("POST", "/v1/next", {});
    this.open(answer.task);
    this.progress.refresh();
  }

  // edits: the event that the answer will replace.
  open(task, said = null, edits = null) {
    this.task = task;
    this.edits = edits;
    this.confirmed = false;
    this.tying = false;
    for (const name of [".cards", ".extras", ".prompt", ".order", ".send"]) this.find(name).hidden = !task;
    this.find(".feedback").hidden = true;
    this.find(".writing").hidden = true;
    if (!task) return nothingLeft(this);
    this.find(".nothing").hidden = true;
    const draft = this.drafts.get(task);
    this.said = { ...answers.empty(), ...(said ?? draft?.said ?? {}) };
    if (!said && draft) this.edits = draft.edits ?? null;
    this.watch.start(said ? 0 : (draft?.seconds ?? 0));
    this.draw();
    if (draft && !said) this.voice.show("idle", "Your draft is back.");
    this.banner();
    scrollTo({ top: 0 });
    this.find(".prompt").focus({ preventScroll: true });
    const words = WORDS[task.kind] ?? `rank ${task.cards.length} responses`;
    this.voice.tell(`${task.practice ? "Practice. " : ""}New task: ${words}.`);
  }

  draw() {
    drawPrompt(this.find(".prompt"), this.task.prompt, this.asWritten);
    this.cards.draw(this.task, this.asWritten);
    this.extras.draw(this.task, this.said);
    this.writing.draw(this.task, this.said);
    this.find(".order").hidden = this.task.kind !== "rank";
    this.find("[data-do=compare]").hidden = this.task.cards.length < 2;
    this.refresh();
  }

  refresh() {
    this.cards.update(this.said);
    if (this.task.kind === "rank") this.order.draw(this.task.cards.map((card) => card.slot), this.said.tiers);
    const ready = !answers.missing(this.task, this.said);
    this.find("[data-do=submit]").classList.toggle("ready", ready);
    this.find("[data-do=submit]").textContent = this.confirmed ? "Submit anyway" : "Submit";
  }

  banner() {
    const text = bannerText(this.task, this.edits);
    this.find(".banner").textContent = text;
    this.find(".banner").hidden = !text;
  }

  // What is said of the task

  say(part) {
    if (this.busy || !this.task) return;
    Object.assign(this.said, part);
    this.confirmed = false;
    this.drafts.set(this.task.lease, this.said, this.watch.seconds, this.edits);
    if (this.voice.state === "saved") this.voice.show("idle", "");
    this.refresh();
  }

  rank(tiers, slot) {
    this.tying = false;
    this.say({ tiers });
    this.voice.tell(`${slot}: ${ranking.placeInWords(tiers, slot)}. Order: ${ranking.inWords(tiers) || "empty"}.`);
  }

  flag(slot, word) {
    const words = this.said.flags[slot] ?? [];
    const on = !words.includes(word);
    this.say({ flags: { ...this.said.flags, [slot]: on ? [...words, word].sort() : words.filter((one) => one !== word) } });
    this.voice.tell(`${slot} ${on ? "is flagged" : "is no longer flagged"} ${word}`);
  }

  choose(slot) {
    const card = this.task.cards.find((one) => one.slot === slot);
    this.say({ slot, text: this.said.slot === slot ? this.said.text : card.text });
    this.writing.draw(this.task, this.said);
    this.writing.focus();
  }
}
