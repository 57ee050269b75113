// How long a task took: only while the page is looked at.
export class Stopwatch {
  constructor() {
    this.start(0);
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.go()));
  }

  start(seconds) {
    this.before = seconds;
    this.since = document.hidden ? null : performance.now();
  }

  pause() {
    this.before = this.seconds;
    this.since = null;
  }

  go() {
    this.since ??= performance.now();
  }

  get seconds() {
    const now = this.since === null ? 0 : (performance.now() - this.since) / 1000;
    return Math.round((this.before + now) * 10) / 10;
  }
}
