"""The app ``faster-rcnn``, which combines the commands of this folder."""

from __future__ import annotations

from typing import Literal

from cyclopts import App

from faster_rcnn._version import __version__
from faster_rcnn.cli.benchmark import benchmark
from faster_rcnn.cli.check import check
from faster_rcnn.cli.compare import compare
from faster_rcnn.cli.config import config
from faster_rcnn.cli.convert import convert
from faster_rcnn.cli.demo import demo
from faster_rcnn.cli.doctor import doctor
from faster_rcnn.cli.evaluate import evaluate
from faster_rcnn.cli.explain import explain
from faster_rcnn.cli.export import export
from faster_rcnn.cli.import_weights import import_weights
from faster_rcnn.cli.predict import predict
from faster_rcnn.cli.proposals import proposals
from faster_rcnn.cli.quantize import quantize
from faster_rcnn.cli.recall import recall
from faster_rcnn.cli.serve import serve
from faster_rcnn.cli.train import train

app = App(
    name="faster-rcnn",
    help="Faster R-CNN: train, evaluate and run the two-stage object detector.",
    help_epilogue=(
        "With any command, --quiet (-q) shows only warnings, errors and results, --verbose (-v) shows more, and "
        "--debug shows the traceback of an error."
    ),
    version=__version__,
    version_flags=("--version", "-V"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # main() distinguishes Ctrl-C from SIGTERM
)

for command in (
    benchmark,
    check,
    compare,
    config,
    convert,
    demo,
    doctor,
    evaluate,
    explain,
    export,
    proposals,
    quantize,
    recall,
    serve,
    train,
):
    app.command(command)
app.command(import_weights, name="import")
app.command(predict, usage="Usage: faster-rcnn predict [OPTIONS] MODEL SOURCE...")


@app.command
def completion(shell: Literal["bash", "zsh", "fish", "powershell"], /) -> int:
    """Print the script with which a shell completes commands and options; --install-completion installs it.

    Args:
        shell: Shell for which the script is.
    """
    print(app.generate_completion(prog_name="faster-rcnn", shell=shell))
    return 0


app.register_install_completion_command(help="Install completion of commands and options in the running shell.")
