/// The operators that Billhook understands.
public enum OperatorTable {
  /// The versions of ONNX's operator set whose operators mean what the definitions say.
  ///
  /// Version 7 brought today's broadcasting; before it Add and Mul had an `axis` attribute.
  public static let opsets = 7...25

  /// Every operator, by name.
  public static let definitions: [OperatorDefinition] = [
    .add, .averagePool, .batchNormalization, .cast, .clip, .concat, .constant, .conv, .convInteger,
    .dequantizeLinear, .dropout, .dynamicQuantizeLinear, .flatten, .gemm, .globalAveragePool,
    .identity, .matMul, .matMulInteger, .maxPool, .mul,
    .quantizeLinear, .relu, .reshape, .sigmoid, .softmax, .transpose,
  ].sorted { $0.name < $1.name }

  private static let byName = Dictionary(
    uniqueKeysWithValues: definitions.map { ($0.name, $0) })

  /// The definition of a node's operator.
  ///
  /// - Throws: ``GraphError/unsupportedOperator(op:domain:node:supported:)``.
  public static func definition(of node: Node) throws(GraphError) -> OperatorDefinition {
    let isOwnDomain = node.domain.isEmpty || node.domain == "ai.onnx"
    guard isOwnDomain, let definition = byName[node.op] else {
      throw .unsupportedOperator(
        op: node.op, domain: isOwnDomain ? "" : node.domain, node: node.displayName,
        supported: Graph.supportedOperators)
    }
    return definition
  }
}

extension Graph {
  /// The names of the operators that a graph may use, sorted.
  public static let supportedOperators = OperatorTable.definitions.map(\.name)
}
