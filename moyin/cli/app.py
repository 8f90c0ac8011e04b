"""The command line: one verb a function, which parses and hands on.

Heavy modules are imported inside the verbs, so that `moyin --help` answers at once.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Moyin (墨印): train and run hybrid autoregressive-diffusion image generators.",
)

Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")]
Loras = Annotated[
    list[str] | None, typer.Option(metavar="PATH[=WEIGHT]", help="A LoRA; again for more.")
]
Merged = Annotated[bool, typer.Option("--merge", help="LoRAs into the weights: no slower then.")]
Count = Annotated[int, typer.Option(min=1, help="How many images, each a layout of its own.")]
Seed = Annotated[int, typer.Option(help="One seed is one image, on every backend.")]
Steps = Annotated[int | None, typer.Option(help="Of the flow.")]
Sampler = Annotated[str | None, typer.Option(help="Of the flow: euler or ab2.")]
Guidance = Annotated[float | None, typer.Option(help="1 is none.")]
SaveIds = Annotated[Path | None, typer.Option(help="Keep the semantic tokens here.")]
Temperature = Annotated[float | None, typer.Option(help="Of the ids; 0 is greedy.")]
TopP = Annotated[float | None, typer.Option("--top-p", help="Of the ids.")]
TopK = Annotated[int | None, typer.Option("--top-k", help="Of the ids; 0 is all.")]
IdsGuidance = Annotated[
    float | None, typer.Option("--ids-guidance", help="Of the ids, twice the work; 1 is none.")
]
Kind = Annotated[str | None, typer.Option(help="float32 or bfloat16.")]
Weights = Annotated[
    str | None, typer.Option(help="int8 or int4: generator and decoder packed while read.")
]
Offload = Annotated[
    bool, typer.Option("--offload", help="One network in memory at a time: slower, for little.")
]
Compiled = Annotated[
    bool, typer.Option("--compile", help="The decoder's blocks first: pays for several images.")
]
Others = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any other setting; again for more."),
]
Rewrite = Annotated[
    str | None, typer.Option(metavar="URL", help="A chat endpoint that enlarges the prompt first.")
]
RewriteModel = Annotated[str | None, typer.Option(metavar="NAME", help="What --rewrite asks.")]
Place = Annotated[str | None, typer.Option(help="Folder or hub id; the embedded one if absent.")]


def _changes(named: dict[str, Any], others: list[str] | None) -> dict[str, Any]:
    """Fields of `GenerationConfig` that options or --set give."""
    from moyin.inference.pipeline import GenerationConfig
    from moyin.recipes.overrides import apply

    found = {name: value for name, value in named.items() if value is not None}
    made = apply(GenerationConfig(), others or [])
    for other in others or []:
        key = other.partition("=")[0]
        if key in found:
            raise ValueError(f"--set {other}: {key} has an option of its own, and both are given")
        found[key] = getattr(made, key)
    return found


@app.command()
def generate(
    prompt: Annotated[str | None, typer.Argument(help="What the image shows.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT, multiples of 32.")] = None,
    n: Count = 1,
    seed: Seed = 0,
    steps: Steps = None,
    sampler: Sampler = None,
    guidance: Guidance = None,
    checkpoint: Place = None,
    lora: Loras = None,
    merge: Merged = False,
    out: Annotated[Path | None, typer.Option(help="image.png; a folder with --prompts.")] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(help="JSON lines, an image each: id, prompt, images, size, seed, settings."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Rows of --prompts drawn together.")] = 1,
    save_ids: SaveIds = None,
    from_ids: Annotated[Path | None, typer.Option(help="Decode these, write none.")] = None,
    no_preview: Annotated[bool, typer.Option("--no-preview", help="No small image first.")] = False,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    ids_guidance: IdsGuidance = None,
    dtype: Kind = None,
    weights: Weights = None,
    offload: Offload = False,
    compiled: Compiled = False,
    others: Others = None,
    rewrite: Rewrite = None,
    rewrite_model: RewriteModel = None,
) -> None:
    """Draw an image from a sentence, or one for each row of a file."""
    from moyin.cli import generate

    changes = {
        "steps": steps,
        "sampler": sampler,
        "guidance": guidance,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "ids_guidance": ids_guidance,
        "preview": False if no_preview else None,
    }
    request = generate.Arguments(
        prompt=prompt,
        size=size,
        changes=_changes(changes, others),
        n=n,
        seed=seed,
        checkpoint=checkpoint,
        loras=generate.weights(lora or []),
        merged=merge,
        dtype=dtype,
        weights=weights,
        offload=offload,
        compiled=compiled,
        out=out,
        prompts=prompts,
        batch=batch,
        save_ids=save_ids,
        from_ids=from_ids,
        rewriter=generate.rewriter(rewrite, rewrite_model),
    )
    generate.run(request)


@app.command()
def edit(
    prompt: Annotated[str, typer.Argument(help="What is to become of the images.")],
    image: Annotated[list[Path], typer.Option(help="An image to edit; again for more.")],
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT; the first image's.")] = None,
    n: Count = 1,
    seed: Seed = 0,
    steps: Steps = None,
    sampler: Sampler = None,
    guidance: Guidance = None,
    checkpoint: Place = None,
    lora: Loras = None,
    merge: Merged = False,
    out: Annotated[Path | None, typer.Option(help="image.png if absent.")] = None,
    save_ids: SaveIds = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    ids_guidance: IdsGuidance = None,
    dtype: Kind = None,
    weights: Weights = None,
    offload: Offload = False,
    compiled: Compiled = False,
    others: Others = None,
    rewrite: Rewrite = None,
    rewrite_model: RewriteModel = None,
) -> None:
    """Draw an image from a sentence and one or more images."""
    from moyin.cli import generate

    changes = {
        "steps": steps,
        "sampler": sampler,
        "guidance": guidance,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "ids_guidance": ids_guidance,
    }
    request = generate.Arguments(
        prompt=prompt,
        images=tuple(image),
        size=size,
        changes=_changes(changes, others),
        n=n,
        seed=seed,
        checkpoint=checkpoint,
        loras=generate.weights(lora or []),
        merged=merge,
        dtype=dtype,
        weights=weights,
        offload=offload,
        compiled=compiled,
        out=out,
        save_ids=save_ids,
        rewriter=generate.rewriter(rewrite, rewrite_model),
    )
    generate.run(request)


@app.command()
def prepare(
    recipe: str,
    out: Annotated[Path, typer.Option(help="The dataset's folder; goes on where it stopped.")],
    overrides: Overrides = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A Ray cluster that does the work.")
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Write OUT/report.html: what was dropped and why.")
    ] = False,
) -> None:
    """Make a dataset of training images: render them, or filter what inputs=FOLDER holds."""
    from moyin.recipes import find
    from moyin.recipes.overrides import apply
    from moyin.recipes.prepare import prepared

    dataset = prepared(apply(find(recipe)(), overrides or []), out, ray)
    if report:
        from moyin.data.report import write

        print(write(dataset))


@app.command()
def train(
    recipe: str,
    overrides: Overrides = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only what it needs, on mesh=64xAscend910B for one.")
    ] = False,
) -> None:
    """Train one stage: train RECIPE out=DIR data=DATASET seed=0; starts again where it stopped."""
    from moyin.backend import distributed
    from moyin.recipes import find
    from moyin.recipes.overrides import apply

    if dry_run:
        from moyin.train.estimate import Mesh, lines

        meshes = [o for o in overrides or [] if o.startswith("mesh=")]
        training = apply(find(recipe)(), [o for o in overrides or [] if o not in meshes])
        for line in lines(training, Mesh.parse(meshes[-1][5:] if meshes else "1xCPU")):
            print(line)
        return
    from moyin.train.trainer import Interrupted, run

    try:
        written = run(apply(find(recipe)(), overrides or []))
        if distributed.rank() == 0:
            print(written)
    except Interrupted as e:
        raise typer.Exit(_told(str(e), 130)) from None


@app.command()
def evaluate(
    suite: str,
    out: Annotated[Path, typer.Option(help="The report's folder; goes on where it stopped.")],
    checkpoint: Place = None,
    images: Annotated[Path | None, typer.Option(help="A folder of finished images.")] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="An OpenAI-compatible images API.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="What --endpoint asks.")] = None,
    limit: Annotated[int | None, typer.Option(help="Only so many prompts, drawn by lot.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Images a prompt.")] = None,
    overrides: Overrides = None,
) -> None:
    """Score how a model writes: cvtg, longtext-en, longtext-zh, oneig-en, oneig-zh, one-character,
    posters, gates, nano-50, wording-50, lines-50, brief-50 or edits-50."""
    from moyin.evaluate.options import Options
    from moyin.evaluate.runner import EvaluationConfig, run
    from moyin.recipes.overrides import apply

    request = EvaluationConfig(
        suite=suite,
        out=out,
        checkpoint=checkpoint,
        images=images,
        endpoint=endpoint,
        model=model,
        limit=limit,
        seeds=seeds,
        options=apply(Options(), overrides or []),
    )
    print(run(request))


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A report's folder.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another of the same suite.")],
) -> None:
    """Whether B's images score higher than A's, prompt by prompt, and how surely."""
    from moyin.evaluate import compare as comparing

    comparing.show(comparing.compare(first, second))


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="The new folder.")],
    dataset: Annotated[
        Path | None, typer.Argument(help="A dataset; a checkpoint if absent.")
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="webdataset, parquet or mindrecord.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="int8 or int4, of a checkpoint's generator and decoder.")
    ] = None,
    checkpoint: Place = None,
) -> None:
    """Write a checkpoint anew with packed weights, or a dataset for others: DATASET --format …"""
    from moyin.inference.output import check_writable

    if dataset is not None:
        from moyin.dataset.export import export_dataset

        if form is None or weights is not None or checkpoint is not None:
            raise ValueError("of a dataset, export takes --format and --out, nothing else")
        check_writable(out / "part")
        print(export_dataset(dataset, out, form))
        return
    if weights is None or form is not None:
        raise ValueError("export takes a dataset and --format, or --weights for a checkpoint")
    from moyin.checkpoint.export import export as write
    from moyin.checkpoint.folder import Checkpoint
    from moyin.inference.progress import bars

    if not out.exists():  # what is there, export refuses in its own words
        check_writable(out)
    with bars() as progress:

        def told(done: int, total: int) -> None:
            progress("tensors", done, total)

        print(write(Checkpoint.open(checkpoint), out, weights, told))


@app.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="What moyin export made of a dataset.")],
    out: Annotated[Path, typer.Option(help="The dataset's folder; goes on where it stopped.")],
) -> None:
    """Make a dataset again from what moyin export made of it."""
    from moyin.dataset.export import import_dataset

    print(import_dataset(path, out).path)


@app.command()
def inspect(path: Path) -> None:
    """What a dataset, a checkpoint or a training state is; the last line digests its content."""
    from moyin.cli.inspect import report

    for line in report(path):
        print(line)


@app.command()
def doctor(
    checkpoint: Annotated[
        str | None, typer.Option(help="What this one's images take in memory, before loading.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of an image.")] = None,
) -> None:
    """What this machine can run, what is missing, and the command that mends it."""
    from moyin.cli.doctor import show

    show(checkpoint, size)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. A user's fault is one line on stderr and exit code 2."""
    try:
        return int(app(arguments, standalone_mode=False) or 0)
    except KeyboardInterrupt:
        return _told("stopped", 130)
    except ValueError as e:
        return _told(str(e), 2)
    except ModuleNotFoundError as e:
        if (e.name or "").startswith("moyin"):
            raise
        return _told(str(e), 2)
    except OSError as e:
        full = e.errno in (errno.ENOSPC, errno.EDQUOT)
        if full and e.strerror != os.strerror(e.errno or 0):  # our own words, which say what to do
            return _told(str(e.strerror), 2)
        return _told(f"no room on disk: free some and start again ({e})" if full else str(e), 2)
    except Exception as e:
        if _is_out_of_memory(e):
            return _told(
                "memory ran out: draw with --offload, --weights int4 or a smaller size (moyin "
                "doctor --checkpoint says what fits); train with a smaller batch",
                2,
            )
        return _usage(e)


def _is_out_of_memory(error: Exception) -> bool:
    """The framework's allocators raise RuntimeError, which their words alone tell from others."""
    words = ("can't allocate memory", "out of memory")
    told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return told or isinstance(error, MemoryError)


def _usage(error: Any) -> int:
    """typer's own complaints; anything else is ours and keeps its traceback."""
    if not hasattr(error, "format_message"):
        raise error
    return _told(error.format_message(), 2)


def _told(message: str, code: int) -> int:
    print(f"moyin: {' '.join(message.split())}", file=sys.stderr)
    return code
