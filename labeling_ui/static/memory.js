// What the browser keeps: drafts, the outbox, choices. Where it keeps nothing (full, or private), it is held until the page closes.
const held = new Map();

export function keep(name, value) {
  const text = JSON.stringify(value);
  held.set(name, text);
  try {
    localStorage.setItem(`align:${name}`, text);
  } catch {
    // held above
  }
}

export function recall(name) {
  let text = held.get(name) ?? null;
  try {
    text = localStorage.getItem(`align:${name}`) ?? text;
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}

export function forget(name) {
  held.delete(name);
  try {
    localStorage.removeItem(`align:${name}`);
  } catch {
    // held alone
  }
}

export function names(start) {
  const found = new Set([...held.keys()]);
  try {
    for (let i = 0; i < localStorage.length; i += 1) {
      const name = localStorage.key(i);
      if (name.startsWith("align:")) found.add(name.slice(6));
    }
  } catch {
    // held alone
  }
  return [...found].filter((name) => name.startsWith(start)).sort();
}
