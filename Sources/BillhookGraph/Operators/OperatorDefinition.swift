internal import BillhookTensor

/// Everything that Billhook's graph knows about one ONNX operator.
///
/// To add an operator, write its definition beside its relatives in this folder and list it in
/// ``OperatorTable``.
public struct OperatorDefinition: Sendable {
  /// The operator's name in ONNX, such as `Conv`.
  public let name: String
  /// How many inputs a node may have; those after the lower bound are optional.
  public let inputCount: ClosedRange<Int>
  /// How many outputs a node may have; those after the lower bound are optional.
  public let outputCount: ClosedRange<Int>
  /// The attributes that a node may have.
  public let attributes: [AttributeDefinition]

  /// Computes the types of all `outputCount.upperBound` outputs.
  ///
  /// It checks everything that `evaluate` relies on; a graph from outside meets it first.
  let infer: @Sendable (NodeContext) throws(GraphError) -> [ValueType]
  /// Computes the outputs that ``infer`` promised, in plain loops.
  let evaluate: @Sendable (NodeContext, [ValueType]) throws(GraphError) -> [Tensor]

  init(
    _ name: String, inputs: ClosedRange<Int>, outputs: ClosedRange<Int> = 1...1,
    attributes: [AttributeDefinition] = [],
    infer: @escaping @Sendable (NodeContext) throws(GraphError) -> [ValueType],
    evaluate: @escaping @Sendable (NodeContext, [ValueType]) throws(GraphError) -> [Tensor]
  ) {
    self.name = name
    inputCount = inputs
    outputCount = outputs
    self.attributes = attributes
    self.infer = infer
    self.evaluate = evaluate
  }
}

/// An attribute that an operator may have.
public struct AttributeDefinition: Sendable, Equatable {
  public enum Kind: String, Sendable {
    case float, int, string, tensor, floats, ints, strings
  }

  public let name: String
  public let kind: Kind
  public let isRequired: Bool

  init(_ name: String, _ kind: Kind, required: Bool = false) {
    self.name = name
    self.kind = kind
    isRequired = required
  }
}

extension Attribute {
  /// The attribute's kind; nil for those that are only carried through.
  public var kind: AttributeDefinition.Kind? {
    switch self {
    case .float: .float
    case .int: .int
    case .string: .string
    case .tensor: .tensor
    case .floats: .floats
    case .ints: .ints
    case .strings: .strings
    case .opaque: nil
    }
  }
}
