"""One run: its frames rendered, labelled and written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from angiova.data import rle
from angiova.data.pixels import GreyImage, write_png
from angiova.data.records import FrameRecord, Origin, Target, TargetKind
from angiova.data.rle import BoolMask
from angiova.data.syntax import CATHETER_PHRASE, STENOSIS_PHRASE, TREE_PHRASE, segment_phrase
from angiova.files import sha256_bytes
from angiova.simulate.heart import Floats
from angiova.simulate.plan import FRAMES_A_SECOND, RunPlan, choose_frames
from angiova.simulate.render import expose, hardened
from angiova.simulate.scene import Opacified, Scene, draw_scene
from angiova.simulate.tree import UNNAMED

# A pixel is vessel where contrast takes at least this share of the primary beam away.
VISIBLE_DARKENING: Final = 0.1
# The catheter is labelled where the beam crosses at least this share of its diameter.
CATHETER_SHARE: Final = 0.2
# A segment is present from this share of the image's area on; below it only a crumb at a border or a front is seen.
SEGMENT_AREA_SHARE: Final = 8e-5


@dataclass(frozen=True, slots=True)
class Labels:
    """The masks of one frame, each (H, W).

    Attributes:
        tree: everything opacified.
        segments: opacified SYNTAX segments by number.
        stenosis: opacified pixels of narrowed stretches.
        catheter: the catheter.
    """

    tree: BoolMask
    segments: dict[str, BoolMask]
    stenosis: BoolMask
    catheter: BoolMask


@dataclass(frozen=True, slots=True)
class RenderedRun:
    """What a run adds to the data set: its records, and what is known about it beyond them."""

    records: list[FrameRecord]
    truth: dict[str, Any]


def render_run(plan: RunPlan, size_px: int, out: Path) -> RenderedRun:
    """Render the frames of a run, write them below `out`/images, and return their records.

    Args:
        plan: the run.
        size_px: height and width.
        out: the data set's folder.
    """
    scene = draw_scene(plan, size_px)
    rng = plan.run_rng().spawn(1)[0]
    last_arrival_s = float(scene.tree.arrival_N_s.max())
    records = []
    for frame in choose_frames(rng, plan.num_frames, scene.bolus, last_arrival_s):
        image_HW, labels = render_frame(scene, frame / FRAMES_A_SECOND, rng)
        record = _record(plan, scene, frame, image_HW, labels)
        write_png(out / record.image, image_HW)
        records.append(record)
    return RenderedRun(records, _truth(plan, scene))


def render_frame(scene: Scene, time_s: float, rng: np.random.Generator) -> tuple[GreyImage, Labels]:
    """Return the image at `time_s`, (H, W), and its labels.

    Args:
        scene: the run.
        time_s: seconds from its start.
        rng: source of the quantum noise.
    """
    opacified = scene.opacified(time_s)
    outer_HW, lumen_HW = scene.catheter_paths_mm(time_s)
    contrast_HW, segments = _contrast(scene, opacified)
    attenuation_HW = scene.background(time_s) + scene.reflux_attenuation(time_s)
    dense_HW = scene.contrast_mm * contrast_HW + scene.catheter_attenuation(outer_HW, lumen_HW, time_s)
    attenuation_HW += hardened(dense_HW + scene.device_attenuation(time_s))
    open_HW = scene.chain.field
    labels = Labels(
        tree=_visible(scene, contrast_HW),
        segments=segments,
        stenosis=_visible(scene, opacified.path_mm(scene.tree.stenosis_N)),
        catheter=(outer_HW > CATHETER_SHARE * 2 * scene.catheter.radius_mm) & open_HW,
    )
    return expose(scene.chain, attenuation_HW, scene.level, rng), labels


def _contrast(scene: Scene, opacified: Opacified) -> tuple[Floats, dict[str, BoolMask]]:
    """Return the path through contrast, (H, W) in mm, and the masks of the segments that show some."""
    total_HW = opacified.path_mm(scene.tree.segment_N == UNNAMED)
    least_px = SEGMENT_AREA_SHARE * total_HW.size
    segments = {}
    for index, name in enumerate(scene.tree.segments):
        path_HW = opacified.path_mm(scene.tree.segment_N == index)
        total_HW += path_HW
        mask_HW = _visible(scene, path_HW)
        if mask_HW.sum() > least_px:
            segments[name] = mask_HW
    return total_HW, segments


def _visible(scene: Scene, path_HW: Floats) -> BoolMask:
    """Return where contrast darkens visibly, by Beer-Lambert, and the collimator is open."""
    least_mm = -np.log(1 - VISIBLE_DARKENING) / scene.contrast_mm
    return np.asarray((path_HW >= least_mm) & scene.chain.field)


def _record(plan: RunPlan, scene: Scene, frame: int, image_HW: GreyImage, labels: Labels) -> FrameRecord:
    frame_id = f"{plan.run_id}-f{frame:03d}"
    height, width = image_HW.shape
    spacing_mm = round(scene.c_arm.spacing_mm, 5)
    field_HW = scene.chain.field
    return FrameRecord(
        frame_id=frame_id,
        image=f"images/{frame_id}.png",
        height=height,
        width=width,
        source=f"simulated: seed={plan.seed} run={plan.run_id} frame={frame}",
        source_sha256=sha256_bytes(image_HW.tobytes()),
        run=plan.run_id,
        frame=frame,
        patient=plan.patient_id,
        study=f"{plan.patient_id}-s1",
        time_s=frame / FRAMES_A_SECOND,
        spacing_mm=(spacing_mm, spacing_mm),
        angles_deg=(scene.c_arm.primary_deg, scene.c_arm.secondary_deg),
        field_of_view=None if field_HW.all() else rle.encode(field_HW),
        targets=_targets(labels),
    )


def _targets(labels: Labels) -> tuple[Target, ...]:
    """Return the targets of a frame: tree, stenosis and catheter always, segments where they are seen."""
    return (
        _target(TREE_PHRASE, TargetKind.VESSEL_TREE, labels.tree),
        *(
            _target(segment_phrase(name), TargetKind.SEGMENT, mask_HW, segment=name)
            for name, mask_HW in labels.segments.items()
        ),
        _target(STENOSIS_PHRASE, TargetKind.STENOSIS, labels.stenosis),
        _target(CATHETER_PHRASE, TargetKind.CATHETER, labels.catheter),
    )


def _target(phrase: str, kind: TargetKind, mask_HW: BoolMask, segment: str | None = None) -> Target:
    return Target(phrase, kind, rle.encode(mask_HW), Origin.SIMULATED, segment=segment)


def _truth(plan: RunPlan, scene: Scene) -> dict[str, Any]:
    """Return what is known about a run beyond its records, ready for JSON."""
    return {
        "run": plan.run_id,
        "tree": plan.side,
        "segments": list(scene.tree.segments),
        "stenoses": [asdict(stenosis) for stenosis in scene.tree.stenoses],
        "devices": list(scene.devices.kinds),
        "beat_s": round(scene.beat_s, 4),
        "contrast_start_s": round(scene.bolus.start_s, 4),
        "contrast_end_s": round(scene.bolus.end_s, 4),
    }
