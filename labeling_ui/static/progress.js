// How far all labels are, and how many are one's own.
import { call } from "./calls.js";

const EVERY_MS = 5000;

export class Progress {
  constructor(place) {
    this.place = place;
    this.at = -Infinity;
    this.counts = null;
  }

  // One's own newest label shows at once.
  add() {
    if (!this.counts) return;
    this.counts.done += 1;
    this.draw();
  }

  async refresh() {
    if (performance.now() - this.at < EVERY_MS) return;
    this.at = performance.now();
    const answer = await call("GET", "/v1/progress").catch(() => null);
    if (!answer?.ok) return;
    this.counts = answer.data;
    this.draw();
  }

  draw() {
    const { done, wanted, labels } = this.counts;
    const share = wanted ? Math.min(100, Math.round((100 * labels) / wanted)) : 100;
    const track = this.place.querySelector(".goal-track");
    track.setAttribute("aria-valuenow", share);
    track.setAttribute("aria-valuetext", `${labels} of ${wanted}`);
    this.place.querySelector(".goal-done").style.inlineSize = `${share}%`;
    this.place.querySelector(".goal-text").textContent = `${Math.max(0, wanted - labels)} of ${wanted} still needed · ${done} yours`;
  }
}
