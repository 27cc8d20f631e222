"""`python -m digits`: train, then export."""

from pathlib import Path

import tensorflow.compat.v1 as tf

from .export import export
from .train import STEPS, train

PROJECT = Path(__file__).parent.parent
ARTIFACTS = PROJECT / "artifacts"

tf.logging.set_verbosity(tf.logging.ERROR)
ARTIFACTS.mkdir(exist_ok=True)
accuracy = train(ARTIFACTS, PROJECT / "goldens")
export(ARTIFACTS / f"model.ckpt-{STEPS}", ARTIFACTS / "digits.pb")
print(f"{accuracy:.1%} of the test images are recognised; wrote {ARTIFACTS / 'digits.pb'}")
