"""What only the checkpoint itself shows: both sides agree, and both are wrong (see ``diagnosis/health``)."""

from __future__ import annotations

from collections.abc import Iterable

from ..cause import Cause, Page, Suspicion
from ..evidence import Evidence


class NeverUpdated(Cause):
    """Moving statistics that training never touched. A warning of health: no difference comes of it."""

    id = "bn-stats-never-updated"
    title = "batch norm statistics that training never updated"
    page = Page(
        what=(
            "The moving mean is still exactly 0 and the moving variance exactly 1 after training. Export and"
            " checkpoint agree, and both are wrong: training looks good, because it normalises with the statistics"
            " of the batch, and inference is no better than guessing."
        ),
        how=(
            "`optimizer.minimize(loss)` does not run the update ops of `tf.layers.batch_normalization`, slim or"
            " contrib; they stand in the collection `UPDATE_OPS`. Or only those of one scope are run: the"
            " generator's and not the discriminator's, one tower's and not the other's."
        ),
        proof=(
            "The checkpoint alone shows it: statistics at exactly their initial values beside a global step"
            " above 0 and trained weights. Nothing can be repaired from the files: the statistics were never measured."
        ),
        fix=(
            "Run the updates with the training step: `with"
            " tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)): train_op ="
            " optimizer.minimize(loss)`. Statistics of a finished run can be estimated by forward passes in"
            " training mode."
        ),
        links=(
            "https://github.com/tensorflow/tensorflow/issues/3926",
            "https://github.com/tensorflow/tensorflow/issues/11965",
            "https://github.com/YunYang1994/tensorflow-yolov3/issues/23",
            "https://github.com/davidsandberg/facenet/issues/56",
        ),
    )

    def find(self, evidence: Evidence) -> Iterable[Suspicion]:
        return ()


UNSOUND: tuple[Cause, ...] = (NeverUpdated(),)
