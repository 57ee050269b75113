// What each button and key does.
import { showCompare, showKeys } from "./dialogs.js";
import { loadKeys, meaning } from "./keys.js";
import * as ranking from "./ranking.js";
import { guidelines, history, logout, written } from "./surroundings.js";

export class Commands {
  constructor(page) {
    this.page = page;
    const { keys, problem } = loadKeys();
    this.keys = keys;
    if (problem) page.voice.notice(problem);
    page.root.addEventListener("click", (event) => this.press(event));
    document.addEventListener("keydown", (event) => this.type(event));
  }

  press(event) {
    const action = event.target.closest?.("[data-do]")?.dataset.do;
    if (action) this.perform(action);
  }

  type(event) {
    const { page } = this;
    const meant = meaning(event, this.keys);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.target.closest("dialog")) return page.sending.submit();
    if (!meant || !page.root.isConnected) return;
    event.preventDefault();
    if (meant.slot && !page.busy && page.task) meant.flag ? page.cards.openFlags(meant.slot) : this.letter(meant.slot);
    if (meant.action) this.perform(meant.action);
  }

  perform(action) {
    const { page } = this;
    const around = this.around()[action];
    if (around) return around();
    if (!page.task || page.busy) return;
    const doing = this.doing(page.task.kind === "rank")[action];
    return doing ? doing() : this.strength(Number(action.slice(-1)));
  }

  // Whatever the task, and also while there is none.
  around() {
    const { page } = this;
    return {
      history: () => history(page),
      guidelines: () => guidelines(page, page.find(".guidelines").hidden),
      keys: () => showKeys(this.keys, (keys) => (this.keys = keys)),
      logout: () => logout(page),
      written: () => written(page),
      undo: () => page.sending.undo(),
      submit: () => (page.busy ? page.find(".feedback [data-go]")?.click() : page.sending.submit()),
    };
  }

  doing(rank) {
    const { page } = this;
    return {
      skip: () => page.sending.skip(),
      ideal: () => page.extras.openField("ideal"),
      compare: () => page.task.cards.length > 1 && showCompare(page.task.cards, page.said.tiers),
      none: () => rank && page.extras.toggleNone(),
      clear: () => rank && page.rank([], "All"),
      tie: () => rank && ((page.tying = true), page.voice.tell("The next letter ties.")),
      back: () => rank && page.said.tiers.length && this.back(),
    };
  }

  strength(value) {
    const { kind } = this.page.task;
    if (kind === "rank") this.page.extras.setStrength(value);
    else if (kind === "judge" && value < 2) this.page.extras.setVerdict(value ? "good" : "bad");
  }

  letter(slot) {
    const { page } = this;
    if (!page.task.cards.some((card) => card.slot === slot)) return;
    if (page.task.kind === "edit") return page.choose(slot);
    if (page.task.kind !== "rank") return;
    const { tiers } = page.said;
    if (ranking.tierOf(tiers, slot) >= 0) return page.voice.tell(`${slot} is ${ranking.placeInWords(tiers, slot)} already.`);
    page.rank(page.tying && tiers.length ? ranking.join(tiers, slot, tiers.length - 1) : ranking.append(tiers, slot), slot);
    this.last = slot;
  }

  back() {
    const { tiers } = this.page.said;
    const end = tiers[tiers.length - 1];
    const slot = end.includes(this.last) ? this.last : end[end.length - 1];
    this.page.rank(ranking.without(tiers, slot), slot);
  }
}
