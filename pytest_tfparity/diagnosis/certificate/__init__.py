"""Whether the weights of an export are the reference's, as far as the types of its file can hold them."""
