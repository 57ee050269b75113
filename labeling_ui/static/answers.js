// What an annotator has said of a task, as the page holds it ⇄ as the store takes it.
import { unranked } from "./ranking.js";

export const empty = () => ({ tiers: [], flags: {}, strength: null, none: false, ideal: "", comment: "", text: "", slot: null, verdict: null });

export function fromStore(answer) {
  if (!answer) return empty();
  return {
    ...empty(),
    tiers: answer.tiers ?? [],
    flags: answer.flags ?? {},
    strength: answer.strength ?? null,
    none: answer.none_acceptable ?? false,
    ideal: answer.ideal ?? "",
    comment: answer.comment ?? "",
    text: answer.text ?? "",
    slot: answer.slot ?? null,
    verdict: answer.verdict ?? null,
  };
}

export function toStore(task, said, seconds) {
  const answer = { seconds };
  if (said.comment.trim()) answer.comment = said.comment;
  if (task.kind === "write") return { ...answer, text: said.text };
  if (task.kind === "edit") return { ...answer, slot: said.slot, text: said.text };
  const flags = Object.fromEntries(Object.entries(said.flags).filter(([, words]) => words.length));
  if (Object.keys(flags).length) answer.flags = flags;
  if (task.kind === "judge") return { ...answer, verdict: said.verdict };
  answer.tiers = said.tiers;
  answer.unranked = unranked(said.tiers, task.cards.map((card) => card.slot));
  answer.none_acceptable = said.none;
  if (said.strength !== null && said.tiers.length > 1) answer.strength = said.strength;
  if (said.ideal.trim()) answer.ideal = said.ideal;
  return answer;
}

// What is missing before it can be sent, in a sentence; "" where nothing is. again: what a second try sends all the same.
export function missing(task, said) {
  if (task.kind === "write") return said.text.trim() ? "" : "Write your response first.";
  if (task.kind === "edit") return editMissing(task, said);
  if (task.kind === "judge") return said.verdict ? "" : "Say whether it is good or bad.";
  const left = unranked(said.tiers, task.cards.map((card) => card.slot));
  if (!said.tiers.length) return "Nothing is ranked yet. Rank the responses, or skip the task.";
  return left.length ? `${left.join(", ")} ${left.length > 1 ? "are" : "is"} not ranked yet.` : "";
}

function editMissing(task, said) {
  if (!said.slot) return "Choose the response that you improve.";
  if (!said.text.trim()) return "The text is empty. Write it.";
  const before = task.cards.find((card) => card.slot === said.slot)?.text;
  return said.text === before ? "Nothing is changed yet. Improve the text, or skip the task." : "";
}

// Part of a ranking can be sent, where the person says so twice: what is left was shown but not compared.
export const maySendPart = (task, said) => task.kind === "rank" && said.tiers.length > 0 && said.tiers.flat().length > 1;
