internal import BillhookTensor

/// Everything that Billhook's graph knows about one ONNX operator.
///
/// To add an operator, write its definition beside its relatives in this folder and list it in the
/// family at the head of that file.
public struct OperatorDefinition: Sendable {
  /// The operator's name in ONNX, such as `Conv`.
  public let name: String
  /// How many inputs a node may have; those after the lower bound are optional.
  public let inputCount: ClosedRange<Int>
  /// How many outputs a node may have; those after the lower bound are optional.
  public let outputCount: ClosedRange<Int>
  /// The attributes that a node may have.
  public let attributes: [AttributeDefinition]
  /// What the outputs depend on.
  let dependence: Dependence

  /// Computes the types of the outputs, at least of those that the node has.
  ///
  /// It checks everything that `evaluate` relies on; a graph from outside meets it first. A shape
  /// that depends on an input that is not constant is ``GraphError/notConstant(op:node:value:)``.
  let infer: @Sendable (NodeContext) throws(GraphError) -> [ValueType]
  /// Computes the outputs that ``infer`` promised, in plain loops.
  let evaluate: @Sendable (NodeContext, [ValueType]) throws(GraphError) -> [Tensor]

  /// What the outputs of an operator depend on besides its attributes.
  enum Dependence {
    /// The elements of the inputs.
    case values
    /// Only the types of the inputs, as those of Shape do.
    case types
    /// The inputs and a subgraph, whose values must be computed to know the outputs' types.
    case subgraphs
    /// The position in a random stream: the outputs differ from run to run.
    case randomness
  }

  init(
    _ name: String, inputs: ClosedRange<Int>, outputs: ClosedRange<Int> = 1...1,
    attributes: [AttributeDefinition] = [], dependence: Dependence = .values,
    infer: @escaping @Sendable (NodeContext) throws(GraphError) -> [ValueType],
    evaluate: @escaping @Sendable (NodeContext, [ValueType]) throws(GraphError) -> [Tensor]
  ) {
    self.name = name
    inputCount = inputs
    outputCount = outputs
    self.attributes = attributes
    self.dependence = dependence
    self.infer = infer
    self.evaluate = evaluate
  }
}

/// An attribute that an operator may have.
public struct AttributeDefinition: Sendable, Equatable {
  public enum Kind: String, Sendable {
    case float, int, string, tensor, floats, ints, strings, graph
  }

  public let name: String
  public let kind: Kind
  public let isRequired: Bool

  static func float(_ name: String) -> Self { Self(name: name, kind: .float, isRequired: false) }
  static func int(_ name: String, required: Bool = false) -> Self {
    Self(name: name, kind: .int, isRequired: required)
  }
  static func string(_ name: String, required: Bool = false) -> Self {
    Self(name: name, kind: .string, isRequired: required)
  }
  static func tensor(_ name: String) -> Self { Self(name: name, kind: .tensor, isRequired: false) }
  static func floats(_ name: String, required: Bool = false) -> Self {
    Self(name: name, kind: .floats, isRequired: required)
  }
  static func ints(_ name: String, required: Bool = false) -> Self {
    Self(name: name, kind: .ints, isRequired: required)
  }
  static func strings(_ name: String) -> Self {
    Self(name: name, kind: .strings, isRequired: false)
  }
  static func graph(_ name: String) -> Self { Self(name: name, kind: .graph, isRequired: true) }
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
    case .graph: .graph
    case .opaque: nil
    }
  }
}
