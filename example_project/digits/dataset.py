"""The digits of scikit-learn: 1797 images of 8x8 pixels, shuffled once and split."""

import numpy as np
from sklearn.datasets import load_digits

TRAINING_SIZE = 1500


def load():
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    images = (digits.images[order, :, :, np.newaxis] / 16).astype(np.float32)
    labels = digits.target[order].astype(np.int32)
    training = images[:TRAINING_SIZE], labels[:TRAINING_SIZE]
    test = images[TRAINING_SIZE:], labels[TRAINING_SIZE:]
    return training, test
