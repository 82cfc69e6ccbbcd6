"""nano against a plain U-Net on ARCADE: same frames, same augmentation, same number of samples, same evaluation.

    python benchmarks/arcade.py DATA OUT [--repeats 60] [--stages unet nano predict]

DATA is ARCADE as imported by `angiova import`. Both models are evaluated as they are at the end of training, so that
neither is chosen on the frames it is scored on. Each stage adds what it did to OUT/training.json, so that stages can be
run one after the other on a machine that is lent for minutes; `benchmarks/arcade_table.py` prints both side by side.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import BasicUNet
from torch.utils.data import DataLoader

from angiova.data import rle
from angiova.data.augment import AugmentSettings
from angiova.data.dataset import Example, ExampleDataset, ExampleSettings
from angiova.data.manifest import Manifest
from angiova.data.predictions import write_predictions
from angiova.data.records import Prediction, Split, TargetKind
from angiova.data.syntax import TREE_PHRASE
from angiova.files import read_json, write_json
from angiova.model import losses
from angiova.training.loop import complete_checkpoints

RECIPE = Path(__file__).parents[1] / "recipes" / "nano_arcade.yaml"
UNET_FEATURES = (32, 64, 128, 256, 512, 32)
BATCH = 16
PEAK_LR = 1e-3
STAGES = ("unet", "nano", "predict")


def train_nano(data: Path, run: Path, repeats: int, workers: int) -> float:
    """Train nano by the command a user would type; return seconds."""
    started = time.monotonic()
    overrides = [
        f"data.folder={data}",
        f"output={run}",
        f"data.repeats={repeats}",
        f"batch.micro={BATCH}",
        "tensorboard=false",
        f"data.workers={workers}",
        "validation.times=1",
    ]
    arguments = [part for override in overrides for part in ("--set", override)]
    subprocess.run([sys.executable, "-m", "angiova", "train", str(RECIPE), *arguments], check=True)
    return time.monotonic() - started


def predict_nano(data: Path, run: Path, out: Path) -> None:
    """Answer every labelled phrase of the validation frames with the last checkpoint."""
    from angiova.inference.predictor import load

    manifest = Manifest(data)
    predictor = load(complete_checkpoints(run / "checkpoints")[-1])
    write_predictions(out, predictor.predict(manifest, manifest.records(Split.VAL), BATCH))


def collate(examples: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return standardised images and tree masks, (B, 1, H, W) each."""
    images = torch.stack([standardise(example.image_HW) for example in examples])
    return images, torch.stack([torch.from_numpy(example.masks[0])[None] for example in examples])


def standardise(image_HW: np.ndarray) -> torch.Tensor:
    """Return the image with mean 0 and standard deviation 1, as nano's refiner sees it."""
    values = image_HW.astype(np.float32)
    return torch.from_numpy((values - values.mean()) / (values.std() + 1.0))[None]


def train_unet(data: Path, repeats: int, device: torch.device, workers: int) -> tuple[BasicUNet, float]:
    """Train a plain U-Net to find the whole tree; return it and the seconds it took."""
    torch.manual_seed(0)
    tree_only = ExampleSettings(whole_only=1.0)
    dataset = ExampleDataset(Manifest(data), Split.TRAIN, repeats, 0, tree_only, AugmentSettings())
    loader = DataLoader(
        dataset, BATCH, collate_fn=collate, num_workers=workers, drop_last=True, pin_memory=True, prefetch_factor=4
    )
    network = BasicUNet(spatial_dims=2, in_channels=1, out_channels=1, features=UNET_FEATURES).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_LR, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=len(loader), pct_start=0.05)
    started = time.monotonic()
    for step, (images, targets) in enumerate(loader):
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = network(images.to(device, non_blocking=True))[:, 0]
        masks = targets[:, 0].to(device, non_blocking=True)
        loss = 2 * losses.mask_loss(logits, masks).mean() + losses.dice_loss(logits, masks).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 250 == 0:
            print(f"U-Net step {step} of {len(loader)}: loss {loss.item():.4f}", flush=True)
    return network, time.monotonic() - started


def predict_unet(network: BasicUNet, data: Path, device: torch.device) -> Iterator[Prediction]:
    """Yield the U-Net's tree of each validation frame."""
    manifest = Manifest(data)
    network.eval()
    for record in manifest.records(Split.VAL):
        if not any(target.kind is TargetKind.VESSEL_TREE for target in record.targets):
            continue
        with torch.inference_mode():
            logits = network(standardise(manifest.read_image(record))[None].to(device))[0, 0]
        yield Prediction(record.frame_id, TREE_PHRASE, rle.encode((logits > 0).cpu().numpy()), 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    if "unet" in options.stages:
        network, seconds = train_unet(options.data, options.repeats, device, options.workers)
        write_predictions(options.out / "unet.parquet", predict_unet(network, options.data, device))
        parameters = sum(p.numel() for p in network.parameters())
        note(options.out, unet_seconds=seconds, unet_parameters=parameters, unet_repeats=options.repeats, device=name)
    if "nano" in options.stages:
        seconds = train_nano(options.data, options.out / "nano", options.repeats, options.workers)
        note(options.out, nano_seconds=seconds, repeats=options.repeats)
    if "predict" in options.stages:
        predict_nano(options.data, options.out / "nano", options.out / "nano.parquet")


def note(out: Path, **facts: float | int | str) -> None:
    """Add facts to OUT/training.json."""
    path = out / "training.json"
    write_json(path, (read_json(path) if path.exists() else {}) | facts)
    print(facts, flush=True)


if __name__ == "__main__":
    main()
