"""`python -m digits`: train, then export."""

import shutil
from pathlib import Path

import tensorflow.compat.v1 as tf

from .export import convert_for_browsers, convert_for_phones, export
from .train import STEPS, train

PROJECT = Path(__file__).parent.parent
ARTIFACTS, GOLDENS = PROJECT / "artifacts", PROJECT / "goldens"
FROZEN, SERVED = ARTIFACTS / "digits.pb", ARTIFACTS / "served"

tf.logging.set_verbosity(tf.logging.ERROR)
ARTIFACTS.mkdir(exist_ok=True)
shutil.rmtree(SERVED, ignore_errors=True)
accuracy = train(ARTIFACTS, GOLDENS)
export(ARTIFACTS / f"model.ckpt-{STEPS}", FROZEN, SERVED)
convert_for_phones(FROZEN, GOLDENS / "images.npz", ARTIFACTS / "digits_int8.tflite")
convert_for_browsers(FROZEN, ARTIFACTS / "digits.onnx")
print(f"{accuracy:.1%} of the test images are recognised; wrote the exports into {ARTIFACTS}")
