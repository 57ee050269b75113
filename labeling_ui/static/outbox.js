// Answers on their way. Each lies here under its key until the server's receipt is there; a retry is carried out once.
import { call } from "./calls.js";
import { forget, keep, names, recall } from "./memory.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 5000;

// What the store says for good. Anything else (a proxy's own page, a wrong address) may be put right: the answer stays.
const FINAL = new Set(["invalid", "conflict", "closed", "unknown", "size"]);

export class Refused extends Error {
  constructor(reason, sentence) {
    super(sentence);
    this.reason = reason;
  }
}

export class Outbox {
  // show(state, sentence): saving, waiting, loggedout. login(): resolves once the person is logged in again.
  constructor(user, show, login) {
    this.user = user;
    this.show = show;
    this.login = login;
  }

  async post(path, body) {
    const name = `outbox:${this.user}:${body.key}`;
    keep(name, { path, body });
    return this.deliver(name);
  }

  // What an earlier page left behind: how many were saved, and why the last one was refused that was.
  async flush() {
    const told = { saved: 0, refused: "" };
    for (const name of names(`outbox:${this.user}:`)) {
      try {
        await this.deliver(name);
        told.saved += 1;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        told.refused = error.message;
      }
    }
    return told;
  }

  async deliver(name) {
    const { path, body } = recall(name);
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      this.show("saving", "Saving …");
      const answer = await call("POST", path, body).catch(() => null);
      if (answer?.ok) {
        forget(name);
        return answer.data;
      }
      if (answer?.status === 401) {
        this.show("loggedout", "You are logged out. Your answer is kept here; log in and it is saved.");
        await this.login();
      } else if (answer && FINAL.has(answer.data.reason)) {
        forget(name);
        throw new Refused(answer.data.reason, answer.data.sentence);
      } else {
        this.show("waiting", `Not saved yet. It is kept here and sent again. ${answer?.data?.sentence ?? "The server does not answer."}`);
        await pause(wait);
      }
    }
  }
}

// Until the time is over, or the network is back.
function pause(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener("online", done);
  });
}
