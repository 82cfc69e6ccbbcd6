"""The `angiova` command: one verb a function. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from angiova import __version__
from angiova.cli_options import Base, BrightVessels, Dataset, Out, Places
from angiova.cli_questions import ask, chat
from angiova.cli_runs import measure, track
from angiova.errors import AngiovaError, ConfigError, DataError, ExitCode
from angiova.shipped import model_and_source

app = typer.Typer(
    name="angiova",
    help="Fine-tune, prove and run Sa2VA for blood-vessel segmentation in X-ray angiography. "
    "Research use only; not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# What typer makes of Ctrl-C.
INTERRUPTED = 130


def _version(show: bool) -> None:
    if show:
        typer.echo(f"angiova {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    pass


@app.command()
def doctor() -> None:
    """Say what this machine has and whether angiova can work on it."""
    from angiova.doctor import print_diagnosis

    raise typer.Exit(print_diagnosis())


@app.command()
def simulate(
    out: Out,
    runs: Annotated[int, typer.Option(min=1, help="Number of cine runs.")] = 36,
    frames: Annotated[int, typer.Option(min=1, help="Number of labelled frames in all runs together.")] = 1219,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same bytes.")] = 0,
    size: Annotated[int, typer.Option(min=64, max=2048, help="Height and width in pixels.")] = 512,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: one a core.")] = None,
) -> None:
    """Make labelled angiograms from anatomy and physics."""
    from angiova.simulate import simulate as run_simulation

    manifest = run_simulation(out, num_runs=runs, num_frames=frames, seed=seed, size_px=size, workers=workers)
    typer.echo(f"{manifest.num_frames} frames in {out}; look at {out / 'contact_sheet.png'}")


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="Folder or file with images and labels; never changed.")],
    out: Out,
    format: Annotated[
        str | None,
        typer.Option(help="coco, masks, dicom, video, frames, sa2va or sa2va-video; default: chosen by looking."),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="How file paths name patient, run and frame, e.g. '{patient}_{run}/images/frame_{frame}'. "
            "`{*}` matches anything."
        ),
    ] = None,
    phrase: Annotated[str | None, typer.Option(help="What the masks show, when the files don't say.")] = None,
    origin: Annotated[str, typer.Option(help="How the masks were made: manual, pseudo or simulated.")] = "manual",
    bright_vessels: BrightVessels = False,
    reference: Annotated[bool, typer.Option(help="Refer to the images where they lie instead of copying.")] = False,
    fix: Annotated[
        bool, typer.Option("--fix", help="Repair what can be repaired safely; each repair is listed.")
    ] = False,
    licence: Annotated[str | None, typer.Option(help="Licence of the data, for the record.")] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            help="Secret under which patients of DICOM files get other names; made where it is missing. "
            "Default: identity.key in ~/.config/angiova.",
            show_default=False,
        ),
    ] = None,
    mask_burned_in: Annotated[
        bool, typer.Option("--mask-burned-in", help="Blank what looks like text in DICOM and video.")
    ] = False,
    decode_memory: Annotated[
        int, typer.Option(min=256, metavar="MIB", help="Memory that opening a DICOM or video file may use, in MiB.")
    ] = 1024,
    decode_seconds: Annotated[
        float, typer.Option(min=1, help="Time that one pass over a DICOM or video file may take.")
    ] = 120,
) -> None:
    """Read images, labelled or not, in any of the known layouts into a data set."""
    from angiova.data.decoding.limits import DecodeLimits
    from angiova.data.importers import ImportOptions, import_dataset
    from angiova.data.importers.summary import print_import

    options = ImportOptions(
        pattern=pattern,
        phrase=phrase,
        origin=origin,
        bright_vessels=bright_vessels,
        reference=reference,
        fix=fix,
        licence=licence,
        key=key,
        mask_burned_in=mask_burned_in,
        limits=DecodeLimits(memory_mib=decode_memory, seconds=decode_seconds),
    )
    report = import_dataset(source, out, format=format, options=options)
    print_import(report)
    raise typer.Exit(report.exit_code)


@app.command()
def check(
    dataset: Dataset,
) -> None:
    """Look for what would spoil training or evaluation; writes fingerprint.json and findings.json."""
    from angiova.data.checks import check_dataset, print_findings

    raise typer.Exit(print_findings(check_dataset(dataset)))


@app.command()
def split(
    dataset: Dataset,
    val: Annotated[float, typer.Option(min=0, max=1, help="Share of patients for validation.")] = 0.15,
    test: Annotated[float, typer.Option(min=0, max=1, help="Share of patients for the final test.")] = 0.2,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    frames_are_independent: Annotated[
        bool,
        typer.Option("--frames-are-independent", help="Split frames without patient ids; reports will say so."),
    ] = False,
    resplit: Annotated[bool, typer.Option("--resplit", help="Replace a split that the publisher fixed.")] = False,
) -> None:
    """Divide a data set by patient into train, val and test."""
    from angiova.data.splits import print_split, split_dataset

    print_split(
        split_dataset(
            dataset,
            val=val,
            test=test,
            seed=seed,
            frames_are_independent=frames_are_independent,
            resplit=resplit,
        )
    )


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a YAML file; `recipes/` has several.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Override a field, e.g. --set optimizer.lr=1e-4."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue the run in the output folder where it stopped.")] = False,
    devices: Annotated[
        int | None, typer.Option(min=1, help="Processes, one a device; default: every GPU of this machine, else one.")
    ] = None,
) -> None:
    """Train a model, or a baseline, as the recipe says; Ctrl-C saves and stops, --resume goes on."""
    from angiova.training.config import load_recipe

    settings = load_recipe(recipe, set_ or [])  # before torch is loaded, so that a mistake is told at once
    from angiova.training import processes

    alone = processes.is_worker() or not settings.model.trains_by_gradient
    count = 1 if alone else processes.count_devices(devices, settings.device)
    if count > 1:
        raise typer.Exit(processes.start_processes(count, [sys.executable, "-m", "angiova", *sys.argv[1:]]))
    from angiova.training.trainer import train as run_training

    raise typer.Exit(run_training(settings, resume=resume))


@app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a YAML file.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Override a field, e.g. --set trainable.lora.rank=16."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Plan for this preset instead of the recipe's model, e.g. before it is here.")
    ] = None,
    device_gib: Annotated[
        float | None, typer.Option(min=1, help="Memory of a device; choose a layout of the steps that fits it.")
    ] = None,
    devices: Annotated[int, typer.Option(min=1, help="Devices that share what engine.strategy shares out.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a recipe would train and what that weighs; no weights are loaded."""
    from angiova.training.config import load_recipe

    model = [] if preset is None else [f"model={{preset: {preset}}}"]
    settings = load_recipe(recipe, [*(set_ or []), *model])
    from angiova.training.plan import plan_parts, print_plan

    fit = None
    if device_gib is not None:
        from angiova.training.memory import GIB, choose_layout

        fit = choose_layout(settings, int(device_gib * GIB), devices)
    print_plan(plan_parts(settings), as_json=json, fit=fit)


@app.command()
def merge(
    adapter: Annotated[Path, typer.Argument(help="Run or checkpoint folder that holds an adapter.")],
    out: Out,
    base: Base = None,
    dtype: Annotated[str, typer.Option(help="Type of the weights written: bfloat16 or float32.")] = "bfloat16",
) -> None:
    """Fold an adapter into its base: a plain model that needs neither."""
    from angiova.model.merging import merge as run_merge

    run_merge(adapter, out, base=base, dtype=dtype)
    typer.echo(f"wrote {out}")


@app.command()
def average(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL MODEL... OUT", help="Runs or checkpoint folders of one start, and a new folder."),
    ],
) -> None:
    """Average the weights of models that were trained from the same start; evaluate what comes out."""
    from angiova.model.averaged import average as run_average

    run_average(models[:-1], models[-1])
    typer.echo(f"wrote {models[-1]}: the mean of {len(models) - 1} models")


@app.command("eval")
def eval_(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="MODEL DATASET",
            help="A run or checkpoint folder, or what `track` wrote of the data set, and a data set; with "
            "--from-predictions a predictions file and a data set; with --compare two or more run or evaluation "
            "folders.",
            show_default=False,
        ),
    ],
    split: Annotated[str, typer.Option(help="Part to evaluate on: train, val or test.")] = "test",
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; default: RUN/evaluation, with --questions RUN/questions.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: the best there is.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames decoded together.")] = 4,
    from_predictions: Annotated[
        bool, typer.Option("--from-predictions", help="Compute every number again from kept predictions; needs --out.")
    ] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Compare evaluations of the same frames.")] = False,
    allow_leakage: Annotated[
        bool,
        typer.Option("--allow-leakage", help="Go on when frames were trained on; every report says so in red."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table, with --compare.")] = False,
    questions: Annotated[
        bool, typer.Option("--questions", help="Ask questions, and hold the answers against the labels.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most frames asked about, spread over the part, with --questions.")
    ] = None,
    partly_labelled: Annotated[
        bool,
        typer.Option("--partly-labelled", help="Segments in view may lack a label, with --questions."),
    ] = False,
    base: Base = None,
) -> None:
    """Predict every labelled target of held-out patients and measure the result, or compare measured results."""
    if compare:
        _compare(paths, out, as_json=json)
        return
    if len(paths) != 2:
        raise ConfigError("a model and a data set are needed", where="eval", remedy="angiova eval MODEL DATASET")
    from angiova.report.tables import print_evaluation

    if questions:
        raise typer.Exit(_evaluate_questions(paths, split, out, device, limit, partly_labelled, allow_leakage, base))
    if (paths[0] / "runs.json").exists():
        _evaluate_tracked(paths[0], paths[1], split, out)
        return
    if from_predictions:
        if out is None:
            raise ConfigError("nowhere to write", where="--from-predictions", remedy="say where, with --out")
        from angiova.evaluation.evaluate import evaluate_files

        raise typer.Exit(print_evaluation(evaluate_files(paths[1], paths[0], split, out)))
    from angiova.inference.evaluation import evaluate_model

    evaluation = evaluate_model(
        paths[0], paths[1], split=split, out=out, device=device, batch=batch, base=base, allow_leakage=allow_leakage
    )
    raise typer.Exit(print_evaluation(evaluation))


def _evaluate_questions(
    paths: list[Path],
    split: str,
    out: Path | None,
    device: str | None,
    limit: int | None,
    is_partly_labelled: bool,
    allow_leakage: bool,
    base: Path | None,
) -> int:
    from angiova.inference.question_evaluation import PAGE_NAME, evaluate_questions
    from angiova.run_record import QUESTIONS_DIR, RUN_NAME

    if out is None and not (paths[0] / RUN_NAME).exists():
        raise ConfigError("a checkpoint has no run folder to write to", where="--out", remedy="say where, with --out")
    folder = out or paths[0] / QUESTIONS_DIR
    evaluate_questions(
        paths[0],
        paths[1],
        split=split,
        out=folder,
        device=device,
        limit=limit,
        complete=not is_partly_labelled,
        allow_leakage=allow_leakage,
        base=base,
    )
    typer.echo((folder / PAGE_NAME).read_text(encoding="utf-8").partition("\n## Wrong")[0])
    typer.echo(f"look at {folder / PAGE_NAME}")
    return int(ExitCode.DONE)


def _evaluate_tracked(folder: Path, dataset: Path, split: str, out: Path | None) -> None:
    from angiova.inference.track_evaluation import evaluate_tracked, table_of

    for line in table_of(evaluate_tracked(folder, dataset, split=split, out=out)):
        typer.echo(line)


def _compare(folders: list[Path], out: Path | None, *, as_json: bool) -> None:
    from angiova.evaluation.comparing import compare, write_comparison

    comparison = compare(folders)
    if out is not None:
        write_comparison(out, comparison)
    if as_json:
        typer.echo(comparison.model_dump_json(indent=2))
        return
    from angiova.report.comparison import print_comparison

    print_comparison(comparison)


@app.command()
def predict(
    places: Places,
    prompt: Annotated[
        list[str] | None,
        typer.Option(help='What to segment, e.g. --prompt "segment the proximal LAD"; may be repeated.'),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 ...; default: the best there is.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Frames decoded together.")] = 4,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Probability above which a pixel is vessel.")] = 0.5,
    base: Base = None,
    bright_vessels: BrightVessels = False,
) -> None:
    """Segment images: masks as PNG and COCO, overlays and the model's words.

    SOURCE is an image, a folder of images, or a data set.
    """
    from angiova.inference.folder import predict_folder

    model, source, out = model_and_source(places)
    raise typer.Exit(
        predict_folder(
            model,
            source,
            out,
            prompts=prompt or [],
            device=device,
            batch=batch,
            threshold=threshold,
            base=base,
            bright_vessels=bright_vessels,
        )
    )


@app.command()
def info(
    model: Annotated[str, typer.Argument(help="Preset, run or checkpoint folder, or a released Sa2VA folder.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what a model is made of: parts, parameters, bytes and kinds; no weight is loaded."""
    from angiova.model_info import model_info, print_info

    print_info(model_info(model), as_json=json)


@app.command()
def assemble(
    out: Out,
    vlm: Annotated[str, typer.Option(help="InternVL in transformers' layout: a folder or a hub name (...-hf).")],
    sam: Annotated[str, typer.Option(help="SAM2: a folder, a hub name, or Meta's .pt file.")],
    refiner_width: Annotated[
        int, typer.Option(min=0, help="Channels of the refiner's first level; 0 leaves the refiner out.")
    ] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Of the new weights.")] = 0,
) -> None:
    """Join InternVL and SAM2 to an untrained Sa2VA model."""
    from angiova.model.convert.assembling import assemble as run_assembly

    run_assembly(vlm, sam, out, refiner_width=refiner_width or None, seed=seed)
    typer.echo(f"model written to {out}; see `angiova info {out}`")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Model folder, ours or as Sa2VA is released, or a training .pth.")],
    out: Out,
    to: Annotated[str, typer.Option(help="Layout to write: ours or released.")] = "ours",
    base: Annotated[Path | None, typer.Option(help="Folder of the model that a training .pth started from.")] = None,
    lora_alpha: Annotated[float | None, typer.Option(help="LoRA's alpha, when a .pth does not say it.")] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Folder of the tokenizer, when the model's own cannot be read.")
    ] = None,
) -> None:
    """Bring a Sa2VA model from its released layout, or a reference training file, into ours, or back."""
    from angiova.model.convert.converting import convert as run_conversion

    run_conversion(source, out, to=to, base=base, lora_alpha=lora_alpha, tokenizer=tokenizer)
    typer.echo(f"{to} layout written to {out}")


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    language: Annotated[str, typer.Option("--lang", "--language", help="Language shown first: en or zh.")] = "en",
) -> None:
    """Write report.html, report.md, report.json and model_card.md from what the run recorded."""
    from angiova.report.model_card import write_model_card
    from angiova.report.page import write_report

    for path in write_report(run, language=language):
        typer.echo(f"wrote {path}")
    try:
        typer.echo(f"wrote {write_model_card(run)}")
    except DataError as error:  # a run that is not evaluated has a report, and no card
        typer.echo(f"angiova: {error}", err=True)


@app.command()
def audit(
    path: Annotated[Path, typer.Argument(help="Run folder, a folder of somebody else's run, a log, or YAML figures.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compute again what a run states about itself, and list what contradicts; nothing in it is executed.

    Exit code 0: no finding; 3: findings; 1: it cannot be read.
    """
    from angiova.report.audit.auditing import audit as run_audit
    from angiova.report.audit.printing import print_audit

    raise typer.Exit(print_audit(run_audit(path), as_json=json))


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="Folder to write.")] = Path("runs/demo"),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    quick: Annotated[
        bool, typer.Option("--quick", help="Reduced size: shows that everything works, not how well.")
    ] = False,
) -> None:
    """The whole job on simulated patients: simulate, check, split, train, evaluate, predict, report."""
    from angiova.demo import run_demo

    raise typer.Exit(run_demo(out, seed=seed, quick=quick))


app.command()(ask)
app.command()(chat)
app.command()(measure)
app.command()(track)


def main() -> None:
    """Run the command line; failures meant for users become one line and an exit code."""
    try:
        app()
    except AngiovaError as error:
        typer.echo(f"angiova: {error}", err=True)
        sys.exit(error.exit_code)
    except SystemExit as left:
        if left.code != INTERRUPTED:
            raise
        typer.echo("angiova: stopped", err=True)
        sys.exit(ExitCode.FAILED)
