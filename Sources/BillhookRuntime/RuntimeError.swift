public import BillhookGraph
public import BillhookTensor

/// A reason why a plan cannot be compiled or run.
public enum RuntimeError: Error, Equatable, CustomStringConvertible {
  case graph(GraphError)
  case outOfMemory
  case kernel(node: String, reason: String)
  case unsupportedForm(node: String, op: String, found: String, expected: String)
  case missingInput(name: String, given: [String])
  case unknownInput(name: String, expected: [String])
  case inputMismatch(
    name: String, foundShape: [Int], foundType: ElementType, expectedShape: [Int],
    expectedType: ElementType)
  case inputContradicts(name: String, found: String, expected: String)
  case unknownValue(name: String)
  case nothingToTrain
  case noGradient(node: String, op: String, reason: String)
  case batchSizeNotPositive(Int)

  public var description: String {
    switch self {
    case .graph(let error): error.description
    case .outOfMemory: "There is not enough memory for the plan; try a smaller batch size."
    case .kernel(let node, let reason):
      "Node \"\(node)\" cannot be compiled or run: \(reason)"
    case .unsupportedForm(let node, let op, let found, let expected):
      "Node \"\(node)\" (\(op)) has \(found), but only \(expected) can be run."
    case .missingInput(let name, let given):
      """
      The network's input "\(name)" was not given; given: \
      \(given.isEmpty ? "nothing" : given.joined(separator: ", ")).
      """
    case .unknownInput(let name, let expected):
      "The network has no input \"\(name)\"; it has: \(expected.joined(separator: ", "))."
    case .inputMismatch(let name, let foundShape, let foundType, let shape, let type):
      """
      Input "\(name)" was given as \(foundType) \(foundShape), but the plan was compiled for \
      \(type) \(shape). Reshape or convert the data, or compile for another batch size.
      """
    case .inputContradicts(let name, let found, let expected):
      """
      Input "\(name)" was given as \(found), but the network states \(expected). Reshape or convert \
      the data.
      """
    case .unknownValue(let name): "The network has no value \"\(name)\" that could be observed."
    case .nothingToTrain:
      """
      The network has no float32 weight, bias or batch-norm scale that could be trained. A \
      quantized network is trained before it is quantized.
      """
    case .noGradient(let node, let op, let reason):
      """
      Node "\(node)" (\(op)) cannot be trained through: \(reason). Train a network without it, or \
      only the layers behind it.
      """
    case .batchSizeNotPositive(let size):
      "The batch size is \(size) but must be at least 1; try 64."
    }
  }
}
