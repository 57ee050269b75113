// Tiers of slots, best first: [["B"], ["A", "C"]]. Pure: each function gives new tiers.
export const without = (tiers, slot) => tiers.map((tier) => tier.filter((one) => one !== slot)).filter((tier) => tier.length);

export const tierOf = (tiers, slot) => tiers.findIndex((tier) => tier.includes(slot));

export const unranked = (tiers, slots) => slots.filter((slot) => tierOf(tiers, slot) < 0);

// A tier of its own before the tier that stands at `index` now; at the end where there is none.
export function insert(tiers, slot, index) {
  const before = without(tiers.slice(0, index), slot);
  const after = without(tiers.slice(index), slot);
  return [...before, [slot], ...after];
}

export const append = (tiers, slot) => insert(tiers, slot, tiers.length);

// Into the tier that stands at `index` now.
export function join(tiers, slot, index) {
  if (!tiers[index] || tiers[index].includes(slot)) return tiers;
  const joined = tiers.map((tier, place) => (place === index ? [...tier.filter((one) => one !== slot), slot].sort() : tier.filter((one) => one !== slot)));
  return joined.filter((tier) => tier.length);
}

// One step better: out of a tie, else before the tier above. What is unranked comes last.
export function up(tiers, slot) {
  const place = tierOf(tiers, slot);
  if (place < 0) return append(tiers, slot);
  if (tiers[place].length > 1) return insert(tiers, slot, place);
  return place === 0 ? tiers : insert(tiers, slot, place - 1);
}

// One step worse: out of a tie, else behind the tier below.
export function down(tiers, slot) {
  const place = tierOf(tiers, slot);
  if (place < 0) return append(tiers, slot);
  if (tiers[place].length > 1) return insert(tiers, slot, place + 1);
  return place === tiers.length - 1 ? tiers : insert(tiers, slot, place + 2);
}

// As good as the tier above; what is unranked joins the last tier.
export function tie(tiers, slot) {
  const place = tierOf(tiers, slot);
  if (place < 0) return tiers.length ? join(tiers, slot, tiers.length - 1) : append(tiers, slot);
  return place === 0 ? tiers : join(tiers, slot, place - 1);
}

export const inWords = (tiers) => tiers.map((tier) => tier.join(" = ")).join(" > ");

const ORDINALS = ["1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th"];

export function placeInWords(tiers, slot) {
  const place = tierOf(tiers, slot);
  if (place < 0) return "not ranked";
  const others = tiers[place].filter((one) => one !== slot);
  return others.length ? `${ORDINALS[place]}, tied with ${others.join(" and ")}` : ORDINALS[place];
}
