"""The command line: words to calls."""

from __future__ import annotations

import argparse
import io
import json
import os
import shlex
import sys
from _thread import interrupt_main
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from threading import Timer
from typing import Any

from tinycnn import __version__
from tinycnn.device import check_device, shortage
from tinycnn.errors import InputError
from tinycnn.kernels import compilation
from tinycnn.kernels.memory import keep_freed_memory, peak_memory


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit code: 0 done, 1 a gradient is wrong, 2 wrong input, 130
    interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack ± or a file name's letters
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    keep_freed_memory()  # the process is this command's own
    compilation.tell(_announce_compilation)
    code = 0
    try:
        with _every_interruption():
            code = options.command(options) or 0
        sys.stdout.flush()
    except InputError as error:
        return _complain(str(error))
    except MemoryError as error:
        return _complain(shortage(error) or f"out of memory: {error}")
    except KeyboardInterrupt as error:
        print(f"\ntinycnn: interrupted{error}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `tinycnn … | head`
        _drop_output()
    except OSError as error:  # standard output goes to a full disk, …
        _drop_output()
        return _complain(f"{error.filename or 'output'}: {error.strerror or error}")
    return code


@contextmanager
def _every_interruption() -> Iterator[None]:
    """Python drops an interruption that comes while a `__del__` runs; here it comes once more."""
    hook = sys.unraisablehook

    def again(unraisable: Any) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            Timer(0.01, interrupt_main).start()  # at once, it would be dropped again: by this hook
        else:
            hook(unraisable)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _announce_compilation() -> None:
    from tqdm import tqdm  # a bar of its may stand where the line goes

    line = "compiling the kernels for this machine, once: some ten seconds"
    tqdm.write(line, file=sys.stderr)


def _complain(trouble: str) -> int:
    """Say what is wrong, in one line; gives the exit code."""
    print(f"tinycnn: {trouble}".replace("\n", " "), file=sys.stderr)
    return 2


def _drop_output() -> None:
    """Let the interpreter not try again, as it ends, to write what could not be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def train(options: argparse.Namespace) -> None:
    """Train a network, or go on with an interrupted run."""
    from tinycnn.checkpoint import Run
    from tinycnn.microcalc import job

    try:
        if options.resume:
            _refuse_beside_resume(options)
            best = job.resume(options.out, options.device)
        else:
            if options.data is None:
                print("no --data: simulating patches", file=sys.stderr)
            data = options.data, options.case_pattern
            best = job.train(options.out, _recipe(options), *data, options.device)
    except KeyboardInterrupt:
        if not Run(options.out).exists():
            raise
        command = f"tinycnn train --resume --out {shlex.quote(options.out)}"
        raise KeyboardInterrupt(f"; `{command}` goes on") from None
    print(
        f"best epoch {best['epoch']}: validation AUC {best['val_auc']:.3f}, "
        f"accuracy {best['val_accuracy']:.3f}\n"
        f"weights in {options.out}/weights.safetensors, pictures in {options.out}/figures"
    )
    if peak := peak_memory():
        print(f"peak memory {peak / 2**20:.0f} MiB")


def evaluate(options: argparse.Namespace) -> None:
    """Judge a run."""
    from tinycnn.microcalc import evaluation

    result = evaluation.evaluate(options.run, options.data, options.case_pattern)
    _tell(options, result.as_dict(), str(result))


def compare(options: argparse.Namespace) -> None:
    """Judge several runs on the same images."""
    from tinycnn.microcalc import evaluation

    results = evaluation.compare(options.runs, options.data, options.case_pattern)
    if options.figure:
        from tinycnn import plot

        curves = {r.run: (r.labels, r.probabilities) for r in results}
        plot.save(plot.compare_rocs(curves), options.figure)
        print(f"ROC curves in {options.figure}", file=sys.stderr)
    _tell(options, [r.as_dict() for r in results], evaluation.side_by_side(results))


def predict(options: argparse.Namespace) -> None:
    """Print a probability a line."""
    from tinycnn.microcalc.evaluation import predict

    for path, p in zip(options.images, predict(options.run, options.images), strict=True):
        print(f"{p:.6f}  {path}")


def repeat(options: argparse.Namespace) -> None:
    """Train several times over different splits."""
    from tinycnn.microcalc import repetition, source

    check_device(options.device)
    recipe = _recipe(options)
    patches = source.for_training(options.data, options.case_pattern, recipe.seed)
    results = []
    for result in repetition.repeat(recipe, patches, options.times, options.device):
        results.append(result)
        line = "  ".join(f"{name} {value:.4f}" for name, value in result.items())
        print(f"{len(results):3}  {line}", file=sys.stderr if options.json else sys.stdout)
    spread = repetition.spread(results)
    lines = [
        f"{name:12} {s['mean']:.4f}" + (f" ± {s['sd']:.4f}" if s["sd"] is not None else "")
        for name, s in spread.items()
    ]
    _tell(options, {"times": results, **spread}, "\n".join(lines))


def audit(options: argparse.Namespace) -> None:
    """Look a folder over."""
    from tinycnn.data import CASE_PATTERN, audit, read_folder

    result = audit(read_folder(options.folder, options.case_pattern or CASE_PATTERN))
    _tell(options, result.as_dict(), str(result))


def summary(options: argparse.Namespace) -> None:
    """Print a network as a table."""
    from tinycnn.models import USUAL_SHAPE, build
    from tinycnn.summary import summary

    shape = tuple(options.shape or USUAL_SHAPE.get(options.model, (1, 60, 60)))
    print(summary(build(options.model, shape), shape))


def gradcheck(options: argparse.Namespace) -> int:
    """Prove the library's own derivatives; 1 if one is wrong."""
    from tinycnn.proof import table
    from tinycnn.proof.subjects import chosen

    todo = table.plan(chosen(options.operations), options.backend, options.cases)
    line = table.as_markdown if options.markdown else table.as_text
    found = []
    if not options.json:
        head = table.markdown_head() if options.markdown else [line(table.HEADERS)]
        print("\n".join(head), flush=True)
    for row in table.rows(todo):
        found.append(row)
        if not options.json:
            print(line(table.cells(row)), flush=True)
    wrong = [row for row in found if not row.ok]
    told = [f"\n{row.example}" for row in wrong]
    _tell(options, [row.as_dict() for row in found], "\n".join(["", table.verdict(found), *told]))
    return 1 if wrong else 0


def _recipe(options: argparse.Namespace) -> Any:
    """The recipe that the options ask for."""
    from tinycnn.train import Recipe

    given = {f.name: getattr(options, f.name, None) for f in fields(Recipe)}
    return replace(Recipe(), **{name: value for name, value in given.items() if value is not None})


def _refuse_beside_resume(options: argparse.Namespace) -> None:
    for name in ("model", "epochs", "seed", "batch_size", "augment", "data", "case_pattern"):
        if getattr(options, name) is not None:
            option = name.replace("_", "-")
            raise InputError(f"--resume goes on as the run was begun; it takes no --{option}")


def _tell(options: argparse.Namespace, data: Any, text: str) -> None:
    print(json.dumps(data, indent=2) if options.json else text)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return number


def _add_data(to: argparse.ArgumentParser) -> None:
    to.add_argument("--data", metavar="DIR", help="a folder of images; phantoms by default")
    to.add_argument(
        "--case-pattern",
        metavar="REGEX",
        help="how an image's name tells its case (default: its leading digits)",
    )


def _add_json(to: argparse.ArgumentParser) -> None:
    to.add_argument("--json", action="store_true", help="for a program to read")


def _add_recipe(to: argparse.ArgumentParser) -> None:
    to.add_argument("--model", metavar="NAME", help="the network (default: exercise)")
    to.add_argument("--epochs", type=_positive, metavar="N", help="default: 100")
    to.add_argument("--seed", type=_natural, metavar="N", help="default: 0")
    to.add_argument("--batch-size", type=_positive, metavar="N", help="default: 32")
    to.add_argument(
        "--augment",
        metavar="NAME",
        help="none, symmetries (flips and quarter turns), shifts (symmetries and shifts by up "
        "to two pixels, the default) or exposure (symmetries, gain and offset)",
    )
    to.add_argument(
        "--device", default="cpu", metavar="NAME", help="cpu (the default), cuda, cuda:1, …"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tinycnn", description="Tell microcalcification clusters from normal breast tissue."
    )
    parser.add_argument("--version", action="version", version=f"tinycnn {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(call: Any, help: str) -> argparse.ArgumentParser:
        # argparse formats the one, not the other
        added = commands.add_parser(call.__name__, help=help.replace("%", "%%"), description=help)
        added.set_defaults(command=call)
        return added

    it = command(train, "train a network and keep it in a run folder")
    _add_data(it)
    _add_recipe(it)
    it.add_argument("--out", default="run", metavar="RUN", help="the run folder (default: run)")
    it.add_argument("--resume", action="store_true", help="go on with the interrupted run in RUN")

    it = command(evaluate, "judge a trained network, with 95 % intervals")
    it.add_argument("run", metavar="RUN")
    _add_data(it)
    _add_json(it)

    it = command(predict, "the probability of a cluster in each image")
    it.add_argument("run", metavar="RUN")
    it.add_argument("images", nargs="+", metavar="IMAGE")

    it = command(compare, "judge several trained networks on the same images")
    it.add_argument("runs", nargs="+", metavar="RUN")
    _add_data(it)
    _add_json(it)
    it.add_argument("--figure", metavar="FILE.png", help="draw their ROC curves")

    it = command(repeat, "train several times over different splits: mean ± standard deviation")
    _add_data(it)
    _add_recipe(it)
    it.add_argument("--times", type=_positive, default=5, metavar="K", help="default: 5")
    _add_json(it)

    it = command(audit, "look a folder of images over before trusting it")
    it.add_argument("folder", metavar="DATA")
    it.add_argument("--case-pattern", metavar="REGEX", help="how a name tells its case")
    _add_json(it)

    it = command(summary, "a network's layers: shapes, parameters, cost, receptive fields")
    it.add_argument("model", metavar="MODEL")
    it.add_argument("--shape", type=_positive, nargs=3, metavar=("C", "H", "W"))

    it = command(gradcheck, "prove the library's own derivatives over generated cases")
    it.add_argument(
        "operations", nargs="*", metavar="OP", help="operations, layers or families (default: all)"
    )
    it.add_argument("--backend", choices=("reference", "cpu"), help="default: both")
    it.add_argument("--cases", type=_positive, default=200, metavar="N", help="each; default: 200")
    it.add_argument("--markdown", action="store_true", help="the table for a page")
    _add_json(it)
    return parser


if __name__ == "__main__":
    sys.exit(main())
