// The labeling page: the task on it, what has been said of it, and what its buttons and keys do.
import * as answers from "./answers.js";
import { newKey } from "./calls.js";
import { Cards, drawPrompt } from "./cards.js";
import { askSkip, showCompare, showKeys } from "./dialogs.js";
import { Drafts } from "./drafts.js";
import { Extras } from "./extras.js";
import { drawFeedback } from "./feedback.js";
import { loadKeys, meaning } from "./keys.js";
import { recall } from "./memory.js";
import { Order } from "./order.js";
import { Line } from "./line.js";
import { Progress } from "./progress.js";
import * as ranking from "./ranking.js";
import { bannerText, guidelines, history, logout, nothingLeft, written } from "./surroundings.js";
import { Stopwatch } from "./stopwatch.js";
import { Writing } from "./writing.js";

export class Page {
  constructor(root, me) {
    this.root = root;
    this.me = me;
    this.task = null;
    this.busy = false;
    this.watch = new Stopwatch();
    this.drafts = new Drafts(me.name);
    this.line = new Line(me.name, (state, text) => this.show(state, text));
    this.progress = new Progress(this.find(".goal"));
    this.order = new Order(this.find(".order"), root, (tiers, slot) => this.rank(tiers, slot));
    this.extras = new Extras(this.find(".extras"), (part) => this.say(part));
    this.writing = new Writing(this.find(".writing"), (text) => this.say({ text }));
    this.cards = new Cards(this.find(".cards"), this.cardActions(), me.flags);
    this.asWritten = recall("as-written") === true;
    const { keys, problem } = loadKeys();
    this.keys = keys;
    if (problem) this.notice(problem);
    root.addEventListener("click", (event) => this.press(event));
    document.addEventListener("keydown", (event) => this.type(event));
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
    this.find("[data-do=logout]").hidden = this.me.local;
    guidelines(this, innerWidth > 1100 && recall("guidelines") !== false, false);
    const { saved, refused } = await this.line.outbox.flush();
    if (saved) this.show("saved", "An answer from before is saved.");
    if (refused) this.notice(`An answer from before was not saved: ${refused}. See History.`);
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
    if (draft && !said) this.show("idle", "Your draft is back.");
    this.banner();
    scrollTo({ top: 0 });
    this.find(".prompt").focus({ preventScroll: true });
    this.tell(`${task.practice ? "Practice. " : ""}New task: ${{ rank: `rank ${task.cards.length} responses`, write: "write a response", edit: "improve the best response", judge: "judge a response" }[task.kind]}.`);
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
    this.find(".state").dataset.state === "saved" && this.show("idle", "");
    this.refresh();
  }

  rank(tiers, slot) {
    this.tying = false;
    this.say({ tiers });
    this.tell(`${slot}: ${ranking.placeInWords(tiers, slot)}. Order: ${ranking.inWords(tiers) || "empty"}.`);
  }

  flag(slot, word) {
    const words = this.said.flags[slot] ?? [];
    const on = !words.includes(word);
    this.say({ flags: { ...this.said.flags, [slot]: on ? [...words, word].sort() : words.filter((one) => one !== word) } });
    this.tell(`${slot} ${on ? "is flagged" : "is no longer flagged"} ${word}`);
  }

  choose(slot) {
    const card = this.task.cards.find((one) => one.slot === slot);
    this.say({ slot, text: this.said.slot === slot ? this.said.text : card.text });
    this.writing.draw(this.task, this.said);
    this.writing.focus();
  }

  letter(slot) {
    if (!this.task.cards.some((card) => card.slot === slot)) return;
    if (this.task.kind === "edit") return this.choose(slot);
    if (this.task.kind !== "rank") return;
    const { tiers } = this.said;
    if (ranking.tierOf(tiers, slot) >= 0) return this.tell(`${slot} is ${ranking.placeInWords(tiers, slot)} already.`);
    this.rank(this.tying && tiers.length ? ranking.join(tiers, slot, tiers.length - 1) : ranking.append(tiers, slot), slot);
    this.last = slot;
  }

  // Sending

  async submit() {
    if (this.busy || !this.task) return;
    const problem = answers.missing(this.task, this.said);
    if (problem && !(this.confirmed && answers.maySendPart(this.task, this.said))) {
      this.confirmed = answers.maySendPart(this.task, this.said);
      this.show("problem", this.confirmed ? `${problem} Submit again to send it as not compared.` : problem);
      this.refresh();
      return;
    }
    const { task, edits } = this;
    const sent = await this.send("/v1/submit", { lease: task.lease, answer: answers.toStore(task, this.said, this.watch.seconds), key: newKey(), edits });
    if (!sent) return this.refused();
    this.saved(sent.receipt);
    await (task.practice && task.kind === "rank" ? this.feedback(task) : this.next());
  }

  // What can be put right is put right here; a task that is answered or gone makes room for the next.
  async refused() {
    if (this.line.reason === "invalid") return;
    this.notice(this.find(".state-text").textContent);
    await this.next();
  }

  saved(receipt) {
    this.notice("");
    this.drafts.drop(this.task.lease);
    if (!this.task.practice) this.progress.add();
    const at = new Date(receipt.saved).toLocaleTimeString([], { timeStyle: "medium" });
    this.show("saved", receipt.counted ? `Saved at ${at}` : `Saved at ${at}, after its time: others had answered it`);
  }

  async skip() {
    if (this.busy || !this.task) return;
    const reason = await askSkip();
    if (reason === null) return;
    const sent = await this.send("/v1/skip", { lease: this.task.lease, reason, key: newKey() });
    if (!sent) return this.refused();
    this.drafts.drop(this.task.lease);
    this.show("saved", "Skipped");
    await this.next();
  }

  async undo() {
    if (this.busy) return;
    this.drafts.now();
    const sent = await this.send("/v1/undo", { key: newKey() });
    if (!sent) return;
    this.open(sent.task, answers.fromStore(sent.task.answer));
    this.show("idle", "Taken back. Change it and submit again.");
  }

  async send(path, body) {
    this.work(true);
    const sent = await this.line.send(path, body);
    this.work(false);
    return sent;
  }

  async feedback(task) {
    const told = await this.line.ask("GET", `/v1/feedback/${task.lease}`);
    this.busy = true; // until it is read
    await drawFeedback(this.find(".feedback"), told, this.said.tiers, (text) => this.tell(text));
    this.busy = false;
    await this.next();
  }

  // Around the task

  press(event) {
    const action = event.target.closest?.("[data-do]")?.dataset.do;
    if (action) this.perform(action);
  }

  type(event) {
    const meant = meaning(event, this.keys);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.target.closest("dialog")) return this.submit();
    if (!meant || !this.root.isConnected) return;
    event.preventDefault();
    if (meant.slot && !this.busy && this.task) meant.flag ? this.cards.openFlags(meant.slot) : this.letter(meant.slot);
    if (meant.action) this.perform(meant.action);
  }

  perform(action) {
    const reading = { history: () => history(this), guidelines: () => guidelines(this, this.find(".guidelines").hidden), keys: () => showKeys(this.keys, (keys) => (this.keys = keys)), logout: () => logout(this), written: () => written(this), undo: () => this.undo(), submit: () => (this.busy ? this.find(".feedback [data-go]")?.click() : this.submit()) };
    if (reading[action]) return reading[action]();
    if (!this.task || this.busy) return;
    const rank = this.task.kind === "rank";
    const doing = {
      skip: () => this.skip(),
      ideal: () => this.extras.openField("ideal"),
      compare: () => this.task.cards.length > 1 && showCompare(this.task.cards, this.said.tiers),
      none: () => rank && this.extras.toggleNone(),
      clear: () => rank && this.rank([], "All"),
      tie: () => ((this.tying = true), this.tell("The next letter ties.")),
      back: () => rank && this.said.tiers.length && this.back(),
    };
    if (doing[action]) return doing[action]();
    const strength = Number(action.slice(-1));
    if (rank) this.extras.setStrength(strength);
    else if (this.task.kind === "judge" && strength < 2) this.extras.setVerdict(strength ? "good" : "bad");
  }

  back() {
    const { tiers } = this.said;
    const end = tiers[tiers.length - 1];
    const slot = end.includes(this.last) ? this.last : end[end.length - 1];
    this.rank(ranking.without(tiers, slot), slot);
  }

  work(on) {
    this.busy = on;
    this.find(".work").setAttribute("aria-busy", String(on));
    this.find("[data-do=submit]").toggleAttribute("aria-disabled", on);
  }

  show(state, text) {
    this.find(".state").dataset.state = state;
    this.find(".state-text").textContent = text;
    if (text) this.tell(text);
  }

  notice(text) {
    this.find(".notice").hidden = !text;
    this.find(".notice").textContent = text;
  }

  tell(text) {
    this.find(".say").textContent = text;
  }
}
