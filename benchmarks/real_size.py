"""A preset of real size with random weights: does it train, answer, save and reopen, in what time and memory?

    python benchmarks/real_size.py internvl3-8b OUT [--micro 1] [--steps 4] [--whole]

Random weights have the real shapes, so times and memory are the real ones; the masks mean nothing. Each stage prints a
line of JSON. `--whole` also writes the whole base in bfloat16 to OUT/base and opens it again, and at the end folds the
adapter into it by `angiova merge`, opens the result and compares its answer.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from angiova.data.dataset import Example
from angiova.data.prompts import Turn, tokenizer_corpus
from angiova.model.adapters import WEIGHTS_NAME, Base, load_adapter_tensors, save_adapter, select_trainable
from angiova.model.fingerprint import fingerprint
from angiova.model.modeling import Sa2VAModel
from angiova.model.presets import preset_config
from angiova.model.processing import Batch, Sa2VAProcessor
from angiova.model.tokenizer import build_nano_tokenizer
from angiova.model.trainable import TrainableSettings

SIDE_PX = 512
ANSWER_TOKENS = 16


@contextmanager
def stage(name: str, device: torch.device, **facts: object) -> Iterator[dict[str, object]]:
    """Print how long a stage took and the most device memory that it held."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.monotonic()
    yield facts
    if device.type == "cuda":
        torch.cuda.synchronize()
        facts["peak_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print(json.dumps({"stage": name, "seconds": round(time.monotonic() - started, 3)} | facts), flush=True)


def examples(count: int) -> list[Example]:
    """Return frames of noise with a bar as the tree."""
    rng = np.random.default_rng(0)
    mask = np.zeros((SIDE_PX, SIDE_PX), dtype=bool)
    mask[200:210, 50:-50] = True
    turn = Turn("segment the coronary artery tree", "[SEG] coronary artery tree.", ())
    image = rng.integers(0, 255, (SIDE_PX, SIDE_PX), dtype=np.uint8)
    return [Example(f"noise-{index}", image, (turn,), (mask,)) for index in range(count)]


def moved(batch: Batch, device: torch.device) -> Batch:
    """Return the batch on the device."""
    return {
        key: [item.to(device) if torch.is_tensor(item) else item for item in value]
        if isinstance(value, list)
        else value.to(device)
        for key, value in batch.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("preset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--micro", type=int, default=1)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = preset_config(options.preset)
    with stage("build", device, preset=options.preset) as facts, device:
        model = Sa2VAModel._from_config(config, dtype=torch.bfloat16)
        facts["parameters"] = sum(p.numel() for p in model.parameters())
    processor = Sa2VAProcessor(build_nano_tokenizer(tokenizer_corpus()), config)
    if options.whole:
        with stage("save base", device):
            model.save_pretrained(options.out / "base", max_shard_size="5GB")
            processor.tokenizer.save_pretrained(options.out / "base")
        with stage("reopen base", device):
            del model
            model = Sa2VAModel.from_pretrained(
                options.out / "base", local_files_only=True, dtype=torch.bfloat16, device_map={"": device}
            )
        base = Base(folder=options.out / "base", fingerprint=fingerprint(options.out / "base"))
    else:
        base = Base(folder=options.out / "none", fingerprint="random weights")
    settings = TrainableSettings()
    with device:
        select_trainable(model, settings)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=device.type == "cuda")
    model.train()
    batch = moved(processor.collate(examples(options.micro)), device)
    for step in range(options.steps):
        with stage("train step", device, step=step, micro=options.micro, tokens=batch["input_ids"].numel()) as facts:
            with torch.autocast(device.type, torch.bfloat16):
                loss = torch.stack(list(model(**batch).losses.values())).sum()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            facts["loss"] = round(float(loss.detach()), 4)
    with stage("save adapter", device) as facts:
        save_adapter(options.out / "adapter", model, base, settings, torch.bfloat16)
        facts["bytes"] = (options.out / "adapter" / WEIGHTS_NAME).stat().st_size
    with stage("reopen adapter", device):
        load_adapter_tensors(model, options.out / "adapter" / WEIGHTS_NAME)
    model.eval()
    question = moved(processor.prompts([examples(1)[0].image_HW], ["[SEG] what is this?"], [0]), device)
    with stage("generate", device, tokens=ANSWER_TOKENS):
        answer = answered(model, processor, question)
    if options.whole:
        del model, optimizer, trained
        compare_merged(options.out, processor, question, answer, device)


def answered(model: Sa2VAModel, processor: Sa2VAProcessor, question: Batch) -> tuple[list[int], list[torch.Tensor]]:
    """Return the token ids and the mask logits that the model answers with."""
    with torch.autocast(question["input_ids"].device.type, torch.bfloat16):
        generation = model.generate(
            **question,
            eos_token_id=processor.eos_token_id,
            pad_token_id=processor.pad_token_id,
            max_new_tokens=ANSWER_TOKENS,
        )
    assert generation.masks is not None
    return generation.answer_ids[0], [group.logits_GHW.float().cpu() for group in generation.masks.groups]


def compare_merged(
    out: Path,
    processor: Sa2VAProcessor,
    question: Batch,
    answer: tuple[list[int], list[torch.Tensor]],
    device: torch.device,
) -> None:
    """Merge as a user would, open what came out, and print how far its answer is from the adapter's."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    with stage("merge", device) as facts:
        command = [sys.executable, "-m", "angiova", "merge", str(out / "adapter"), str(out / "merged")]
        subprocess.run([*command, "--base", str(out / "base")], check=True, stdout=subprocess.DEVNULL)
        facts["bytes"] = sum(path.stat().st_size for path in (out / "merged").glob("*.safetensors"))
        facts["host_gib"] = round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2)
    with stage("open merged", device):
        merged = Sa2VAModel.from_pretrained(
            out / "merged", local_files_only=True, dtype=torch.bfloat16, device_map={"": device}
        ).eval()
    with stage("answer of the merged model", device) as facts:
        tokens, masks = answered(merged, processor, question)
        facts["same_tokens"] = sum(a == b for a, b in zip(answer[0], tokens, strict=False)) / max(1, len(answer[0]))
        pairs = list(zip(answer[1], masks, strict=True))
        facts["same_pixels"] = [round(float(((a > 0) == (b > 0)).float().mean()), 5) for a, b in pairs]
        facts["relative_difference"] = [round(float((a - b).norm() / a.norm()), 5) for a, b in pairs]


if __name__ == "__main__":
    main()
