internal import BillhookGraph
internal import BillhookPlugins
internal import BillhookTensor

/// The graph's layers, under a name that the records' own `Layer` types do not hide.
typealias WeightedLayer = Layer

extension Layer {
  var name: String { node }
  var outputChannels: Int { shape[outAxis] }

  /// The axis of the input and the output that holds channels; below 0 it counts from the back.
  var channelAxis: Int { op == "MatMul" ? -1 : 1 }

  func context(_ index: Int) -> LayerContext {
    LayerContext(
      role: .weight, index: index, name: name, op: op, outAxis: outAxis, inAxis: inAxis,
      groups: groups)
  }
}

extension Graph {
  /// The layers that read an activation and have a floating-point weight.
  func weightedLayers() throws(GraphError) -> [WeightedLayer] {
    try layers().filter { layer in
      constant(layer.input) == nil
        && constant(layer.weight)?.elementType.isFloatingPoint == true
    }
  }
}
