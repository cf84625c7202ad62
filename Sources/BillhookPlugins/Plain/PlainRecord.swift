/// The part of a plugin that one plain function plays.
enum PlainRole: String, Sendable, CaseIterable {
  case scorer, loss, calibrate, quantize, dequantize
}

/// What a plain function's result means.
enum PlainReturn: String, Sendable, CaseIterable {
  /// There is no result, or it says nothing.
  case none
  /// 0 is success.
  case status
  /// Negative is failure.
  case statusNegative = "status-negative"
  /// The loss.
  case value
  /// The score of the element, row or channel.
  case score
  /// The bytes, or elements, that were written; checked.
  case bytes, count
}

/// One function of a library: how it is called.
struct PlainCall: Sendable, Equatable {
  var role: PlainRole
  var signature: PlainSignature
  /// One a parameter, in their order.
  var bindings: [PlainExpression]
  /// As written.
  var bindingTexts: [String]
  var returns: PlainReturn
  /// Whether tensors are converted to the element type that the function wants.
  var converts: Bool

  /// How often the function is called for one call of the hook.
  enum Mode: Sendable { case whole, rows, elements }
  var mode: Mode {
    if bindings.contains(where: { if case .element = $0.target { true } else { false } }) {
      return .elements
    }
    let isRow = bindings.contains {
      switch $0.target {
      case .tensor(let tensor, _): tensor.isRow
      case .integer(.rowIndex), .integer(.rowLabel): true
      default: false
      }
    }
    return isRow ? .rows : .whole
  }

  /// Whether an argument is the data, or a number, of the tensor.
  func uses(_ tensor: PlainTensor) -> Bool {
    bindings.contains {
      switch $0.target {
      case .tensor(tensor, _), .element(tensor): true
      default: false
      }
    }
  }

  func usesData(_ tensor: PlainTensor) -> Bool { bindings.contains { $0.data == tensor } }
}

/// How the integers of a plain quantizer relate to values: `value = scale * (q - zero point)`.
struct PlainLayout: Sendable, Equatable {
  var isSigned: Bool
  var minimum: Int
  var maximum: Int
  var isSymmetric: Bool
  /// One scale an output channel instead of one a tensor.
  var isPerChannel: Bool
}

/// A block format: `values` numbers of a row become `bytes` bytes.
struct PlainBlock: Sendable, Equatable {
  var values: Int
  var bytes: Int
}

/// A scorer, loss or quantizer made of functions of a library that knows nothing of Billhook.
struct PlainPlugin: Sendable, Equatable {
  var id: String
  var name: String
  var summary: String
  var doc: String
  var hook: PluginDescriptor.Hook
  /// One for a scorer or a loss; quantize and dequantize, and perhaps calibrate, of a quantizer.
  var calls: [PlainCall]
  var parameters: [ParameterDescriptor]
  var capabilities: Capabilities
  /// Of a scorer.
  var granularities: [Granularity]
  /// Of a quantizer with a packed format of its own.
  var block: PlainBlock?
  /// Of a quantizer with integers.
  var layout: PlainLayout?

  func call(_ role: PlainRole) -> PlainCall? { calls.first { $0.role == role } }
}

/// A manifest, or an inline form: one library and its plugins.
struct PlainRecord: Sendable, Equatable {
  /// As written: a path, or a name that the dynamic loader knows, as `libm.so.6`.
  var library: String
  /// The file must have it when it is given.
  var sha256: String?
  var version: String
  var vendor: String
  var license: String
  var url: String
  var plugins: [PlainPlugin]
}
