public import BillhookTensor

/// A reason why a graph cannot be used.
public enum GraphError: Error, Equatable, Sendable {
  // The operators and what they are given.
  case unsupportedOperator(op: String, domain: String, node: String, supported: [String])
  case unsupportedOpset(found: Int, supported: ClosedRange<Int>)
  case wrongInputCount(op: String, node: String, found: Int, expected: ClosedRange<Int>)
  case wrongOutputCount(op: String, node: String, found: Int, expected: ClosedRange<Int>)
  case missingInput(op: String, node: String, index: Int)
  case unknownAttribute(op: String, node: String, attribute: String, known: [String])
  case missingAttribute(op: String, node: String, attribute: String, expected: String)
  case wrongAttributeType(
    op: String, node: String, attribute: String, found: String, expected: String)
  case wrongAttributeValue(
    op: String, node: String, attribute: String, found: String, expected: String)
  /// `role` is ONNX's name for the input, such as starts.
  case wrongInputValue(
    op: String, node: String, value: String, role: String, found: String, expected: String)

  // How nodes and values hang together.
  case duplicateValue(name: String, first: String, second: String)
  case undefinedValue(name: String, node: String)
  case usedBeforeDefined(name: String, node: String, producer: String)
  case cycle(nodes: [String])
  case missingOutput(name: String)
  case noOutputs(graph: String)
  case tooDeep(node: String, maximum: Int)

  // Types and shapes.
  case negativeSize(value: String, shape: [Dimension])
  case wrongElementType(
    op: String, node: String, value: String, found: ElementType, expected: String)
  case wrongShape(op: String, node: String, value: String, found: [Dimension], expected: String)
  case incompatibleShapes(
    op: String, node: String, left: String, leftShape: [Dimension], right: String,
    rightShape: [Dimension], expected: String)
  case shapeOverflow(node: String, value: String, shape: [Dimension])
  case declaredTypeMismatch(value: String, declared: String, found: String)
  case notConstant(op: String, node: String, value: String)

  // Evaluation.
  case missingFeed(name: String, given: [String])
  case wrongFeed(name: String, found: String, expected: String)
  case valueTooLarge(value: String, shape: [Int], maximumByteCount: Int)
  case noGradient(op: String, node: String, reason: String)
  case subgraphFailed(op: String, node: String, attribute: String, reason: String)

  // Removal of units.
  case frozenGroup(group: String, reason: String)
  case unknownUnit(group: String, unit: Int, unitCount: Int)
  case allUnitsRemoved(group: String, unitCount: Int)
  case partRemoved(group: String, value: String, unitCount: Int)
  case staleGroup(group: String, tensor: String)
  case cannotShrink(op: String, node: String, reason: String)

  // Network templates and what a network says about itself.
  case wrongTemplateOption(template: String, option: String, found: Int, expected: String)
  case wrongMetadata(key: String, found: String, expected: String)
}

extension GraphError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unsupportedOperator(let op, let domain, let node, let supported):
      """
      Node "\(node)" uses the operator "\(domain.isEmpty ? op : "\(domain).\(op)")", which is not \
      supported.\(Self.suggestion(op, domain, supported)) docs/onnx-support.md lists the operators \
      that are.
      """
    case .unsupportedOpset(let found, let supported):
      """
      The graph uses version \(found) of the ONNX operator set, but versions \
      \(supported.lowerBound) to \(supported.upperBound) are supported. Convert it with ONNX's \
      version converter.
      """
    case .wrongInputCount(let op, let node, let found, let expected):
      "Node \"\(node)\" (\(op)) has \(Self.count(found, "input")), expected \(Self.count(expected))."
    case .wrongOutputCount(let op, let node, let found, let expected):
      "Node \"\(node)\" (\(op)) has \(Self.count(found, "output")), expected \(Self.count(expected))."
    case .missingInput(let op, let node, let index):
      "Node \"\(node)\" (\(op)) leaves out input \(index), which it cannot do without."
    case .unknownAttribute(let op, let node, let attribute, let known):
      """
      Node "\(node)" (\(op)) has the attribute "\(attribute)", which the operator does not have. \
      Attributes it may have: \(known.isEmpty ? "none" : known.joined(separator: ", ")).
      """
    case .missingAttribute(let op, let node, let attribute, let expected):
      "Node \"\(node)\" (\(op)) lacks the attribute \"\(attribute)\", expected \(expected)."
    case .wrongAttributeType(let op, let node, let attribute, let found, let expected):
      """
      Attribute "\(attribute)" of node "\(node)" (\(op)) is of type \(found), expected \(expected).
      """
    case .wrongAttributeValue(let op, let node, let attribute, let found, let expected):
      "Attribute \"\(attribute)\" of node \"\(node)\" (\(op)) is \(found), expected \(expected)."
    case .wrongInputValue(let op, let node, let value, let role, let found, let expected):
      """
      Input "\(value)" (\(role)) of node "\(node)" (\(op)) is \(found), expected \(expected).
      """
    default: structureDescription
    }
  }

  private var structureDescription: String {
    switch self {
    case .duplicateValue(let name, let first, let second):
      """
      The value "\(name)" is made twice, by \(first) and by \(second). Each value needs a name of \
      its own.
      """
    case .undefinedValue(let name, let node):
      """
      Node "\(node)" reads the value "\(name)", which no input, initializer or node makes. \
      Check the name.
      """
    case .usedBeforeDefined(let name, let node, let producer):
      """
      Node "\(node)" reads the value "\(name)" before node "\(producer)" makes it. Sort the nodes \
      topologically.
      """
    case .cycle(let nodes):
      """
      The nodes \(nodes.map { "\"\($0)\"" }.joined(separator: ", ")) wait for each other's \
      outputs. A graph must not contain a cycle.
      """
    case .tooDeep(let node, let maximum):
      """
      Node "\(node)" holds a subgraph that lies in more than \(maximum) others. Make the subgraphs \
      less deep.
      """
    case .missingOutput(let name):
      """
      The graph promises the output "\(name)", which no input, initializer or node makes. \
      Check the name.
      """
    case .noOutputs(let graph):
      """
      The graph "\(graph)" has no output, so there is nothing to compute. Export the network again \
      with its outputs.
      """
    case .frozenGroup(let group, let reason):
      "No channel of group \"\(group)\" can be removed: \(reason)."
    case .unknownUnit(let group, let unit, let unitCount):
      """
      Unit \(unit) of group "\(group)" was to be removed, but the group has units \
      0..<\(unitCount).
      """
    case .allUnitsRemoved(let group, let unitCount):
      """
      All \(unitCount) units of group "\(group)" were to be removed. At least one must stay; \
      lower the ratio.
      """
    case .partRemoved(let group, let value, let unitCount):
      """
      All \(unitCount) units of group "\(group)" that the value "\(value)" holds were to be removed. \
      At least one of them must stay; lower the ratio.
      """
    case .staleGroup(let group, let tensor):
      """
      Group "\(group)" does not fit the tensor "\(tensor)" of this graph. Compute the coupling \
      groups of the graph that is edited, and name each group once.
      """
    case .cannotShrink(let op, let node, let reason):
      "Node \"\(node)\" (\(op)) cannot follow the removal of channels: \(reason)."
    case .wrongTemplateOption(let template, let option, let found, let expected):
      "Option \"\(option)\" of the network \"\(template)\" is \(found), expected \(expected)."
    case .wrongMetadata(let key, let found, let expected):
      """
      The network's metadata say "\(key)" is "\(found)", expected \(expected). Correct the entry, \
      or state the value with the data.
      """
    default: typeDescription
    }
  }

  private var typeDescription: String {
    switch self {
    case .negativeSize(let value, let shape):
      "The value \"\(value)\" has shape \(shape), but a size must not be negative."
    case .wrongElementType(let op, let node, let value, let found, let expected):
      """
      Input "\(value)" of node "\(node)" (\(op)) holds \(found), expected \(expected). Convert it.
      """
    case .wrongShape(let op, let node, let value, let found, let expected):
      "Input \"\(value)\" of node \"\(node)\" (\(op)) has shape \(found), expected \(expected)."
    case .incompatibleShapes(
      let op, let node, let left, let leftShape, let right, let rightShape, let expected):
      """
      Inputs "\(left)" of shape \(leftShape) and "\(right)" of shape \(rightShape) of node \
      "\(node)" (\(op)) do not fit together, expected \(expected).
      """
    case .shapeOverflow(let node, let value, let shape):
      """
      The output "\(value)" of node "\(node)" has shape \(shape), which has more elements than can \
      be addressed. Check the sizes before it.
      """
    case .declaredTypeMismatch(let value, let declared, let found):
      """
      The value "\(value)" is declared as \(declared) but is \(found). Correct the declaration or \
      the nodes before it.
      """
    case .notConstant(let op, let node, let value):
      """
      Input "\(value)" of node "\(node)" (\(op)) must be an initializer or a Constant node, but is \
      computed. Fold constants first.
      """
    case .missingFeed(let name, let given):
      """
      No tensor was given for the input "\(name)". Given: \
      \(given.isEmpty ? "none" : given.map { "\"\($0)\"" }.joined(separator: ", ")).
      """
    case .wrongFeed(let name, let found, let expected):
      "The tensor for the input \"\(name)\" is \(found), expected \(expected)."
    case .valueTooLarge(let value, let shape, let maximum):
      """
      The value "\(value)" of shape \(shape) is larger than the \(maximum) bytes that the \
      reference evaluator computes. Use smaller inputs.
      """
    case .noGradient(let op, let node, let reason):
      """
      Node "\(node)" (\(op)) cannot be trained through: \(reason). Train a network without it, or \
      only the layers behind it.
      """
    case .subgraphFailed(let op, let node, let attribute, let reason):
      "The subgraph \"\(attribute)\" of node \"\(node)\" (\(op)) cannot be run: \(reason)"
    default: preconditionFailure("every case has a sentence")
    }
  }

  private static func suggestion(
    _ op: String, _ domain: String, _ supported: [String]
  ) -> String {
    if domain == "com.microsoft" {
      return """
         ONNX Runtime writes such operators when it saves a network that it has optimized; take the \
        network from before, or save it with optimization turned off.
        """
    }
    let near = nearestNames(to: op, in: supported).map { "\"\($0)\"" }
    return near.isEmpty ? "" : " Did you mean \(near.joined(separator: " or "))?"
  }

  private static func count(_ number: Int, _ noun: String) -> String {
    "\(number) \(noun)\(number == 1 ? "" : "s")"
  }

  private static func count(_ range: ClosedRange<Int>) -> String {
    if range.upperBound == .max { return "at least \(range.lowerBound)" }
    if range.count == 1 { return "\(range.lowerBound)" }
    return "\(range.lowerBound) to \(range.upperBound)"
  }
}
