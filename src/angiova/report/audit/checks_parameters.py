"""Parameters against what the architecture has, against shards, and against the bytes of checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from angiova.data.records import Severity
from angiova.report.audit.claims import Claims, Evidence
from angiova.report.audit.finding import AuditFinding
from angiova.report.audit.known_models import KnownSize, known_size

# Programs differ in what they count (buffers, padded vocabularies, ties); closer than this is agreement.
TOLERANCE = 0.05
# A shard's size times the devices comes nearer than that: all parts of one count.
SHARD_TOLERANCE = 0.03
# Shares are often stated in whole percent.
SHARE_ROUNDING = 0.5
# Bytes a parameter: float16 or bfloat16 weights; float32 weights; float32 weights with AdamW's moments.
PLAUSIBLE_BYTES = {2.0: "bfloat16 weights", 4.0: "float32 weights", 12.0: "float32 weights with two moments"}


def total(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the stated total against the architecture of that name, whole and as one of the devices' shards."""
    claims, known = evidence.claims, size_of(evidence.claims)
    stated = claims.architecture.parameters_total
    if stated is None or known is None:
        return
    if any(_apart(stated, size) <= TOLERANCE for size in known.totals.values()):
        return
    where = evidence.where("architecture.parameters_total")
    counted = tuple(f"{known.preset}, {what}: {_billions(size)}" for what, size in known.totals.items())
    shard = _shard(stated, claims.training.devices.count, known)
    if shard is None:
        message = f"{claims.model} does not have {_billions(stated)} parameters"
        yield AuditFinding("parameters-total", Severity.ERROR, where, message, counted, "count the whole model")
        return
    what, devices = shard
    product = f"{_billions(stated)} x {devices} devices = {_billions(stated * devices)}"
    nearest = f"{known.totals[what] / (stated * devices):.3f} of it is the {what}, {_billions(known.totals[what])}"
    yield AuditFinding(
        "parameters-one-shard",
        Severity.ERROR,
        where,
        f"the total of {_billions(stated)} is one of {devices} shards, not the model",
        (product, nearest, *counted),
        "count before sharding, or gather; print the whole model",
    )


def trainable_share(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the trainable share against its own two numbers, and against the whole model."""
    claims, a = evidence.claims, evidence.claims.architecture
    stated, whole = a.trainable_share_percent, a.parameters_total
    if whole and a.parameters_trainable and a.parameters_trainable > whole:
        message = "more parameters are trained than there are"
        where = evidence.where("architecture.parameters_trainable", "architecture.parameters_total")
        yield AuditFinding("trainable-share", Severity.ERROR, where, message)
        return
    if stated is None:
        return
    where = evidence.where("architecture.trainable_share_percent")
    if not 0 <= stated <= 100:
        yield AuditFinding("trainable-share", Severity.ERROR, where, f"a share of {stated:g} % cannot be")
        return
    right, lines = _right_share(claims)
    if right is not None and abs(right - stated) > TOLERANCE * right + SHARE_ROUNDING:
        yield AuditFinding(
            "trainable-share",
            Severity.ERROR,
            where,
            f"{right:.1f} % of the model was trained, not {stated:g} %",
            tuple(lines),
            "divide what is trained by the whole model, both counted the same way",
        )


def trainable(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the trainable parameters against those of the parts that are said to be trained."""
    claims, known = evidence.claims, size_of(evidence.claims)
    stated = claims.architecture.parameters_trainable
    if stated is None or known is None or known.trainable is None or _apart(stated, known.trainable) <= TOLERANCE:
        return
    yield AuditFinding(
        "trainable-parts",
        Severity.ERROR,
        evidence.where("architecture.parameters_trainable", "architecture.trained_parts"),
        f"the parts said to be trained have {_billions(known.trainable)} parameters, not {_billions(stated)}",
        (f"{', '.join(claims.architecture.trained_parts)} in {known.preset}: {_billions(known.trainable)}",),
        "name every part that is trained",
    )


def checkpoint_bytes(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check the size of each checkpoint against what a file of the trained or of all parameters can have."""
    claims, known = evidence.claims, size_of(evidence.claims)
    a = claims.architecture
    counts = {"trainable": a.parameters_trainable, "total": a.parameters_total}
    if known is not None:
        counts |= {f"{known.preset} {what}": float(size) for what, size in known.totals.items()}
    candidates = {name: count for name, count in counts.items() if count}
    odd = {
        name: size for name, size in claims.checkpoints.files.items() if candidates and not _explained(size, candidates)
    }
    if odd:
        lines = [
            f"{name}: {size:,.0f} bytes = "
            + ", ".join(f"{size / count:.2f} bytes a parameter ({what})" for what, count in candidates.items())
            for name, size in sorted(odd.items())[:5]
        ]
        yield AuditFinding(
            "checkpoint-bytes",
            Severity.WARNING,
            evidence.where("checkpoints.files"),
            f"{len(odd)} checkpoint files have a size that no count of parameters explains",
            tuple(lines),
            "2 bytes a parameter are bfloat16 weights, 4 are float32, 12 those with AdamW's moments",
        )


def memory(evidence: Evidence) -> Iterator[AuditFinding]:
    """Check memory per device against the device, and against the stated utilisation."""
    t = evidence.claims.training
    device, used = t.devices.memory_gb, t.memory_per_device_gb
    if not device or not used:
        return
    if max(used) > device * (1 + TOLERANCE):
        message = f"a device of {device:g} GB cannot hold {max(used):g} GB"
        yield AuditFinding("memory-device", Severity.ERROR, evidence.where("training.memory_per_device_gb"), message)
    shares = t.memory_utilisation_percent
    if len(shares) == len(used) and any(abs(100 * u / device - s) > 1.0 for u, s in zip(used, shares, strict=True)):
        yield AuditFinding(
            "memory-utilisation",
            Severity.ERROR,
            evidence.where("training.memory_utilisation_percent", "training.memory_per_device_gb"),
            "the stated utilisation is not the stated memory over the device's",
            tuple(
                f"{u:g} GB / {device:g} GB = {100 * u / device:.1f} %, stated {s:g} %"
                for u, s in zip(used, shares, strict=True)
            ),
        )


def size_of(claims: Claims) -> KnownSize | None:
    """Return the known size of the claimed model; counted once."""
    return _size(claims.model, claims.architecture.trained_parts)


@lru_cache(maxsize=8)
def _size(model: str | None, trained_parts: tuple[str, ...]) -> KnownSize | None:
    return known_size(model, trained_parts)


def _shard(stated: float, devices: int | None, known: KnownSize) -> tuple[str, int] | None:
    """Return what the stated total is one of `devices` shards of."""
    if devices is None or devices < 2:
        return None
    sizes = known.totals
    nearest = min(sizes, key=lambda what: _apart(stated * devices, sizes[what]))
    return (nearest, devices) if _apart(stated * devices, sizes[nearest]) <= SHARD_TOLERANCE else None


def _right_share(claims: Claims) -> tuple[float | None, list[str]]:
    """Return the share as it should be, in percent, with the arithmetic: of the known model, else of the stated one."""
    a, known = claims.architecture, size_of(claims)
    if not a.parameters_trainable:
        return None, []
    whole = known.total if known is not None else a.parameters_total
    if not whole:
        return None, []
    share = 100 * a.parameters_trainable / whole
    lines = [f"{_billions(a.parameters_trainable)} / {_billions(whole)} = {share:.2f} %"]
    if known is not None and a.parameters_total:
        own = 100 * a.parameters_trainable / a.parameters_total
        lines.append(f"stated from {_billions(a.parameters_trainable)} / {_billions(a.parameters_total)} = {own:.2f} %")
        if known.trainable is not None:
            lines.append(f"the parts said to be trained, counted whole: {_billions(known.trainable)}")
        lines += [
            f"{name}: {size:,.0f} bytes / {_billions(a.parameters_trainable)} = "
            f"{size / a.parameters_trainable:.2f} bytes a trained parameter"
            for name, size in sorted(claims.checkpoints.files.items())[-1:]
        ]
    return share, lines


def _explained(num_bytes: float, counts: dict[str, float]) -> bool:
    return any(_apart(num_bytes, count * width) <= TOLERANCE for count in counts.values() for width in PLAUSIBLE_BYTES)


def _billions(count: float) -> str:
    return f"{count / 1e9:.3f} B"


def _apart(a: float, b: float) -> float:
    return abs(a - b) / max(a, b, 1e-12)
