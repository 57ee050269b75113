// The order as a row of tiers, best first. Letters are dragged with mouse, pen or finger; a click ranks one next, or takes it out.
import { make } from "./dom.js";
import { append, insert, join, placeInWords, unranked, without } from "./ranking.js";

const MOVED = 6; // pixels; less is a click

export class Order {
  // change(tiers, slot): a new order, and which letter was moved.
  constructor(place, root, change) {
    this.place = place;
    this.change = change;
    this.tiers = [];
    this.slots = [];
    root.addEventListener("pointerdown", (event) => this.begin(event));
  }

  draw(slots, tiers) {
    this.slots = slots;
    this.tiers = tiers;
    const focused = this.place.contains(document.activeElement) ? document.activeElement.dataset.drag : null;
    const left = unranked(tiers, slots);
    const row = [make("span", { class: "end", "aria-hidden": "true" }, "best"), this.gap(0)];
    tiers.forEach((tier, index) => {
      row.push(make("span", { class: "tier", "data-tier": index, role: "group", "aria-label": `Place ${index + 1}` }, ...tier.map((slot) => this.chip(slot))), this.gap(index + 1));
    });
    row.push(make("span", { class: "end", "aria-hidden": "true" }, "worst"));
    const tray = make("span", { class: "tray", "data-tray": true, role: "group", "aria-label": "Not ranked" }, ...left.map((slot) => this.chip(slot)));
    if (!left.length) tray.append(make("span", { class: "hint" }, "all ranked"));
    this.place.replaceChildren(tray, make("span", { class: "tiers" }, ...row));
    if (focused) this.place.querySelector(`[data-drag="${focused}"]`)?.focus();
  }

  gap(index) {
    return make("span", { class: "gap", "data-gap": index, "aria-hidden": "true" }, index > 0 && index < this.tiers.length ? "›" : "");
  }

  chip(slot) {
    const label = `${slot}: ${placeInWords(this.tiers, slot)}. Press to ${unranked(this.tiers, [slot]).length ? "rank it next" : "take it out"}`;
    return make("button", { type: "button", class: "chip", "data-drag": slot, "aria-label": label, on: { click: () => this.click(slot) } }, slot);
  }

  click(slot) {
    if (this.dropped) return;
    const next = unranked(this.tiers, [slot]).length ? append(this.tiers, slot) : without(this.tiers, slot);
    this.change(next, slot);
  }

  begin(event) {
    const handle = event.target.closest?.("[data-drag]");
    if (!handle || event.button !== 0 || !this.slots.includes(handle.dataset.drag)) return;
    const drag = { slot: handle.dataset.drag, x: event.clientX, y: event.clientY, ghost: null, over: null };
    const move = (moved) => this.move(drag, moved);
    const end = (ended) => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
      this.end(drag, ended.type === "pointerup");
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
  }

  move(drag, event) {
    if (!drag.ghost && Math.hypot(event.clientX - drag.x, event.clientY - drag.y) < MOVED) return;
    if (!drag.ghost) {
      drag.ghost = make("span", { class: "chip ghost", "aria-hidden": "true" }, drag.slot);
      this.place.append(drag.ghost);
      this.place.classList.add("dragging");
    }
    drag.ghost.style.left = `${event.clientX}px`;
    drag.ghost.style.top = `${event.clientY}px`;
    drag.over?.classList.remove("over");
    drag.over = this.target(event.clientX, event.clientY);
    drag.over?.classList.add("over");
  }

  target(x, y) {
    const found = document.elementFromPoint(x, y)?.closest("[data-gap], [data-tier], [data-tray], .tiers");
    if (!found || !this.place.contains(found)) return null;
    return found.matches(".tiers") ? found.querySelector(`[data-gap="${this.tiers.length}"]`) : found;
  }

  end(drag, dropped) {
    if (!drag.ghost) return;
    drag.ghost.remove();
    this.place.classList.remove("dragging");
    drag.over?.classList.remove("over");
    this.dropped = true; // the click that follows a drop is none
    setTimeout(() => (this.dropped = false), 0);
    if (dropped && drag.over) this.change(this.moved(drag.slot, drag.over.dataset), drag.slot);
  }

  moved(slot, where) {
    if (where.gap !== undefined) return insert(this.tiers, slot, Number(where.gap));
    return where.tier !== undefined ? join(this.tiers, slot, Number(where.tier)) : without(this.tiers, slot);
  }
}
