// The prompt and the response cards. Cards stay where they are; their place in the order is said on each.
import { make, textBlock } from "./dom.js";
import { placeInWords, tierOf } from "./ranking.js";

const TALL = { response: 1200, prompt: 6000 }; // characters; a longer text begins folded

export function drawPrompt(place, messages, asWritten) {
  const parts = messages.map((message) => {
    const head = make("p", { class: "who" }, message.role ?? "Prompt");
    const body = foldable(textBlock(message, asWritten), message.text, TALL.prompt);
    return make("div", { class: `message ${message.role ?? "text-prompt"}` }, head, body);
  });
  place.replaceChildren(...parts);
}

// act: {up, down, tie, out, choose, flag} called with a slot.
export class Cards {
  constructor(place, act, flags) {
    this.place = place;
    this.act = act;
    this.flagWords = flags;
    this.cards = new Map();
  }

  draw(task, asWritten) {
    this.task = task;
    this.cards.clear();
    this.place.dataset.kind = task.kind;
    this.place.replaceChildren(...task.cards.map((card) => this.card(card, asWritten)));
  }

  card(card, asWritten) {
    const { slot } = card;
    const place = make("span", { class: "place" });
    const body = this.body(card, asWritten);
    const tools = make("div", { class: "card-tools" }, ...this.tools(slot));
    const head = make("header", { class: "card-head" }, make("span", { class: "letter", "data-drag": slot, title: "Drag into the order" }, slot), place, tools);
    const element = make("article", { class: "card", "data-slot": slot, "aria-label": `Response ${slot}`, tabindex: "-1" }, head, body);
    const flags = this.task.kind === "rank" || this.task.kind === "judge" ? this.flags(slot) : null;
    if (flags) element.append(flags.element);
    this.cards.set(slot, { element, place, flags, tools });
    return element;
  }

  body(card, asWritten) {
    const block = textBlock(card, asWritten);
    if (!card.text) block.append(make("em", { class: "empty" }, "(empty response)"));
    const body = foldable(block, card.text, TALL.response);
    body.classList.add("card-body");
    return body;
  }

  tools(slot) {
    if (this.task.kind === "edit") return [this.tool(slot, "choose", "Improve this one", `Improve response ${slot}`, "wide")];
    if (this.task.kind !== "rank") return [];
    return [
      this.tool(slot, "up", "▲", `Move ${slot} up`),
      this.tool(slot, "down", "▼", `Move ${slot} down`),
      this.tool(slot, "tie", "=", `Tie ${slot} with the one above`),
    ];
  }

  tool(slot, action, text, label, extra = "") {
    return make("button", { type: "button", class: `tool ${extra}`, "aria-label": label, title: label, "data-act": action, on: { click: () => this.act[action](slot) } }, text);
  }

  flags(slot) {
    const count = make("span", { class: "count" });
    const boxes = new Map();
    const list = make("div", { class: "flag-list", role: "group", "aria-label": `Flags of response ${slot}` });
    for (const word of this.flagWords) {
      const box = make("button", { type: "button", class: "flag", "aria-pressed": "false", on: { click: () => this.act.flag(slot, word) } }, word.replaceAll("-", " "));
      boxes.set(word, box);
      list.append(box);
    }
    const summary = make("summary", { "aria-label": `Flag response ${slot}` }, "Flag", count);
    return { element: make("details", { class: "flags" }, summary, list), boxes, count, summary };
  }

  // What has been said so far, on the cards.
  update(said) {
    for (const [slot, card] of this.cards) {
      const ranked = tierOf(said.tiers, slot) >= 0;
      card.element.classList.toggle("ranked", ranked || said.slot === slot);
      card.place.textContent = this.task.kind === "rank" ? placeInWords(said.tiers, slot) : said.slot === slot ? "you improve this one" : "";
      const words = said.flags[slot] ?? [];
      card.element.classList.toggle("flagged", words.length > 0);
      if (!card.flags) continue;
      card.flags.count.textContent = words.length ? ` · ${words.map((word) => word.replaceAll("-", " ")).join(", ")}` : "";
      for (const [word, box] of card.flags.boxes) box.setAttribute("aria-pressed", String(words.includes(word)));
    }
  }

  openFlags(slot) {
    const flags = this.cards.get(slot)?.flags;
    if (!flags) return;
    flags.element.open = true;
    flags.boxes.values().next().value.focus();
  }
}

// A long text begins folded, so that what is below it stays in reach.
function foldable(block, text, tall) {
  const body = make("div", {}, block);
  if (text.length <= tall) return body;
  body.classList.add("folded");
  const more = make("button", { type: "button", class: "quiet more", "aria-expanded": "false", on: { click: () => unfold(body, more) } }, "Show all");
  body.append(more);
  return body;
}

function unfold(body, button) {
  const folded = body.classList.toggle("folded");
  button.textContent = folded ? "Show all" : "Show less";
  button.setAttribute("aria-expanded", String(!folded));
}
