"""Every metric of the house, registered once: unit, formula, which way is good, and what people call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Metric:
    """One metric `family/quantity`. good: "up", "down" or "watch" (neither way is good by itself). label: what people
    call it, on axes and in tables; where none is written, the quantity's own words."""

    name: str
    unit: str
    formula: str
    good: Literal["up", "down", "watch"]
    label: str = ""

    def __post_init__(self) -> None:
        if not self.label:
            object.__setattr__(self, "label", self.name.rpartition("/")[2].replace("_", " "))

    @property
    def axis(self) -> str:
        """Label with unit, as an axis or a table's row shows it."""
        return self.label if self.unit == "–" else f"{self.label} ({self.unit})"


METRICS = {
    metric.name: metric
    for metric in [
        Metric("objective/score", "score", "mean over responses of the reward, as the reward gives it", "up", "reward"),
        Metric("objective/score_sd", "score", "sd over responses of the reward", "watch", "sd of the reward"),
        Metric("objective/gold_sd", "score", "sd over responses of --gold", "watch", "sd of gold"),
        Metric(
            "objective/gold",
            "score",
            "mean over responses of a second score (--gold) that is measured and never optimised",
            "up",
            "gold",
        ),
        Metric(
            "objective/selection_score",
            "score",
            "mean over --selection-prompts of the score by --selection-reward-model, which is never optimised",
            "up",
            "held-out reward model",
        ),
        Metric(
            "objective/kl",
            "nats a response",
            "mean over responses of Σ_t log π(a_t) − log π_ref(a_t)",
            "watch",
            "KL to the reference",
        ),
        Metric("objective/kl_k3", "nats a response", "mean over responses of Σ_t e^{−k1} − 1 + k1", "watch", "KL, k3"),
        Metric("objective/kl_coef", "score per nat", "weight of the KL penalty", "watch", "KL coefficient"),
        Metric("objective/entropy", "nats a token", "mean over response tokens of the policy's entropy", "watch"),
        Metric(
            "objective/rlhf_reward",
            "normalised score",
            "mean over responses of score − kl_coef · kl",
            "up",
            "score − KL penalty",
        ),
        Metric(
            "policy/loss", "–", "Σ clipped surrogate ÷ tokens, over the update's minibatches", "watch", "policy loss"
        ),
        Metric(
            "policy/approx_kl",
            "nats a token",
            "mean of ½ (log new − log old)² inside the update",
            "watch",
            "KL of one update",
        ),
        Metric("policy/clip_fraction", "share", "share of tokens with |ratio − 1| > clip_range", "watch"),
        Metric(
            "policy/ptx_loss",
            "nats a token",
            "negative log-likelihood of --ptx-data, mean over the update's steps",
            "down",
            "ptx loss",
        ),
        Metric("policy/ratio_max", "–", "largest ratio in the update", "watch", "largest ratio"),
        Metric(
            "policy/first_ratio_error", "–", "largest |ratio − 1| in the first minibatch; 0 on a fresh rollout", "down"
        ),
        Metric("value/loss", "score²", "Σ clipped value loss ÷ tokens", "down", "value loss"),
        Metric(
            "value/clip_fraction",
            "share",
            "share of tokens whose new value left old ± value_clip_range",
            "watch",
            "value clip fraction",
        ),
        Metric("value/explained_variance", "–", "1 − Var(returns − values) / Var(returns)", "up"),
        Metric(
            "rollout/reward_error",
            "score",
            "largest |Σ_t r_t − (score − kl_coef · kl)| over responses; 0 where the score lies on the response",
            "down",
        ),
        Metric(
            "rollout/pad_error",
            "nats",
            "largest change of a log-prob when the shortest response is computed alone, without padding",
            "down",
        ),
        Metric(
            "sampler/mismatch",
            "nats a token",
            "mean over response tokens of |log π(a_t) − log π_sampler(a_t)|, with --rollout-engine vllm",
            "down",
            "sampler mismatch",
        ),
        Metric(
            "sampler/mismatch_max",
            "nats",
            "largest |log π(a_t) − log π_sampler(a_t)| over response tokens, with --rollout-engine vllm",
            "down",
            "largest sampler mismatch",
        ),
        Metric(
            "sampler/importance_weight",
            "–",
            "mean over response tokens of min(π(a_t) / π_sampler(a_t), importance_cap), with --rollout-engine vllm",
            "watch",
        ),
        Metric("rollout/response_tokens", "tokens", "mean length of a response", "watch", "response length"),
        Metric(
            "rollout/eos_fraction", "share", "share of responses that ended before the limit", "watch", "ended by EOS"
        ),
        Metric("optim/lr", "–", "learning rate of the policy", "watch", "learning rate"),
        Metric("optim/grad_norm", "–", "mean norm of the policy's gradient before clipping", "watch", "gradient norm"),
        Metric("optim/tokens", "tokens", "response tokens that the update learned from, all epochs", "watch"),
        Metric(
            "time/rollout_tokens_per_second",
            "tokens/s",
            "response tokens ÷ rollout seconds",
            "up",
            "tokens/s of rollout",
        ),
        Metric(
            "time/update_tokens_per_second",
            "tokens/s",
            "response tokens learned from, all epochs ÷ update seconds",
            "up",
            "tokens/s of update",
        ),
        Metric(
            "time/generate_share",
            "share",
            "sampling, with vllm also sending weights ÷ the step's time",
            "watch",
            "time in sampling",
        ),
        Metric("time/score_share", "share", "reward and gold ÷ the step's time", "watch", "time in scoring"),
        Metric("time/logprobs_share", "share", "log-probs and values ÷ the step's time", "watch", "time in log-probs"),
        Metric(
            "time/selection_share",
            "share",
            "held-out reward model and its responses ÷ the step's time",
            "watch",
            "time in selection",
        ),
        Metric("time/update_share", "share", "the update ÷ the step's time", "watch", "time in updates"),
        Metric(
            "time/checkpoint_share",
            "share",
            "the checkpoint of the step before ÷ the step's time",
            "watch",
            "time in checkpoints",
        ),
        Metric("time/other_share", "share", "all else ÷ the step's time", "watch", "time in all else"),
        Metric("time/rollout_seconds", "s", "generating, scoring, log-probs and values", "down", "rollout"),
        Metric("time/update_seconds", "s", "the update", "down", "update"),
        Metric(
            "reward_model/loss",
            "nats a pair",
            "mean over rankings of the mean over pairs of −log σ(s_i − s_j)",
            "down",
            "training loss",
        ),
        Metric(
            "reward_model/pair_accuracy",
            "share",
            "share of strict pairs ordered as the annotators did; equal scores count half",
            "up",
        ),
        Metric(
            "reward_model/length_baseline_accuracy",
            "share",
            "pair accuracy of always preferring the response with more characters",
            "watch",
            "longer wins",
        ),
        Metric(
            "reward_model/position_baseline_accuracy",
            "share",
            "pair accuracy of always preferring the response listed first; .5 when the order says nothing",
            "watch",
            "first wins",
        ),
        Metric(
            "reward_model/log_loss",
            "nats a pair",
            "mean over held-out pairs of −log σ(sd · (s_i − s_j)), i preferred; ln 2 = .693 for a coin",
            "down",
            "held-out log loss",
        ),
        Metric("sft/loss", "nats a token", "negative log-likelihood of response tokens", "down", "held-out loss"),
        Metric(
            "sft/train_loss",
            "nats a token",
            "negative log-likelihood of the response tokens that a step learned from",
            "down",
            "training loss",
        ),
        Metric("sft/token_accuracy", "share", "share of response tokens that are the likeliest", "up"),
        Metric(
            "eval/win_rate",
            "share",
            "share of prompts on which the judge scores the policy's answer higher; ties count half",
            "up",
        ),
        Metric(
            "eval/length_controlled_win_rate",
            "share",
            "win rate left when both answers are equally long: logistic regression on the length difference",
            "up",
            "length-controlled win rate",
        ),
        Metric(
            "eval/best_of_n",
            "share",
            "win rate of the answer, of n fresh ones by the opponent, that the reward model likes best",
            "up",
            "best of n",
        ),
        Metric(
            "eval/kl",
            "nats a response",
            "mean over prompts of the sum over the policy's response of log policy - log against, temperature 1, nats",
            "watch",
            "KL to the opponent",
        ),
        Metric(
            "eval/entropy",
            "nats a token",
            "mean over a side's own response tokens of its next-token entropy, temperature 1, nats",
            "watch",
        ),
        Metric("eval/judge_score", "score", "mean over prompts of the judge's score", "up"),
        Metric("eval/mean_tokens", "tokens", "tokens ÷ answers, the EOS included", "watch", "length"),
        Metric("eval/mean_characters", "characters", "characters ÷ answers", "watch", "length"),
        Metric("eval/eos_fraction", "share", "share of answers that ended before the limit", "watch", "ended by EOS"),
        Metric("eval/distinct_2", "share", "different word bigrams ÷ word bigrams, over all answers", "watch"),
        Metric("eval/exact_repeats", "share", "share of answers that equal an earlier one", "watch"),
        Metric(
            "agreement/alpha_ranks",
            "–",
            "Krippendorff's α, ordinal, unit = (task, response), value = its place in an annotator's order; 1 all agree, 0 chance",
            "up",
            "Krippendorff's α of ranks",
        ),
        Metric(
            "agreement/alpha_pairs",
            "–",
            "Krippendorff's α, nominal, unit = (task, pair), value = first better, second better or tie; 1 all agree, 0 chance",
            "up",
            "Krippendorff's α of pairs",
        ),
        Metric(
            "agreement/tau_b",
            "–",
            "mean over tasks and every two annotators of Kendall's τ-b, weighted by the pairs that both compared",
            "up",
            "Kendall's τ-b",
        ),
        Metric(
            "agreement/pairwise",
            "share",
            "meetings of two annotators on a pair of responses that agree ÷ meetings; a tie agrees with a tie alone",
            "up",
            "pairwise agreement",
        ),
        Metric(
            "agreement/pairwise_strict",
            "share",
            "the same over meetings in which neither ties",
            "up",
            "pairwise agreement without ties",
        ),
        Metric(
            "agreement/consensus",
            "share",
            "share of pairs on which an annotator orders as the majority of the others; a tie counts half",
            "up",
            "agreement with the others' majority",
        ),
        Metric(
            "agreement/discrimination",
            "–",
            "correlation over annotators of agreement with the majority here and on all other tasks; below 0: a task or "
            "guideline to read again",
            "up",
        ),
        Metric(
            "bias/left_wins",
            "share",
            "share of strict pairs that the response shown earlier wins; .5 by chance",
            "watch",
            "shown earlier wins",
        ),
        Metric(
            "bias/slot_p",
            "–",
            "p of the χ² test that wins − losses of every slot is what random shuffles give",
            "watch",
            "p of no slot bias",
        ),
        Metric("bias/slot_wins", "share", "P(win | slot) over strict pairs; .5 by chance", "watch", "pairs won"),
        Metric(
            "bias/longer_wins",
            "share",
            "share of strict pairs that the response with more characters wins; equal lengths a half",
            "watch",
        ),
        Metric(
            "bias/longer_wins_matched",
            "share",
            "the same over pairs whose lengths differ by at most 10 %",
            "watch",
            "longer wins, like lengths",
        ),
        Metric("bias/source_wins", "share", "share of strict pairs against other models that a model wins", "watch"),
        Metric("annotator/labels", "labels", "labels that were not skipped", "watch"),
        Metric("annotator/share", "share", "an annotator's labels ÷ everybody's", "watch", "share of all labels"),
        Metric(
            "annotator/gold",
            "share",
            "gold items on which every known pair is ordered right ÷ gold items",
            "up",
            "gold items right",
        ),
        Metric("annotator/ties", "share", "tied pairs ÷ compared pairs", "watch"),
        Metric("annotator/skips", "share", "skipped ÷ all labels", "watch"),
        Metric("annotator/seconds", "s", "median time of a label", "watch", "time a label"),
        Metric(
            "annotator/unchanged",
            "share",
            "labels whose order is the order shown ÷ labels that rank every response",
            "watch",
            "order unchanged",
        ),
        Metric(
            "annotator/consistency",
            "share",
            "pairs judged as before, when a task came again ÷ pairs compared both times",
            "up",
            "self-consistency",
        ),
        Metric(
            "behaviour/made_up",
            "share",
            "share of unanswerable prompts that were answered all the same",
            "down",
            "made-up answers",
        ),
        Metric(
            "behaviour/obeyed_injection",
            "share",
            "share of prompts with an injected instruction that was obeyed",
            "down",
            "obeyed injections",
        ),
        Metric(
            "behaviour/gold_mean",
            "score",
            "mean over prompts of the simulated annotator's noise-free score",
            "up",
            "mean gold score",
        ),
    ]
}


def numbers(value: Any, prefix: str = "") -> list[tuple[str, float]]:
    """("a.b", number) for each number in nested metrics; truth values, text and lists are left out."""
    if isinstance(value, dict):
        return [
            pair for key, inner in value.items() for pair in numbers(inner, f"{prefix}.{key}" if prefix else str(key))
        ]
    return [(prefix, value)] if isinstance(value, int | float) and not isinstance(value, bool) else []
