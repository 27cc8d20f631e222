"""Files as plain data: GraphDef, MetaGraphDef, tensor bundles, protobuf."""
