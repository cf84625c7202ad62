public import BillhookTensor
public import OrderedCollections

/// A network: nodes in an order in which they can be computed, and the tensors they start from.
///
/// The words are ONNX's. A graph knows no file format: what a format carries beyond this model
/// travels in the `opaque` bytes, which only ``BillhookFormats`` reads and writes.
public struct Graph: Sendable {
  public var name: String
  public var docString: String
  /// What a caller feeds; initializers that a file lists as inputs too are not among them.
  public var inputs: [ValueInfo]
  public var outputs: [ValueInfo]
  /// In topological order; ``verify()`` checks it.
  public var nodes: [Node]
  /// Constant tensors by name, in file order.
  public var initializers: OrderedDictionary<String, Initializer>
  /// Types and shapes that the file states for inner values.
  public var valueInfos: [ValueInfo]
  /// Operator set versions by domain; the default domain is "".
  public var opsets: OrderedDictionary<String, Int>
  public var irVersion: Int
  /// Free text by key, in file order. Keys of our own start with `billhook.`.
  public var metadata: OrderedDictionary<String, String>
  /// What the file format holds beyond this model, preserved as bytes.
  public var opaque: [UInt8]

  public init(
    name: String, inputs: [ValueInfo] = [], outputs: [ValueInfo] = [], nodes: [Node] = [],
    initializers: OrderedDictionary<String, Initializer> = [:], opset: Int = 17,
    irVersion: Int = 8
  ) {
    self.name = name
    docString = ""
    self.inputs = inputs
    self.outputs = outputs
    self.nodes = nodes
    self.initializers = initializers
    valueInfos = []
    opsets = ["": opset]
    self.irVersion = irVersion
    metadata = [:]
    opaque = []
  }

  /// The version of the default operator set.
  public var opset: Int { opsets[""] ?? opsets["ai.onnx"] ?? 0 }
}

/// A constant tensor of a graph.
public struct Initializer: Sendable {
  public var tensor: Tensor
  public var docString: String
  /// The name of the file beside the model that held the tensor; nil for the model's own file.
  public var file: String?
  public var opaque: [UInt8]

  public init(_ tensor: Tensor, docString: String = "", opaque: [UInt8] = []) {
    self.tensor = tensor
    self.docString = docString
    self.opaque = opaque
  }
}

/// One operation.
public struct Node: Sendable {
  public var name: String
  /// The operator's name, such as `Conv`.
  public var op: String
  /// The operator's domain; "" is ONNX's own, and so is "ai.onnx".
  public var domain: String
  /// Names of values; "" stands for an optional input that is left out.
  public var inputs: [String]
  public var outputs: [String]
  public var attributes: OrderedDictionary<String, Attribute>
  public var docString: String
  public var opaque: [UInt8]

  public init(
    _ op: String, name: String, inputs: [String], outputs: [String],
    attributes: OrderedDictionary<String, Attribute> = [:], domain: String = ""
  ) {
    self.op = op
    self.name = name
    self.inputs = inputs
    self.outputs = outputs
    self.attributes = attributes
    self.domain = domain
    docString = ""
    opaque = []
  }

  /// True when ONNX itself defines the operator.
  public var isStandard: Bool { domain.isEmpty || domain == "ai.onnx" }

  /// The name to show a person: the node's own, or that of its first output.
  public var displayName: String {
    name.isEmpty ? outputs.first { !$0.isEmpty } ?? op : name
  }

  /// Input `index`, or nil when it is left out.
  public func input(_ index: Int) -> String? {
    index < inputs.count && !inputs[index].isEmpty ? inputs[index] : nil
  }
}

/// A parameter of a node that is fixed in the file.
public indirect enum Attribute: Sendable {
  case float(Float)
  case int(Int)
  case string([UInt8])
  case tensor(Initializer)
  case floats([Float])
  case ints([Int])
  case strings([[UInt8]])
  /// A subgraph: the body of If, Loop or Scan. It sees the values of the graph around it, and has
  /// that graph's operator set.
  case graph(Graph)
  /// A kind that is carried through but not understood: sparse tensors, type protos, functions.
  case opaque([UInt8])
}

extension Node {
  public func int(_ key: String, default value: Int) -> Int {
    if case .int(let found)? = attributes[key] { found } else { value }
  }
  public func float(_ key: String, default value: Float) -> Float {
    if case .float(let found)? = attributes[key] { found } else { value }
  }
  public func floats(_ key: String) -> [Float]? {
    if case .floats(let found)? = attributes[key] { found } else { nil }
  }
  public func graph(_ key: String) -> Graph? {
    if case .graph(let found)? = attributes[key] { found } else { nil }
  }
  public func ints(_ key: String) -> [Int]? {
    if case .ints(let found)? = attributes[key] { found } else { nil }
  }
  public func string(_ key: String, default value: String) -> String {
    if case .string(let found)? = attributes[key] {
      String(decoding: found, as: UTF8.self)
    } else {
      value
    }
  }
}

/// A value's name, element type and shape.
public struct ValueInfo: Sendable, Equatable {
  public var name: String
  public var elementType: ElementType
  /// Nil when the file does not state a rank.
  public var shape: [Dimension]?
  public var docString: String
  public var opaque: [UInt8]
  /// False for an input or output of a subgraph of which the file states no type; `elementType` says
  /// nothing then.
  public var isTyped = true

  public init(
    _ name: String, _ elementType: ElementType = .float32, shape: [Dimension]?,
    docString: String = "", opaque: [UInt8] = []
  ) {
    self.name = name
    self.elementType = elementType
    self.shape = shape
    self.docString = docString
    self.opaque = opaque
  }
}

/// The size of one axis.
public enum Dimension: Sendable, Hashable {
  case fixed(Int)
  /// The same name means the same size; an axis of unknown size without a name is `.symbolic("")`,
  /// and is equal to nothing.
  case symbolic(String)

  /// The size, or nil when it is a symbol.
  public var size: Int? { if case .fixed(let size) = self { size } else { nil } }
}

extension Dimension: ExpressibleByIntegerLiteral, ExpressibleByStringLiteral {
  public init(integerLiteral value: Int) { self = .fixed(value) }
  public init(stringLiteral value: String) { self = .symbolic(value) }
}

extension Dimension: CustomStringConvertible {
  public var description: String {
    switch self {
    case .fixed(let size): "\(size)"
    case .symbolic(let name): name.isEmpty ? "?" : name
    }
  }
}
