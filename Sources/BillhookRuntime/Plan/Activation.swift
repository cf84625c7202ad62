internal import BillhookGraph
internal import BillhookKernels
internal import BillhookTensor

/// An element-wise function that can be fused behind a layer.
enum Activation: Equatable {
  case none
  case relu
  case clip(low: Float, high: Float)
  case sigmoid

  /// The activation that a node is, or nil when it is none that can be fused (a `Clip` whose bounds
  /// are computed, say).
  init?(_ node: Node, constant: (String) -> Tensor?) {
    switch node.op {
    case "Relu": self = .relu
    case "Sigmoid": self = .sigmoid
    case "Clip":
      var bounds: (Float, Float) = (-.greatestFiniteMagnitude, .greatestFiniteMagnitude)
      bounds.0 = node.float("min", default: bounds.0)
      bounds.1 = node.float("max", default: bounds.1)
      for (index, name) in [(1, node.input(1)), (2, node.input(2))] {
        guard let name else { continue }
        guard let bound = constant(name)?.floats().first else { return nil }
        if index == 1 { bounds.0 = bound } else { bounds.1 = bound }
      }
      self = .clip(low: bounds.0, high: bounds.1)
    default: return nil
    }
  }

  var kernelForm: bh_activation {
    switch self {
    case .none: bh_activation(kind: BH_ACTIVATION_NONE, low: 0, high: 0)
    case .relu: bh_activation(kind: BH_ACTIVATION_RELU, low: 0, high: 0)
    case .clip(let low, let high): bh_activation(kind: BH_ACTIVATION_CLIP, low: low, high: high)
    case .sigmoid: bh_activation(kind: BH_ACTIVATION_SIGMOID, low: 0, high: 0)
    }
  }
}
