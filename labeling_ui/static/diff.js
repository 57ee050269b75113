// Where two texts differ, word by word: the longest common run of words stays, the rest was taken out or put in.
const MOST_WORDS = 3000;
const MOST_CHARACTERS = 200000;

export const words = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];

// [kind, text] with kind same, out or in; null where the texts are too long to compare.
export function difference(before, after) {
  if (before.length > MOST_CHARACTERS || after.length > MOST_CHARACTERS) return null;
  const a = words(before);
  const b = words(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  const middle = between(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  if (middle === null) return null;
  return merged([...a.slice(0, head).map((word) => ["same", word]), ...middle, ...a.slice(a.length - tail).map((word) => ["same", word])]);
}

function between(a, b) {
  if (a.length > MOST_WORDS || b.length > MOST_WORDS) return null;
  const width = b.length + 1;
  const length = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      length[i * width + j] = a[i] === b[j] ? length[(i + 1) * width + j + 1] + 1 : Math.max(length[(i + 1) * width + j], length[i * width + j + 1]);
    }
  }
  const parts = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      parts.push(["same", a[i]]);
      i += 1;
      j += 1;
    } else if (j >= b.length || (i < a.length && length[(i + 1) * width + j] >= length[i * width + j + 1])) {
      parts.push(["out", a[i]]);
      i += 1;
    } else {
      parts.push(["in", b[j]]);
      j += 1;
    }
  }
  return parts;
}

function merged(parts) {
  const result = [];
  for (const [kind, text] of parts) {
    const last = result[result.length - 1];
    if (last && last[0] === kind) last[1] += text;
    else result.push([kind, text]);
  }
  return result;
}
