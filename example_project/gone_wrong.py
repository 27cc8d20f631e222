"""`python gone_wrong.py`: export the trained digits in six wrong ways, each seen in real projects.

Every export loads, runs and answers with probabilities. `pytest gone_wrong` fails on each and says why.
"""

from pathlib import Path

import tensorflow.compat.v1 as tf
from digits.export import freeze, restore_averaged
from digits.model import EMA_DECAY, build, image_placeholder, network

PROJECT = Path(__file__).parent
CHECKPOINT = PROJECT / "artifacts" / "model.ckpt-400"
OLDER_CHECKPOINT = PROJECT / "artifacts" / "model.ckpt-200"
FOLDER = PROJECT / "gone_wrong"


def bn_training_mode(session, frozen_graph):
    """Dropout was remembered, batch norm was not: it normalises with whatever batch comes in."""
    network(image_placeholder(), training=True, dropout=0)
    restore_averaged(session, CHECKPOINT)
    freeze(session, frozen_graph)


def statistics_not_saved(session, frozen_graph):
    """A checkpoint saved with the trainable variables alone: the moving statistics are not in it."""
    build()
    initialise = tf.global_variables_initializer()
    restore_averaged(session, CHECKPOINT)
    saver = tf.train.Saver(tf.trainable_variables())
    slim_checkpoint = saver.save(session, str(FOLDER / "trainables.ckpt"))

    session.run(initialise)  # hides that something is missing
    saver.restore(session, slim_checkpoint)
    freeze(session, frozen_graph)


def ema_raw(session, frozen_graph):
    """The averages were trained and saved, and then the raw weights were restored."""
    build()
    tf.train.Saver().restore(session, str(CHECKPOINT))
    freeze(session, frozen_graph)


def ema_on_statistics(session, frozen_graph):
    """The averages of the moving statistics were restored too: averages of averages."""
    build()
    ema = tf.train.ExponentialMovingAverage(EMA_DECAY)
    names = ema.variables_to_restore(tf.global_variables())
    tf.train.Saver(names).restore(session, str(CHECKPOINT))
    freeze(session, frozen_graph)


def rebuilt_and_imported(session, frozen_graph):
    """The network was built and then imported as well: the checkpoint went into the copy."""
    build()
    saver = tf.train.import_meta_graph(f"{CHECKPOINT}.meta")
    session.run(tf.global_variables_initializer())
    saver.restore(session, str(CHECKPOINT))
    freeze(session, frozen_graph)


def stale_step(session, frozen_graph):
    """Exported before the training was over, and never again."""
    build()
    restore_averaged(session, OLDER_CHECKPOINT)
    freeze(session, frozen_graph)


EXPORTS = (
    bn_training_mode,
    statistics_not_saved,
    ema_raw,
    ema_on_statistics,
    rebuilt_and_imported,
    stale_step,
)

if __name__ == "__main__":
    tf.logging.set_verbosity(tf.logging.ERROR)
    for wrong_export in EXPORTS:
        frozen_graph = FOLDER / f"{wrong_export.__name__}.pb"
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(1)
            wrong_export(session, frozen_graph)
        print(f"{frozen_graph.relative_to(PROJECT)}: {wrong_export.__doc__}")
    print(f"See what failure looks like: pytest {FOLDER}")
