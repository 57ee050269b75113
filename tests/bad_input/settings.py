"""Settings: on the command line and in --config FILE.yaml."""

from __future__ import annotations

from alignment.cli import command as command_of
from bad_input import conditions
from bad_input.case import GOOD, REGISTRY, STAGES, Case

MISSPELT = {"data check": ("aganst", "against"), "import": ("formt", "format"), "export": ("formt", "format"), "report": ("rum", "run"), "doctor": ("rum", "run"), "label": ("prot", "port"), "compare": ("outptu", "output"), **dict.fromkeys((name for name in GOOD if name.startswith("store ")), ("stroe", "store")), **dict.fromkeys(REGISTRY, ("regsitry", "registry"))}  # fmt: skip
"""(what is written, what is meant), where it is not seeed and seed."""


def misspelt(command: str) -> tuple[str, str]:
    return MISSPELT.get(command, ("seeed", "seed"))


SETTINGS = [
    case
    for command in GOOD
    for wrong, right in [misspelt(command)]
    for case in (
        Case("unknown setting", f"{command} --{wrong} 1", {}, f"unknown setting '--{wrong}'"),
        Case("unknown key in YAML", f"{command} --config bad", {"bad": f"{wrong}: 1\n"}, (f"--config bad: unknown setting '{wrong}'", f"did you mean '{right}'?")),
        Case("broken YAML", f"{command} --config bad", {"bad": "seed: [1\n"}, ("--config bad: is not YAML", "at line 2", "`name: value`")),
        Case("a list as YAML", f"{command} --config bad", {"bad": "- 1\n"}, "--config bad: holds a list; it must hold `name: value` lines"),
        Case("no YAML file", f"{command} --config bad", {}, "--config bad: no such file; give a YAML file of settings"),
        Case("YAML that runs code", f"{command} --config bad", {"bad": "seed: !!python/object/apply:os.getpid []\n"}, "--config bad: is not YAML"),
    )
] + [
    case
    for command in STAGES
    for case in (
        Case("nearest name", f"{command} --seeed 1", {}, ("unknown setting '--seeed'", "did you mean '--seed'?")),
        Case("text for a number", f"{command} --seed one", {}, "--seed is 'one'; it must be a whole number"),
        Case("a fraction for a whole number", f"{command} --seed 1.5", {}, "--seed is '1.5'; it must be a whole number"),
        Case("negative seed", f"{command} --seed -1", {}, "--seed is -1; it must be a whole number at least 0"),
        Case("enormous seed", f"{command} --seed 1e30", {}, ("--seed is 1", "at most 4294967295")),
        Case("no threads", f"{command} --threads 0", {}, "--threads is 0; it must be a whole number at least 1"),
        Case("a list for a number in YAML", f"{command} --config bad", {"bad": "seed: [1]\n"}, "--seed is [1]; it must be a whole number"),
        Case("a setting without its value", f"{command} --seed", {}, ("--seed", "expected one argument")),
    )
] + [
    Case("YAML in UTF-16", "sft --config bad", {"bad": "seed: 1\n".encode("utf-16")}, "--config bad: is UTF-16 text; save it as UTF-8"),
    Case("a word that is no choice", "sft --dtype float64", {}, "--dtype is 'float64'; it must be one of float32, bfloat16"),
    Case("top-p 0", "sample --top-p 0", {}, "--top-p is 0.0; it must be a number above 0.0 and at most 1.0"),
    Case("temperature NaN", "sample --temperature nan", {}, "--temperature is nan; it must be a finite number above 0.0"),
    Case("infinite learning rate", "sft --lr inf", {}, "--lr is inf; it must be a finite number above 0.0"),
    Case("flips of a half", "rank --flip-probability .5", {}, "--flip-probability is 0.5; it must be below 0.5"),
    Case("minibatch that does not divide", "ppo --batch-size 4 --minibatch-size 3", {}, "--minibatch-size is 3; it must divide --batch-size (4), for example 2"),
    Case("minibatch above the batch", "ppo --batch-size 4 --minibatch-size 8", {}, "--minibatch-size is 8; it must divide --batch-size (4), for example 4"),
    Case("microbatch above the minibatch", "ppo --microbatch-size 5", {}, "--microbatch-size is 5; it must be at most --minibatch-size (4)"),
    Case("microbatch above the batch", "reward --microbatch-size 9", {}, "--microbatch-size is 9; it must be at most --batch-size (8)"),
    Case("4 bits without LoRA", "sft --load-in-4bit", {}, ("--load-in-4bit needs adapters", "--lora-rank is 0")),
    Case("4 bits not installed", "sft --load-in-4bit --lora-rank 2", {}, "`pip install bitsandbytes`", conditions.not_installed("bitsandbytes")),
    Case("max-length above the context", "reward --max-length 4000", {}, ("--max-length is 4000", "reads at most 128 tokens")),
    *[Case("negative save-every", f"{command} --save-every -1", {}, "--save-every is -1; it must be a whole number at least 0") for command in ("ppo", "reward")],
    Case("ptx data without a weight", "ppo --ptx-data demonstrations.jsonl", {}, "--ptx-data is demonstrations.jsonl and --ptx-coef is 0; give both, for example --ptx-coef 1, or none"),
    Case("ptx weight without data", "ppo --ptx-coef 1", {}, "--ptx-data is none and --ptx-coef is 1; give both"),
    Case("no ptx file", "ppo --ptx-coef 1 --ptx-data bad", {}, "--ptx-data bad: no such file"),
    Case("no room for ptx", "ppo --ptx-coef 1 --ptx-data bad", {"bad": '{"prompt": "' + "word " * 400 + '", "response": "no"}\n'}, ("--ptx-data bad: no record has a response that fits", "context of 128 tokens")),
    Case("selection without prompts", "ppo --selection-reward-model reward-model", {}, "--selection-prompts is none; give both"),
    Case("selection without a reward model", "ppo --selection-prompts prompts.jsonl", {}, "--selection-reward-model is none; give both"),
    Case("no selection prompts", "ppo --selection-reward-model reward-model --selection-prompts bad", {}, "--selection-prompts bad: no such file"),
    Case("selection by what is optimised", "ppo --reward none --reward-model reward-model --selection-reward-model reward-model --selection-prompts prompts.jsonl", {}, "--selection-reward-model is reward-model, which is optimised"),
    Case("missing EOS without an sd", "ppo --missing-eos penalty --no-normalize-scores", {}, "--missing-eos is penalty; it must be none with --no-normalize-scores"),
    Case("missing EOS where most are missing", "ppo --missing-eos penalty", {}, ("--missing-eos is penalty, but only", "of the reference's responses end within --max-new-tokens 4; it must be at least half")),
    Case("average of nothing new", "ppo --ema 1", {}, "--ema is 1.0; it must be a number above 0.0 and at most 0.99999, or 'off'"),
    Case("vllm without an address", "ppo --rollout-engine vllm", {}, "--rollout-engine is vllm and --vllm-url is none; give both"),
    Case("an address without vllm", "ppo --vllm-url http://localhost:8000", {}, "--rollout-engine is transformers and --vllm-url is http://localhost:8000; give both"),
    *[
        Case("an address that is none", f"ppo --rollout-engine vllm --vllm-url {url}", {}, f"--vllm-url is {url}; it must be an address such as http://localhost:8000")
        for url in ("localhost:8000", "http://", "http://localhost:many", "ftp://localhost:8000")
    ],
    Case("vllm and a nucleus", "ppo --rollout-engine vllm --vllm-url http://localhost:1 --top-p .9", {}, "--rollout-engine is vllm with --top-p 0.9 --top-k 0; they must be 1 and 0"),
    Case("vllm and the likeliest", "ppo --rollout-engine vllm --vllm-url http://localhost:1 --top-k 5", {}, "--rollout-engine is vllm with --top-p 1 --top-k 5; they must be 1 and 0"),
    Case("vllm not installed", "ppo --rollout-engine vllm --vllm-url http://localhost:1", {}, ("--rollout-engine is vllm, which cannot be imported (", "`pip install 'instruct-loop[vllm]'`"), conditions.not_installed("vllm")),
    *[
        Case("an endpoint that is none", f"sample --endpoint {url}", {}, f"--endpoint is '{url}'; it must be an address such as http://localhost:8000/v1")
        for url in ("localhost:8000", "http://", "http://localhost:many", "ftp://localhost:8000")
    ],
    *[
        Case("an endpoint with a secret", f"sample --endpoint {url}", {}, "--endpoint holds a user, a password, a query or a fragment")
        for url in ("http://me:secret@localhost/v1", "http://localhost/v1?key=secret", "'http://localhost/v1#x'")
    ],
    Case("nobody at the endpoint", "sample --endpoint http://127.0.0.1:9/v1", {}, ("--endpoint http://127.0.0.1:9/v1: cannot be reached (", "check the address")),
    Case("an endpoint and the likeliest", "sample --endpoint http://127.0.0.1:9/v1 --top-k 5", {}, "--top-k is 5 with --endpoint"),
    Case("a key for a variable", "sample --endpoint http://127.0.0.1:9/v1 --endpoint-key-variable sk-secret", {}, "--endpoint-key-variable must be the name of an environment variable"),
    Case("a variable that is not set", "sample --endpoint http://127.0.0.1:9/v1 --endpoint-key-variable NO_SUCH_KEY", {}, "--endpoint-key-variable is NO_SUCH_KEY, which is not set"),
    Case("an endpoint's setting alone", "sample --endpoint-api chat", {}, "--endpoint-api is chat and --endpoint is none"),
    Case("a variable alone", "sample --endpoint-key-variable OPENAI_API_KEY", {}, "--endpoint-key-variable is given and --endpoint is none"),
    Case("no request at once", "sample --endpoint http://127.0.0.1:9/v1 --endpoint-concurrency 0", {}, "--endpoint-concurrency is 0; it must be a whole number at least 1"),
    Case("no time", "sample --endpoint http://127.0.0.1:9/v1 --endpoint-timeout 0", {}, "--endpoint-timeout is 0.0; it must be a number above 0.0"),
    Case("no try", "sample --endpoint http://127.0.0.1:9/v1 --endpoint-tries 0", {}, "--endpoint-tries is 0; it must be a whole number at least 1"),
    Case("importance cap of 0", "ppo --importance-cap 0", {}, "--importance-cap is 0.0; it must be a number above 0.0"),
    Case("a port beyond all", "ppo --vllm-group-port 70000", {}, "--vllm-group-port is 70000; it must be a whole number at least 1 and at most 65535"),
    Case("no reward at all", "ppo --reward none", {}, "--reward-model and --reward: none of them given; give exactly one"),
    Case("both rewards", "ppo --reward-model reward-model", {}, "--reward-model and --reward: both given; give exactly one"),
    Case("empty best-of", "eval --best-of ''", {}, "--best-of is ''; it must be whole numbers from 1, for example 4,16,64"),
    Case("best-of of words", "eval --best-of four", {}, "--best-of is 'four'; it must be whole numbers from 1"),
    *[Case("seeds 0", f"{command} --seeds 0", {}, "--seeds is '0'; it must be a whole number of at least 1") for command in ("sft", "reward", "ppo", "eval")],
    Case("seeds for a command that takes none", "rank --seeds 2", {}, "unknown setting '--seeds'"),
    Case("timeout of 0", "rank --function-timeout 0", {}, "--function-timeout is 0.0; it must be a number above 0.0, or 'off'"),
    *[
        Case("tracker not installed", f"{command} --report-to wandb", {}, ("--report-to", "wandb", "not installed", "`pip install wandb`"), conditions.not_installed("wandb"))
        for command in ("sft", "reward", "ppo")
    ],
    Case("the learning rate diverges", "sft --lr 1e30 --epochs 3", {}, "--lr 1e+30: training diverged to infinity; give a lower one"),
    Case("the learning rate diverges", "reward --lr 1e30", {}, ("diverged", "lower --lr")),
    Case("the learning rate diverges", "ppo --lr 1e30", {}, "--lr 1e+30: training diverged at step 1; give a lower one"),
]  # fmt: skip

PLANS = [
    Case("nothing wrong", f"{command} --dry-run", {}, (), code=0)
    for command in GOOD
    if command_of(command).plan is not None and command != "demo"  # which it measures for a minute
]
"""--dry-run leaves nothing; that it refuses what the run would is tried for every case."""
