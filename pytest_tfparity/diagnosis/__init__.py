"""From a divergence to a cause: whose weights an export holds, and what is wrong with a checkpoint."""
