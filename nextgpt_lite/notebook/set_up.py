# Does nothing where nextgpt_lite is installed; on Colab and Kaggle it installs it there.
import importlib.util
import os
import subprocess
import sys
from importlib.metadata import distributions, packages_distributions, version
from pathlib import Path
from tempfile import gettempdir

found = importlib.util.find_spec("nextgpt_lite")
if found is None or found.origin is None:  # a mere folder of that name, such as a clone, has none
    hosted = "google.colab" in sys.modules or "KAGGLE_KERNEL_RUN_TYPE" in os.environ
    source = os.environ.get("NEXTGPT_LITE_SOURCE", hosted and "SOURCE")
    if not source:
        sys.exit(
            "nextgpt_lite is missing: pip install it, or put where it is to be "
            "had into the environment variable NEXTGPT_LITE_SOURCE."
        )
    if Path(source).exists():
        source = Path(source).resolve().as_uri()
    kept = {"torch", "torchvision", "torchaudio", "numpy"}  # made for this machine's driver
    in_use = {name.partition(".")[0] for name in sys.modules}  # by this very session
    owners = packages_distributions().items()
    in_use = {owner for module, names in owners if module in in_use for owner in names}
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "nextgpt-liteEXTRAS @ " + source]
    for names in (kept | in_use, kept):
        pins = {f"{d.name}=={version(d.name)}" for d in distributions() if d.name in names}
        constraints = Path(gettempdir(), "nextgpt_lite_keeps.txt")
        constraints.write_text("\n".join(sorted(pins)), encoding="utf-8")
        done = subprocess.run([*pip, "--constraint", str(constraints)], capture_output=True)
        if not done.returncode:
            break
    if done.returncode:
        sys.exit("pip could not install nextgpt_lite: " + done.stderr.decode())
    if names is kept:
        sys.exit(
            "Packages that this session uses were replaced. Restart it (Runtime > "
            "Restart session, Run > Restart), then run all cells again."
        )
