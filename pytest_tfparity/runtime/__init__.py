"""Everything that needs TensorFlow or the user's own code to run; TensorFlow is imported late."""
