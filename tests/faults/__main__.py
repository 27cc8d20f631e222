"""Print the table of the corpus; the exit status says whether every case is as expected."""

import sys

import tensorflow as tf

from faults.cases import CASES
from faults.corpus import table

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
words = " ".join(sys.argv[1:])
sys.exit(1 if table([case for case in CASES if words in case.name]) else 0)
