// Which key does what. A to I are the responses; everything else can be changed, and two actions never share a key.
import { keep, recall } from "./memory.js";

export const ACTIONS = {
  tie: ["=", "the next letter ties with the one before"],
  submit: ["Enter", "submit"],
  back: ["Backspace", "take the last one out of the order"],
  clear: ["Delete", "take all out of the order"],
  none: ["n", "none is acceptable"],
  strength0: ["0", "negligibly better; or bad"],
  strength1: ["1", "slightly better; or good"],
  strength2: ["2", "clearly better"],
  strength3: ["3", "significantly better"],
  ideal: ["w", "write the ideal answer"],
  compare: ["v", "compare two responses word by word"],
  written: ["m", "Markdown, or text as written"],
  skip: ["s", "skip"],
  undo: ["u", "undo the last answer"],
  history: ["y", "history"],
  guidelines: ["r", "guidelines"],
  keys: ["?", "these keys"],
};

export const defaults = () => Object.fromEntries(Object.entries(ACTIONS).map(([action, [key]]) => [action, key]));

// What is wrong with a choice of keys, in a sentence; "" where nothing is.
export function conflict(keys) {
  const used = new Map();
  for (const [action, key] of Object.entries(keys)) {
    if (!(action in ACTIONS)) return `“${action}” is no action.`;
    if (typeof key !== "string" || !key) return `“${ACTIONS[action][1]}” has no key.`;
    const folded = key.toLowerCase();
    if (/^[a-i]$/.test(folded)) return `“${key}” is a response's letter; give “${ACTIONS[action][1]}” another key.`;
    if (used.has(folded)) return `“${key}” is given to “${ACTIONS[used.get(folded)][1]}” and to “${ACTIONS[action][1]}”; give one of them another key.`;
    used.set(folded, action);
  }
  return "";
}

// The keys of this browser. Where they conflict they are refused, and the first ones hold.
export function loadKeys() {
  const stored = recall("keys");
  const keys = { ...defaults(), ...(stored && typeof stored === "object" ? stored : {}) };
  const problem = conflict(keys);
  return problem ? { keys: defaults(), problem: `Your keys are not used: ${problem}` } : { keys, problem: "" };
}

export function saveKeys(keys) {
  const problem = conflict(keys);
  if (!problem) keep("keys", keys);
  return problem;
}

const WRITES = "input:not([type=radio]):not([type=checkbox]), textarea, select, dialog";
const PRESSES = "button, a, summary, select, input";

// {slot} or {action} that a key press means; null where it is for somebody else.
export function meaning(event, keys) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return null;
  const at = event.target instanceof Element ? event.target : document.body;
  if (at.closest(WRITES)) return null;
  if (/^[a-i]$/i.test(event.key)) return { slot: event.key.toUpperCase(), flag: event.shiftKey };
  const found = Object.keys(keys).find((action) => keys[action].toLowerCase() === event.key.toLowerCase());
  if (!found || (event.key === "Enter" && at.closest(PRESSES))) return null;
  return { action: found };
}
